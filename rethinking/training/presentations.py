"""What training sees of each example each time it presents it."""

from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp

Array = jax.Array


class Presented(NamedTuple):
  """What a step saw of its examples, in training mode, before its update.

  Attributes:
    loss: float [B], nats, of the given label.
    margin: float [B], the given label's logit less the greatest other one.
    correct: bool [B], whether the given label was predicted.
  """

  loss: Array
  margin: Array
  correct: Array


@flax.struct.dataclass
class Presentations:
  """Sums over the presentations of each example so far.

  Attributes:
    times: int32 [N], presentations.
    loss: float [N], the sum of `Presented.loss`.
    margin: float [N], of the margins: over `times`, the area under the margin
      (Pleiss, Zhang, Elenberg, Weinberger 2020).
    correct: int32 [N], presentations that were predicted.
    forgotten: int32 [N], those that were not, right after one that was (Toneva
      et al. 2019).
    last: bool [N], whether the last one was predicted.
  """

  times: Array
  loss: Array
  margin: Array
  correct: Array
  forgotten: Array
  last: Array


def margin(logits: Array, labels: Array) -> Array:
  """Returns the given label's logit less the greatest other one, [B].

  Args:
    logits: float [B, K].
    labels: int32 [B].
  """
  given = jnp.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]
  own = jnp.arange(logits.shape[-1])[None] == labels[:, None]
  return given - jnp.where(own, -jnp.inf, logits).max(-1)


def none_yet(count: int) -> Presentations:
  """Returns what is known of N examples before the first presentation.

  Args:
    count: N.
  """
  number, real = (
    jnp.zeros((count,), kind) for kind in (jnp.int32, jnp.result_type(float))
  )
  return Presentations(number, real, real, number, number, number > 0)


def add(
  known: Presentations,
  index: Array,
  epoch: Array,
  seen: Presented,
  live: Array | bool = True,
) -> Presentations:
  """Returns the sums after another batch.

  Args:
    known: before it.
    index: int32 [B], rows of the N examples; each once an epoch.
    epoch: int32 [B], of each; of at most two epochs.
    seen: of each.
    live: bool scalar: whether the batch counts.
  """
  # An epoch's last examples and the next one's first may be the same.
  for now in (epoch == epoch.min(), epoch != epoch.min()):
    rows = jnp.where(now & live, index, len(known.times))
    sums = {
      "times": jnp.ones_like(index),
      "loss": seen.loss,
      "margin": seen.margin,
      "correct": seen.correct.astype(jnp.int32),
      "forgotten": (known.last[index] & ~seen.correct).astype(jnp.int32),
    }
    known = known.replace(
      last=known.last.at[rows].set(seen.correct, mode="drop"),
      **{
        name: getattr(known, name).at[rows].add(value, mode="drop")
        for name, value in sums.items()
      },
    )
  return known

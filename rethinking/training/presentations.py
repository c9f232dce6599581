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
    error: float [B], |softmax - one-hot given label|_2, in [0, sqrt(2)].
  """

  loss: Array
  margin: Array
  correct: Array
  error: Array


@flax.struct.dataclass
class Presentations:
  """Sums over the presentations of each example so far.

  Attributes:
    times: int32 [N], presentations.
    loss: float [N], the sum of `Presented.loss` over early epochs.
    margin: float [N], of the margins over these: over their number, the area
      under the margin (Pleiss, Zhang, Elenberg, Weinberger 2020).
    error: float [N], of `Presented.error` over named epochs: over their number,
      EL2N (Paul, Ganguli, Dziugaite 2021), who evaluate it after an epoch; at
      presentation it is another quantity, seen in training mode and by weights
      that change within the epoch.
    correct: int32 [N], presentations that were predicted.
    forgotten: int32 [N], those that were not, right after one that was (Toneva
      et al. 2019).
    last: bool [N], whether the last one was predicted.
  """

  times: Array
  loss: Array
  margin: Array
  error: Array
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


def error(logits: Array, labels: Array) -> Array:
  """Returns |softmax - one-hot label|_2, [B].

  Args:
    logits: float [B, K].
    labels: int32 [B].
  """
  own = jnp.arange(logits.shape[-1])[None] == labels[:, None]
  return jnp.linalg.norm(jax.nn.softmax(logits) - own, axis=-1)


def none_yet(count: int) -> Presentations:
  """Returns what is known of N examples before the first presentation.

  Args:
    count: N.
  """
  number, real = (
    jnp.zeros((count,), kind) for kind in (jnp.int32, jnp.result_type(float))
  )
  return Presentations(number, real, real, real, number, number, number > 0)


def add(
  known: Presentations,
  index: Array,
  epoch: Array,
  seen: Presented,
  live: Array | bool = True,
  early: int | None = None,
  errors_at: tuple[int, ...] = (),
) -> Presentations:
  """Returns the sums after another batch.

  Args:
    known: before it.
    index: int32 [B], rows of the N examples; each once an epoch.
    epoch: int32 [B], of each; of at most two epochs.
    seen: of each.
    live: bool scalar: whether the batch counts.
    early: epochs from the first on whose losses and margins are summed; None:
      all.
    errors_at: epochs, the first is 1, whose errors are.
  """
  is_early = True if early is None else epoch < early
  is_named = jnp.isin(epoch + 1, jnp.array(errors_at, jnp.int32))
  # An epoch's last examples and the next one's first may be the same.
  for now in (epoch == epoch.min(), epoch != epoch.min()):
    rows = jnp.where(now & live, index, len(known.times))
    sums = {
      "times": jnp.ones_like(index),
      "loss": jnp.where(is_early, seen.loss, 0),
      "margin": jnp.where(is_early, seen.margin, 0),
      "error": jnp.where(is_named, seen.error, 0),
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

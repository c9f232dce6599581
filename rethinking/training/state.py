"""What a step is given and changes: arrays, keys and the order of examples."""

from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp

from rethinking.corruptions.keys import root_key
from rethinking.training.presentations import Presentations

Array = jax.Array


class Data(NamedTuple):
  """A whole split, on the device: clean, unless its images came corrupted.

  Attributes:
    images: uint8 [N, H * W * C or more]: flat, since TPUs pad the last two
      axes; what is more is no part of the image.
    labels: int32 [N], the true ones.
    ids: uint32 [N], unique.
    statistics: mean and standard deviation of each channel, float [C] each,
      that images are normalised by; empty: each image is by its own.
  """

  images: Array
  labels: Array
  ids: Array
  statistics: tuple[Array, ...] = ()


class Batch(NamedTuple):
  """Which examples a step takes.

  Attributes:
    index: int32 [B], rows of the data.
    epoch: int32 [B], the epoch that each row belongs to.
  """

  index: Array
  epoch: Array


class Stream(NamedTuple):
  """The examples of consecutive epochs, one after another.

  Attributes:
    orders: int32 [K, N], rows of the data in the order of each epoch.
    epoch: int32 scalar, the first of these epochs.
    step: int32 scalar, the first step whose batch begins in it.
    place: int32 scalar, where in it that batch begins; where devices share a
      batch, where the device's part begins.
  """

  orders: Array
  epoch: Array
  step: Array
  place: Array


@flax.struct.dataclass
class TrainState:
  """All that training changes.

  Attributes:
    step: int32 scalar, steps taken.
    params: the model's parameters.
    batch_stats: BatchNorm's running statistics; empty for models without.
    opt_state: optax's.
    best: `params` and `batch_stats` of the best evaluation, which the step
      hands on; None where nothing is chosen by one.
    presentations: of each example so far, by rows of the data; None: not kept.
  """

  step: Array
  params: Any
  batch_stats: Any
  opt_state: Any
  best: Any = None
  presentations: Presentations | None = None

  def weights(self) -> dict[str, Any]:
    """Returns what the best evaluation's weights are kept as."""
    return {"params": self.params, "batch_stats": self.batch_stats}


class Seen(NamedTuple):
  """What an evaluation saw of each example.

  Attributes:
    loss: float [N], nats, of the given label.
    prediction: int32 [N].
    given: int32 [N], the label it was compared with.
    probabilities: float [N, K], of each class; None: not asked for.
  """

  loss: Array
  prediction: Array
  given: Array
  probabilities: Array | None = None


def root(seed: int, name: str) -> Array:
  """Returns the random key of one purpose.

  Args:
    seed: in [0, 2**32).
    name: 'init', 'order', 'noise' or 'validation'; each has draws of its own.
  """
  names = ("init", "order", "noise", "validation")
  return jax.random.fold_in(root_key(seed), names.index(name))


def epoch_order(key: Array, epoch: Array, num_examples: int) -> Array:
  """Returns one epoch's order: every row once, as int32 [num_examples].

  Sorts random integers, which are the same on every platform, jitted or not.

  Args:
    key: the order's root key.
    epoch: scalar, from 0.
    num_examples: N.
  """
  own = jax.random.fold_in(key, epoch)
  bits = jax.random.bits(own, (num_examples,), jnp.uint32)
  return jnp.argsort(bits, stable=True).astype(jnp.int32)


def batch(stream: Stream, step: Array, batch_size: int, size: int) -> Batch:
  """Returns the examples that a step takes.

  Args:
    stream: with the epochs that the step touches.
    step: scalar, at least the stream's.
    batch_size: examples a step, over all devices.
    size: examples of this device's part, consecutive ones.
  """
  begin = stream.place + (step - stream.step) * batch_size
  place = begin + jnp.arange(size, dtype=jnp.int32)
  return Batch(
    # A slice, no gather: XLA on the CPU works the index out anew for each pixel
    # of the image that it finds.
    index=jax.lax.dynamic_slice(stream.orders.reshape(-1), (begin,), (size,)),
    epoch=stream.epoch + place // stream.orders.shape[-1],
  )

"""One training step and one evaluation step, pure; they know no devices."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from rethinking.corruptions.keys import fold_ids, root_key
from rethinking.corruptions.noise import corrupt
from rethinking.ops.switch import materialized
from rethinking.training.preprocessing import centre_crop, normalize, to_float
from rethinking.training.presentations import (
  Presentations,
  Presented,
  error,
  margin,
)

Array = jax.Array
Augment = Callable[[Array, Array], Array]


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


def init_state(
  module: nn.Module,
  optimizer: optax.GradientTransformation,
  key: Array,
  shape: tuple[int, int, int],
) -> TrainState:
  """Returns the state before the first step.

  Args:
    module: a model of rethinking.models.
    optimizer: from rethinking.training.optim.
    key: the initialisation's root key.
    shape: [H, W, C] of what the model sees.
  """
  variables = module.init(key, jnp.zeros((1, *shape)), train=False)
  params = variables["params"]
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    batch_stats=variables.get("batch_stats", {}),
    opt_state=optimizer.init(params),
  )


def make_train_step(
  module: nn.Module,
  optimizer: optax.GradientTransformation,
  *,
  shape: tuple[int, int, int],
  crop: int,
  augment: Augment | None = None,
  axis_name: str | None = None,
) -> Callable[..., tuple[TrainState, Mapping]]:
  """Makes `step(state, data, batch, key, noise) -> (state, metrics)`.

  Every draw is keyed by (key, step or epoch, id): dropout by the step,
  augmentation by the epoch, never by the position in the batch, so the same
  batch gives the same update however it is split over devices.

  Args:
    module: made with the same axis_name.
    optimizer: from rethinking.training.optim.
    shape: [H, W, C] of the data's images.
    crop: centre crop, pixels a side, after augmentation; 0: none.
    augment: one example's (key, float image in [0, 1] [H, W, C]) -> image.
    axis_name: of the pmap over shards of the batch; None outside one.

  Returns:
    The step. `noise` is a tuple of `corruptions.Noise`, which it applies in
    their order. Metrics are the scalars `loss` (nats) and `accuracy` on the
    batch, and `seen`, what was `Presented` of each example of this device's
    part; in training mode, before the update.
  """

  def forward(params, batch_stats, x, labels, dropout_keys):
    logits, updates = module.apply(
      {"params": params, "batch_stats": batch_stats},
      x,
      train=True,
      dropout_keys=dropout_keys,
      mutable=["batch_stats"],
    )
    each = cross_entropy(logits, labels)
    loss, correct = each.mean(), jnp.argmax(logits, -1) == labels
    accuracy = jnp.mean(correct, dtype=loss.dtype)
    seen = Presented(
      each, margin(logits, labels), correct, error(logits, labels)
    )
    return loss, (updates.get("batch_stats", {}), accuracy, seen)

  def step(state, data, batch, key, noise):
    images, labels, ids = _corrupted(
      data, batch.index, shape, noise, batch.epoch
    )
    dropout_root, augment_root = jax.random.split(key)
    dropout_keys = fold_ids(jax.random.fold_in(dropout_root, state.step), ids)
    x = to_float(images)
    if augment is not None:
      each = jax.vmap(jax.random.fold_in, (None, 0))(augment_root, batch.epoch)
      x = jax.vmap(augment)(fold_ids(each, ids), x)
    x = normalize(centre_crop(x, crop), data.statistics)
    # The mean of the gradients: the gradient of a pmean would silently be
    # that of one device's loss.
    grad = jax.value_and_grad(forward, has_aux=True)
    (loss, (batch_stats, accuracy, seen)), grads = grad(
      state.params, state.batch_stats, x, labels, dropout_keys
    )
    if axis_name is not None:
      grads, loss, accuracy = jax.lax.pmean((grads, loss, accuracy), axis_name)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    state = state.replace(
      step=state.step + 1,
      params=optax.apply_updates(state.params, updates),
      batch_stats=batch_stats,
      opt_state=opt_state,
    )
    return state, {"loss": loss, "accuracy": accuracy, "seen": seen}

  return step


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


def make_eval_step(
  module: nn.Module,
  *,
  shape: tuple[int, int, int],
  crop: int,
  probabilities: bool = False,
) -> Callable[..., Seen]:
  """Makes `step(state, data, index, noise, draw) -> Seen` of [B].

  One value an example, so that the caller's sums are exact whatever the batch
  size, and any split of the examples can be made of them.

  Args:
    module: a model of rethinking.models.
    shape: [H, W, C] of the data's images.
    crop: centre crop, pixels a side; 0: none.
    probabilities: whether these are wanted, too.
  """

  def step(state, data, index, noise, draw):
    draws = jnp.broadcast_to(draw, index.shape)
    images, labels, _ = _corrupted(data, index, shape, noise, draws)
    x = normalize(to_float(centre_crop(images, crop)), data.statistics)
    logits = module.apply(
      {"params": state.params, "batch_stats": state.batch_stats},
      x,
      train=False,
    )
    prediction = jnp.argmax(logits, -1).astype(jnp.int32)
    loss = cross_entropy(logits, labels)
    found = jax.nn.softmax(logits) if probabilities else None
    return Seen(loss, prediction, labels, found)

  return step


def _corrupted(data, index, shape, noise, draws):
  """Images, labels and ids of some rows, as the learner is given them."""
  images, labels, ids = (x[index] for x in data[:3])
  images = images[:, : math.prod(shape)].reshape(-1, *shape)
  for one in noise:
    if one.target == "labels":
      labels = corrupt(one, labels, ids, index, draws)
    else:
      images = corrupt(one, images, ids, index, draws)
  # So that what follows is compiled alike wherever the images come from.
  return materialized(images), labels, ids


def cross_entropy(logits: Array, labels: Array) -> Array:
  """Returns nats of each example, [B].

  Args:
    logits: [B, K].
    labels: int32 [B].
  """
  # optax's takes one more array round the loop.
  given = jnp.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]
  return jax.nn.logsumexp(logits, axis=-1) - given

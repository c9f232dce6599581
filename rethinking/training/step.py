"""One training step and one evaluation step, pure; they know no devices."""

import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from rethinking.corruptions.keys import fold_ids
from rethinking.corruptions.noise import corrupt
from rethinking.ops.switch import materialized
from rethinking.training.preprocessing import centre_crop, normalize, to_float
from rethinking.training.presentations import Presented, error, margin
from rethinking.training.state import Seen, TrainState

Array = jax.Array
Augment = Callable[[Array, Array], Array]


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

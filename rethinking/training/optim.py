"""Optimisers and learning-rate schedules from a config."""

import fractions
import functools

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from ml_collections import ConfigDict


def epoch_end(epoch: int, num_examples: int, batch_size: int) -> int:
  """Returns the number of steps after which an epoch's last example was taken.

  Batches are always full: epochs follow each other in one stream of examples,
  and a batch may hold the last of one and the first of the next.

  Args:
    epoch: epochs completed, at least 0.
    num_examples: examples per epoch.
    batch_size: examples per step.
  """
  return -(-epoch * num_examples // batch_size)


def schedule(config: ConfigDict, num_examples: int) -> optax.Schedule:
  """Returns the learning rate as a function of the step.

  cosine: rate * (1 + cos(pi * step / steps)) / 2, Loshchilov and Hutter
  (2017), without restarts. exponential: rate * decay ** epochs completed,
  Zhang et al. (2017), appendix A. constant: rate. plateau: rate too, scaled
  in the optimiser's state by `observe`.

  Args:
    config: resolved.
    num_examples: examples per epoch.
  """
  steps = epoch_end(config.epochs, num_examples, config.batch_size)
  if config.schedule == "cosine":
    return optax.cosine_decay_schedule(config.learning_rate, steps)
  if config.schedule in ("constant", "plateau"):
    return optax.constant_schedule(config.learning_rate)
  # Integers, so that the epoch turns at the exact step: the reduced fraction
  # keeps step * numerator within int32 for as long as possible.
  ratio = fractions.Fraction(config.batch_size, num_examples)

  def exponential(step: jax.Array) -> jax.Array:
    epochs = step * ratio.numerator // ratio.denominator
    return config.learning_rate * jnp.power(config.decay, epochs)

  return exponential


def create(
  config: ConfigDict, num_examples: int
) -> optax.GradientTransformation:
  """Returns the optimiser that a resolved config describes.

  `l2` joins the gradient before the optimiser, as a penalty in the loss does;
  `weight_decay` joins the update after it (Loshchilov and Hutter, 2019). Both
  leave biases and normalisation parameters alone; with `l2_kernels=conv`,
  `l2` leaves dense layers alone too.

  Args:
    config: resolved.
    num_examples: examples per epoch.
  """

  def decay(rate, axes):
    def mask(params):
      return jax.tree.map(lambda w: w.ndim >= axes, params)

    return optax.add_decayed_weights(rate, mask)

  adam = config.optimizer == "adam"
  parts = [optax.scale_by_adam() if adam else optax.trace(decay=0.9)]
  if config.l2:
    parts.insert(0, decay(config.l2, 3 if config.l2_kernels == "conv" else 2))
  if config.weight_decay:
    parts.append(decay(config.weight_decay, 2))
  parts.append(optax.scale_by_learning_rate(schedule(config, num_examples)))
  if config.schedule == "plateau":
    parts.append(_scale_by_plateau(config))
  return optax.chain(*parts)


# Evaluations; of the Keras study's notebooks.
_PATIENCE = 10


def _plateau(rate: float) -> optax.GradientTransformationExtraArgs:
  # Of the Keras study's notebooks; the least gain, `atol`, is Keras's own.
  return optax.contrib.reduce_on_plateau(
    factor=0.5,
    patience=_PATIENCE,
    rtol=0.0,
    atol=1e-4,
    min_scale=min(1.0, 1e-5 / rate),
  )


def _scale_by_plateau(config: ConfigDict) -> optax.GradientTransformation:
  """Scales updates by a state that no step changes, only `observe`."""

  def update(updates, state, params=None):
    del params
    return jax.tree.map(lambda g: state.scale * g, updates), state

  return optax.GradientTransformation(
    _plateau(config.learning_rate).init, update
  )


def observe(
  config: ConfigDict, opt_state: optax.OptState, validation_loss: float
) -> optax.OptState:
  """Returns the optimiser's state after an evaluation.

  With `schedule=plateau` the learning rate is halved, down to 1e-5, after ten
  evaluations in a row whose validation loss was not below the best before by
  more than 1e-4; the count then starts again. Other states stay as they are.

  Args:
    config: resolved.
    opt_state: of `create`'s optimiser.
    validation_loss: nats.

  Reference:
    Chollet et al. (2015), Keras, `ReduceLROnPlateau`.
  """

  if config.schedule != "plateau":
    return opt_state
  *others, plateau = opt_state
  return (*others, _see(plateau, validation_loss, rate=config.learning_rate))


# Compiled once; else its branches would be at every call.
@functools.partial(jax.jit, static_argnames="rate")
def _see(state, value, *, rate):
  return _plateau(rate).update({}, state, value=value)[1]

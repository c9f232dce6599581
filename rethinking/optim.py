"""Optimisers and learning-rate schedules from a config."""

from __future__ import annotations

import fractions

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict


def epoch_end(epoch: int, num_examples: int, batch_size: int) -> int:
  """Returns the number of steps after which an epoch's last example was seen.

  Batches are always full: epochs follow each other in one stream of examples,
  and a batch may hold the last of one and the first of the next.

  Args:
    epoch: epochs completed, at least 0.
    num_examples: examples an epoch.
    batch_size: examples a step.
  """
  return -(-epoch * num_examples // batch_size)


def schedule(config: ConfigDict, num_examples: int) -> optax.Schedule:
  """Returns the learning rate as a function of the step.

  cosine: rate * (1 + cos(pi * step / steps)) / 2, Loshchilov and Hutter
  (2017), without restarts. exponential: rate * decay ** epochs completed,
  Zhang et al. (2017), appendix A. constant: rate.

  Args:
    config: resolved.
    num_examples: examples an epoch.
  """
  steps = epoch_end(config.epochs, num_examples, config.batch_size)
  if config.schedule == "cosine":
    return optax.cosine_decay_schedule(config.learning_rate, steps)
  if config.schedule == "constant":
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
  leave biases and normalisation parameters alone.

  Args:
    config: resolved.
    num_examples: examples an epoch.
  """

  def kernels(params):
    return jax.tree.map(lambda w: w.ndim > 1, params)

  parts = []
  if config.l2:
    parts.append(optax.add_decayed_weights(config.l2, kernels))
  if config.optimizer == "adam":
    parts.append(optax.scale_by_adam())
  else:
    parts.append(optax.trace(decay=0.9))
  if config.weight_decay:
    parts.append(optax.add_decayed_weights(config.weight_decay, kernels))
  parts.append(optax.scale_by_learning_rate(schedule(config, num_examples)))
  return optax.chain(*parts)

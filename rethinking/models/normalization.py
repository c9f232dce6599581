"""Batch normalisation over all devices, and across channels."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from rethinking.models import linear
from rethinking.models.linear import DTypeLike


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def batch_norm(
  x: jax.Array,
  scale: jax.Array,
  offset: jax.Array,
  epsilon: float,
  axis_name: str | None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Normalises by the statistics of the whole batch, on all devices.

  Args:
    x: [..., C].
    scale: [C], multiplies the normalised values.
    offset: [C], added at the end.
    epsilon: added to the variance.
    axis_name: name of the mapped device axis, or None for one device.

  Returns:
    The normalised values, the mean [C] and the biased variance [C]. Only the
    first carries a gradient.
  """
  return _batch_norm_forward(x, scale, offset, epsilon, axis_name)[0]


def _mean(x, axis_name):
  """The mean of [..., C] over rows and devices, [C]."""
  mean = linear.column_sums(x) / (x.size // x.shape[-1])
  return mean if axis_name is None else jax.lax.pmean(mean, axis_name)


def _row(vector, x):
  """A vector [C] that broadcasts along `x`, [..., C]."""
  return vector.reshape((1,) * (x.ndim - 1) + (-1,))


# Were the mean the same value in each of its uses, XLA on the CPU would compute
# the centred activations once for all, and write and read an array of the size
# of `x` where they can be computed on the way into a sum. So each use has a
# barrier of its own. XLA takes equal barriers for one, and drops from them what
# nobody reads: each holds a different second value, which is used.


def _batch_norm_forward(x, scale, offset, epsilon, axis_name):
  x = linear.materialized(x)
  # The squares are centred: E[x^2] - E[x]^2 cancels where a channel's mean is
  # far from zero, and costs as much.
  mean = _mean(x, axis_name)
  same_x, centre = linear.materialized((x, mean))
  var = _mean(jnp.square(same_x - _row(centre, x)), axis_name)
  factor = jax.lax.rsqrt(var + epsilon)
  centre, slope = linear.materialized((mean, factor * scale))
  y = (x - _row(centre, x)) * _row(slope, x) + _row(offset, x)
  return (y, mean, var), (x, mean, factor, scale)


def _batch_norm_backward(epsilon, axis_name, residuals, gradients):
  del epsilon
  x, mean, factor, scale = residuals
  gradient, centre = linear.materialized((gradients[0], mean))
  to_offset = linear.column_sums(gradient)
  to_scale = linear.column_sums(gradient * (x - _row(centre, x))) * factor
  # Every example shifts the statistics of all devices, so the two sums are
  # averaged over them; the parameters' own gradients are this device's.
  shared = (to_offset, to_scale)
  if axis_name is not None:
    shared = jax.lax.pmean(shared, axis_name)
  by_mean, by_var = (s / (x.size // x.shape[-1]) for s in shared)
  centre, by_mean = linear.materialized((mean, by_mean))
  centred = x - _row(centre, x)
  to_x = gradient - _row(by_mean, x) - centred * _row(by_var * factor, x)
  return to_x * _row(factor * scale, x), to_scale, to_offset


batch_norm.defvjp(_batch_norm_forward, _batch_norm_backward)


class BatchNorm(nn.Module):
  """Batch normalisation over the batch of all devices.

  Training normalises with the mean and the biased variance over every axis but
  the last and over the devices on `axis_name`; so a batch gives the same
  output however it is split. The running statistics follow with
  r <- momentum * r + (1 - momentum) * batch statistic.

  Attributes:
    momentum: share of the old running statistic kept at a step, [0, 1).
    epsilon: added to the variance.
    use_affine: whether a learned scale and offset follow.
    axis_name: name of the mapped device axis, or None for one device.
    dtype: compute type of the output.

  Reference: Ioffe and Szegedy, 2015, section 3.1.
  """

  momentum: float = 0.9
  epsilon: float = 1e-5
  use_affine: bool = True
  axis_name: str | None = None
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Normalises `x`, [..., C], per channel."""
    wide = linear.parameter_dtype(self.dtype)
    shape = (x.shape[-1],)
    running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, wide)
    running_var = self.variable("batch_stats", "var", jnp.ones, shape, wide)
    if self.use_affine:
      ones, zeros = nn.initializers.ones_init(), nn.initializers.zeros_init()
      scale = self.param("scale", ones, shape, wide)
      offset = self.param("offset", zeros, shape, wide)
    else:
      scale, offset = jnp.ones(shape, wide), jnp.zeros(shape, wide)
    x = x.astype(wide)
    if not train or self.is_initializing():
      factor = scale * jax.lax.rsqrt(running_var.value + self.epsilon)
      y = (x - _row(running_mean.value, x)) * _row(factor, x)
      return (y + _row(offset, x)).astype(self.dtype)
    y, mean, var = batch_norm(x, scale, offset, self.epsilon, self.axis_name)
    keep = self.momentum
    running_mean.value = keep * running_mean.value + (1 - keep) * mean
    running_var.value = keep * running_var.value + (1 - keep) * var
    return y.astype(self.dtype)


def local_response_norm(
  x: jax.Array,
  *,
  radius: int = 4,
  bias: float = 1.0,
  alpha: float = 0.001 / 9,
  beta: float = 0.75,
) -> jax.Array:
  """Divides by a power of the squares summed over neighbouring channels.

  y_c = x_c / (bias + alpha * sum_{|k - c| <= radius} x_k^2)^beta

  Args:
    x: activations, [..., C].
    radius: channels on each side.
    bias: added to the sum.
    alpha: factor of the sum.
    beta: exponent.

  Returns:
    Array like `x`.

  Reference: Krizhevsky et al., 2012, section 3.3.
  """
  channel = jnp.arange(x.shape[-1])
  distance = jnp.abs(channel[:, None] - channel[None, :])
  band = (distance <= radius).astype(x.dtype)
  sums = jnp.matmul(jnp.square(x), band, precision=jax.lax.Precision.HIGHEST)
  total = bias + alpha * sums
  if beta == 0.75:
    # Two square roots take less time than a power.
    root = jax.lax.rsqrt(total)
    return x * root * jnp.sqrt(root)
  return x * total**-beta

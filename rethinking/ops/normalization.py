"""Normalisation over the batch of all devices, and across channels."""

import functools

import jax
import jax.numpy as jnp

from rethinking.ops.sums import column_sums, row
from rethinking.ops.switch import materialized


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


# Each use of the mean has a barrier of its own, with a second value that is
# used and differs, so that a CPU does not keep an array of centred activations.


def _batch_norm_forward(x, scale, offset, epsilon, axis_name):
  x = materialized(x)
  count = x.size // x.shape[-1]
  # The squares are centred: E[x^2] - E[x]^2 cancels where a channel's mean is
  # far from zero, and costs as much.
  mean = column_sums(x) / count
  same_x, centre = materialized((x, mean))
  var = column_sums(jnp.square(same_x - row(centre, x))) / count
  if axis_name is not None:
    # Both at once: two sums, of which one waits for the other, take longer.
    means, variances = jax.lax.all_gather((mean, var), axis_name)
    mean, var = means.mean(0), variances.mean(0) + means.var(0)
  factor = jax.lax.rsqrt(var + epsilon)
  centre, slope = materialized((mean, factor * scale))
  y = (x - row(centre, x)) * row(slope, x) + row(offset, x)
  return (y, mean, var), (x, mean, factor, scale)


def _batch_norm_backward(epsilon, axis_name, residuals, gradients):
  x, mean, factor, scale = residuals
  gradient, centre = materialized((gradients[0], mean))
  to_offset = column_sums(gradient)
  to_scale = column_sums(gradient * (x - row(centre, x))) * factor
  # Every example shifts the statistics of all devices, so the two sums are
  # averaged over them; the parameters' own gradients are this device's.
  shared = (to_offset, to_scale)
  if axis_name is not None:
    shared = jax.lax.pmean(shared, axis_name)
  by_mean, by_var = (s / (x.size // x.shape[-1]) for s in shared)
  centre, by_mean = materialized((mean, by_mean))
  centred = x - row(centre, x)
  to_x = gradient - row(by_mean, x) - centred * row(by_var * factor, x)
  return to_x * row(factor * scale, x), to_scale, to_offset


batch_norm.defvjp(_batch_norm_forward, _batch_norm_backward)


def local_response_norm(x: jax.Array) -> jax.Array:
  """Divides by a power of the squares summed over neighbouring channels.

  y_c = x_c / (1 + 0.001 / 9 * sum_{|k - c| <= 4} x_k^2)^0.75

  Args:
    x: activations, [..., C].

  Returns:
    Array like `x`.

  Reference: Krizhevsky et al., 2012, section 3.3.
  """
  channel = jnp.arange(x.shape[-1])
  distance = jnp.abs(channel[:, None] - channel[None, :])
  band = (distance <= 4).astype(x.dtype)
  sums = jnp.matmul(jnp.square(x), band, precision=jax.lax.Precision.HIGHEST)
  # Two square roots take less time than a power.
  root = jax.lax.rsqrt(1.0 + 0.001 / 9 * sums)
  return x * root * jnp.sqrt(root)

"""Layers the models share, exact on any number of devices.

Parameters and batch statistics are at least float32 whatever the compute type.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from rethinking import ops
from rethinking.ops import sums
from rethinking.runtime.allowed import BELOW_1

DTypeLike = jax.typing.DTypeLike

he_normal = nn.initializers.he_normal()
glorot_uniform = nn.initializers.glorot_uniform()
lecun_normal = nn.initializers.lecun_normal()


class Conv(nn.Module):
  """2-D convolution, SAME padding.

  Attributes:
    features: number of output channels.
    kernel_size: side of the square kernel, pixels.
    stride: pixels between outputs, in both directions.
    use_bias: whether a bias is added.
    dtype: compute type.
    kernel_init: initialiser of the kernel.
  """

  features: int
  kernel_size: int
  stride: int = 1
  use_bias: bool = True
  dtype: DTypeLike = jnp.float32
  kernel_init: nn.initializers.Initializer = he_normal

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Convolves `x`, [B, H, W, C], into [B, ceil(H/s), ceil(W/s), features]."""
    wide = ops.wide(self.dtype)
    shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
    kernel = self.param("kernel", self.kernel_init, shape, wide)
    y = ops.conv(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)
    if not self.use_bias:
      return y
    zeros = nn.initializers.zeros_init()
    bias = self.param("bias", zeros, (self.features,), wide)
    return ops.add_bias(y, bias.astype(self.dtype))


class Dense(nn.Module):
  """Fully connected layer with a bias.

  Attributes:
    features: number of outputs.
    dtype: compute type.
    kernel_init: initialiser of the kernel.
  """

  features: int
  dtype: DTypeLike = jnp.float32
  kernel_init: nn.initializers.Initializer = he_normal

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `x`, [B, D], to [B, features]."""
    wide = ops.wide(self.dtype)
    shape = (x.shape[-1], self.features)
    kernel = self.param("kernel", self.kernel_init, shape, wide)
    zeros = nn.initializers.zeros_init()
    bias = self.param("bias", zeros, (self.features,), wide)
    y = x.astype(self.dtype) @ kernel.astype(self.dtype)
    return ops.add_bias(y, bias.astype(self.dtype))


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
    wide = ops.wide(self.dtype)
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
      y = (x - sums.row(running_mean.value, x)) * sums.row(factor, x)
      return (y + sums.row(offset, x)).astype(self.dtype)
    y, mean, var = ops.batch_norm(
      x, scale, offset, self.epsilon, self.axis_name
    )
    keep = self.momentum
    running_mean.value = keep * running_mean.value + (1 - keep) * mean
    running_var.value = keep * running_var.value + (1 - keep) * var
    return y.astype(self.dtype)


def dropout(
  keys: jax.Array | None, x: jax.Array, rate: float, *, layer: int, train: bool
) -> jax.Array:
  """Zeroes each entry with probability `rate` and rescales the others.

  An example's mask depends on its own key and the layer alone: not on its
  place in the batch, nor on the number of devices. The probability is rounded
  to a multiple of 2**-16 and the scale is its exact inverse, so the mean is
  kept.

  Args:
    keys: one typed key for each example, [B]; unused when nothing is dropped.
    x: activations, [B, ...].
    rate: probability of zeroing, [0, 1).
    layer: which dropout of the model this is; each has masks of its own.
    train: whether to drop at all.

  Returns:
    Array like `x`.

  Raises:
    ValueError: a rate out of range, or keys that are missing.

  Reference: Srivastava et al., 2014, section 4.
  """
  BELOW_1.check("dropout", rate)
  if not train or rate == 0:
    return x
  if keys is None:
    raise ValueError(
      "dropout_keys must be given to a model that drops activations, got none; "
      "try one typed key for each example."
    )
  kept = min(max(round((1 - rate) * 2**16), 1), 2**16)
  if kept == 2**16:
    return x
  size = x[0].size
  words = jax.vmap(
    lambda key: jax.random.bits(
      jax.random.fold_in(key, layer), (-(-size // 2),), jnp.uint32
    )
  )(keys)
  # Two thresholds from each word: half the random words. Side by side, not in
  # turns, which a TPU takes twice as long for.
  halves = jnp.concatenate([words & 0xFFFF, words >> 16], axis=1)
  halves = halves[:, :size].reshape(x.shape)
  scale = jnp.asarray(2**16 / kept, x.dtype)
  return jnp.where(halves < kept, x * scale, jnp.zeros((), x.dtype))


def flatten(x: jax.Array) -> jax.Array:
  """Flattens [B, ...] to [B, D]."""
  return x.reshape(x.shape[0], -1)

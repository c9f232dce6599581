"""Layers the models share: exact on any number of devices, quick on a CPU.

Parameters and batch statistics are at least float32 whatever the compute type.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from rethinking.models import convolution, linear
from rethinking.models.linear import DTypeLike

he_normal = nn.initializers.he_normal()


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
    kernel = self.param(
      "kernel",
      self.kernel_init,
      (self.kernel_size, self.kernel_size, x.shape[-1], self.features),
      linear.parameter_dtype(self.dtype),
    )
    y = convolution.conv(
      x.astype(self.dtype), kernel.astype(self.dtype), self.stride
    )
    if not self.use_bias:
      return y
    bias = self.param(
      "bias",
      nn.initializers.zeros_init(),
      (self.features,),
      linear.parameter_dtype(self.dtype),
    )
    return linear.add_bias(y, bias.astype(self.dtype))


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
    wide = linear.parameter_dtype(self.dtype)
    shape = (x.shape[-1], self.features)
    kernel = self.param("kernel", self.kernel_init, shape, wide)
    zeros = nn.initializers.zeros_init()
    bias = self.param("bias", zeros, (self.features,), wide)
    y = x.astype(self.dtype) @ kernel.astype(self.dtype)
    return linear.add_bias(y, bias.astype(self.dtype))


class Logits(Dense):
  """The last layer: logits in float32, or wider if the compute type is."""

  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `x`, [B, D], to logits [B, features]."""
    return super().__call__(x).astype(linear.parameter_dtype(self.dtype))


def dropout(
  keys: jax.Array | None,
  x: jax.Array,
  rate: float,
  *,
  layer: int,
  train: bool,
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
    ValueError: `rate` is out of range, or keys are missing.

  Reference: Srivastava et al., 2014, section 4.
  """
  if not 0 <= rate < 1:
    raise ValueError(
      f"Dropout rate {rate!r} is out of range; choose one in [0, 1)."
    )
  if not train or rate == 0:
    return x
  if keys is None:
    raise ValueError(
      "This model drops activations in training and got no keys; pass"
      " dropout_keys, one typed key for each example."
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
  # Two thresholds from each word: half the random words.
  halves = jax.lax.bitcast_convert_type(words, jnp.uint16)
  halves = halves.reshape(x.shape[0], -1)[:, :size].reshape(x.shape)
  scale = jnp.asarray(2**16 / kept, x.dtype)
  return jnp.where(halves < kept, x * scale, jnp.zeros((), x.dtype))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def max_pool(x: jax.Array, window: int, stride: int) -> jax.Array:
  """Largest value of each window, SAME padding.

  Where entries of a window tie, the gradient goes to the first in row order,
  as in XLA's own reduction. A NaN in a window is its value, and the first one
  gets the gradient.

  Args:
    x: activations, [B, H, W, C].
    window: side of the square window, pixels.
    stride: pixels between windows, in both directions.

  Returns:
    Array [B, ceil(H/stride), ceil(W/stride), C].
  """
  return _max_pool_forward(x, window, stride)[0]


def _max_pool_forward(x, window, stride):
  """Also returns which entry of its window each maximum is."""
  shape = x.shape
  padding = [linear.same_padding(size, window, stride) for size in shape[1:3]]
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-jnp.inf)
  rows, columns = ((-(-size // stride) - 1) * stride + 1 for size in shape[1:3])
  best, entry = None, None
  for i in range(window):
    for j in range(window):
      part = x[:, i : i + rows : stride, j : j + columns : stride]
      here = _entry(i, j, window, stride)
      if best is None:
        best, entry = part, jnp.full(part.shape, here, jnp.int32)
        continue
      # The second test keeps a NaN once it is seen.
      keep = (best >= part) | (best != best)
      best = jnp.where(keep, best, part)
      entry = jnp.where(keep, entry, here)
  return best, (entry, shape[1:3])


def _entry(i, j, window, stride):
  """A number of its own for each entry (i, j), j below window + stride."""
  return i * (window + stride) + j


def _max_pool_backward(window, stride, residuals, gradient):
  """Each pixel reads its gradient from the windows that it lies in.

  Derived from the forward pass, each entry of the windows would write to the
  pixels instead, nine times for a window of three: small AlexNet's step took
  150 ms so, and 115 like this.
  """
  entry, size = residuals
  reach = (window - 1) // stride
  before, counts = [], []
  for length in size:
    low, _ = linear.same_padding(length, window, stride)
    before.append(low)
    counts.append(-(-(low + length) // stride))
  # Room for the windows before the first and after the last.
  room = [
    (reach, count - length)
    for count, length in zip(counts, gradient.shape[1:3], strict=True)
  ]
  room = ((0, 0), *room, (0, 0))
  gradient = jnp.pad(gradient, room)
  entry = jnp.pad(entry, room, constant_values=-1)
  gradient, entry = linear.materialized(gradient), linear.materialized(entry)
  phase = jnp.arange(stride, dtype=jnp.int32)
  total = 0
  for u in range(reach + 1):
    for v in range(reach + 1):
      # Windows u rows and v columns back: a pixel of phase (a, b) is their
      # entry (u * stride + a, v * stride + b).
      rows = slice(reach - u, reach - u + counts[0])
      columns = slice(reach - v, reach - v + counts[1])
      here = _entry(
        u * stride + phase[:, None], v * stride + phase[None, :], window, stride
      )
      total += jnp.where(
        entry[:, rows, None, columns, None]
        == here[None, None, :, None, :, None],
        gradient[:, rows, None, columns, None],
        jnp.zeros((), gradient.dtype),
      )
  batch, channels = gradient.shape[0], gradient.shape[3]
  total = total.reshape(batch, counts[0] * stride, counts[1] * stride, channels)
  return (
    total[:, before[0] : before[0] + size[0], before[1] : before[1] + size[1]],
  )


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def flatten(x: jax.Array) -> jax.Array:
  """Flattens [B, ...] to [B, D]."""
  return x.reshape(x.shape[0], -1)


def rates(
  dropout_rate: float | None, published: Sequence[float]
) -> tuple[float, ...]:
  """The architecture's own dropout rates, or `dropout_rate` for each."""
  if dropout_rate is None:
    return tuple(published)
  return (dropout_rate,) * len(published)

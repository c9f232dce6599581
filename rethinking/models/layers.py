"""Layers the models share: exact on any number of devices, quick on a CPU.

Parameters and batch statistics are at least float32 whatever the compute type.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

DTypeLike = jax.typing.DTypeLike

# Images, kernels, images.
_LAYOUT = ("NHWC", "HWIO", "NHWC")

he_normal = nn.initializers.he_normal()


def parameter_dtype(dtype: DTypeLike) -> jnp.dtype:
  """The type parameters are kept in: float32, or wider if `dtype` is."""
  return jnp.promote_types(dtype, jnp.float32)


def column_sums(x: jax.Array) -> jax.Array:
  """Sums over every axis but the last: [..., C] -> [C].

  On the CPU as a product with ones: XLA's own reduction walks down the columns
  one at a time, and took most of a batch normalisation's time. Elsewhere
  products may round their operands, and reductions are quick.
  """
  rows = x.reshape(-1, x.shape[-1])
  return jax.lax.platform_dependent(
    rows,
    cpu=lambda rows: jnp.ones((rows.shape[0],), rows.dtype) @ rows,
    default=lambda rows: rows.sum(0),
  )


@jax.custom_vjp
def add_bias(x: jax.Array, bias: jax.Array) -> jax.Array:
  """Adds `bias`, [C], to `x`, [..., C], of the same type."""
  return x + bias.reshape((1,) * (x.ndim - 1) + (-1,))


def _add_bias_forward(x, bias):
  return add_bias(x, bias), None


def _add_bias_backward(_, gradient):
  wide = gradient.astype(parameter_dtype(gradient.dtype))
  return gradient, column_sums(wide).astype(gradient.dtype)


add_bias.defvjp(_add_bias_forward, _add_bias_backward)


def conv(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  """2-D convolution, SAME padding.

  A 1x1 kernel is a matrix product, and so are its gradients; as a convolution
  its gradient took four times as long on a CPU. Larger kernels have gradients
  of their own there, with the same values.

  Args:
    x: activations, [B, H, W, C].
    kernel: [k, k, C, D].
    stride: pixels between outputs, in both directions.

  Returns:
    Array [B, ceil(H/stride), ceil(W/stride), D].
  """
  if kernel.shape[:2] == (1, 1):
    return x[:, ::stride, ::stride] @ kernel[0, 0]
  return _conv(x, kernel, stride)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x, kernel, stride):
  return _plain_conv(x, kernel, stride)


def _plain_conv(x, kernel, stride):
  return jax.lax.conv_general_dilated(
    x, kernel, (stride, stride), "SAME", dimension_numbers=_LAYOUT
  )


def _conv_forward(x, kernel, stride):
  return _plain_conv(x, kernel, stride), (x, kernel)


def _conv_backward(stride, residuals, gradient):
  x, kernel = residuals
  plain = functools.partial(_plain_conv, stride=stride)

  def plain_gradients(x, kernel, gradient):
    return jax.vjp(plain, x, kernel)[1](gradient)

  def cpu_gradients(x, kernel, gradient):
    to_x, to_kernel = plain_gradients(x, kernel, gradient)
    if 1 < stride <= kernel.shape[0]:
      to_x = _input_gradient_by_phase(x.shape, kernel, gradient, stride)
    if stride == 1 and 2 * x.shape[-1] >= 3 * gradient.shape[-1]:
      to_kernel = _kernel_gradient_swapped(x, kernel.shape[0], gradient)
    return to_x, to_kernel

  return jax.lax.platform_dependent(
    x, kernel, gradient, cpu=cpu_gradients, default=plain_gradients
  )


_conv.defvjp(_conv_forward, _conv_backward)


def _input_gradient_by_phase(shape, kernel, gradient, stride):
  """A strided convolution's gradient as small convolutions without strides.

  Pixels with the same remainder by the stride share the entries of the kernel
  that reach them, so no product with the zeros between strides is taken: 16
  instead of 45 ms (28x28, 80 to 80 channels, batch 128, two cores).
  """
  size = kernel.shape[0]

  def taps(length, phase):
    """Kernel entries that reach a phase, and the padding they need."""
    low, _ = same_padding(length, size, stride)
    entries = [i for i in range(size) if (phase + low - i) % stride == 0]
    first = (phase + low - entries[0]) // stride
    last = (phase + low - entries[-1]) // stride
    return entries[0], (-last, first)

  rows = []
  for a in range(stride):
    top, row_padding = taps(shape[1], a)
    columns = []
    for b in range(stride):
      left, column_padding = taps(shape[2], b)
      part = kernel[top::stride, left::stride]
      columns.append(
        jax.lax.conv_general_dilated(
          gradient,
          part[::-1, ::-1].swapaxes(2, 3),
          (1, 1),
          (row_padding, column_padding),
          dimension_numbers=_LAYOUT,
        )
      )
    rows.append(jnp.stack(columns, axis=3))
  # [B, rows, phase, columns, phase, C]: the phases interleave.
  y = jnp.stack(rows, axis=2)
  y = y.reshape(shape[0], y.shape[1] * stride, y.shape[3] * stride, shape[3])
  return y[:, : shape[1], : shape[2]]


def _kernel_gradient_swapped(x, size, gradient):
  """A kernel's gradient with the roles of input and gradient exchanged.

  XLA unrolls the patches of the first operand, so the one with fewer channels
  should be it: 51 instead of 64 ms for 96 to 32 channels at 28x28.
  """
  # Flipped, since shifting one operand is shifting the other back.
  before, after = size - 1 - (size - 1) // 2, (size - 1) // 2
  y = jax.lax.conv_general_dilated(
    gradient,
    x,
    (1, 1),
    ((before, after), (before, after)),
    dimension_numbers=("CHWN", "IHWO", "HWNC"),
  )
  return y[::-1, ::-1].swapaxes(2, 3)


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
      parameter_dtype(self.dtype),
    )
    y = conv(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)
    if not self.use_bias:
      return y
    bias = self.param(
      "bias",
      nn.initializers.zeros_init(),
      (self.features,),
      parameter_dtype(self.dtype),
    )
    return add_bias(y, bias.astype(self.dtype))


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
    wide = parameter_dtype(self.dtype)
    shape = (x.shape[-1], self.features)
    kernel = self.param("kernel", self.kernel_init, shape, wide)
    zeros = nn.initializers.zeros_init()
    bias = self.param("bias", zeros, (self.features,), wide)
    y = x.astype(self.dtype) @ kernel.astype(self.dtype)
    return add_bias(y, bias.astype(self.dtype))


class Logits(Dense):
  """The last layer: logits in float32, or wider if the compute type is."""

  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `x`, [B, D], to logits [B, features]."""
    return super().__call__(x).astype(parameter_dtype(self.dtype))


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
  mean = column_sums(x) / (x.size // x.shape[-1])
  return mean if axis_name is None else jax.lax.pmean(mean, axis_name)


def _row(vector, x):
  """A vector [C] that broadcasts along `x`, [..., C]."""
  return vector.reshape((1,) * (x.ndim - 1) + (-1,))


def _batch_norm_forward(x, scale, offset, epsilon, axis_name):
  # The squares are centred: E[x^2] - E[x]^2 cancels where a channel's mean is
  # far from zero, and costs as much.
  mean = _mean(x, axis_name)
  var = _mean(jnp.square(x - _row(mean, x)), axis_name)
  factor = jax.lax.rsqrt(var + epsilon)
  y = (x - _row(mean, x)) * _row(factor * scale, x) + _row(offset, x)
  return (y, mean, var), (x, mean, factor, scale)


def _batch_norm_backward(epsilon, axis_name, residuals, gradients):
  del epsilon
  x, mean, factor, scale = residuals
  gradient, _, _ = gradients
  normalised = (x - _row(mean, x)) * _row(factor, x)
  to_offset = column_sums(gradient)
  to_scale = column_sums(gradient * normalised)
  # Every example shifts the statistics of all devices, so the two sums are
  # averaged over them; the parameters' own gradients are this device's.
  shared = (to_offset, to_scale)
  if axis_name is not None:
    shared = jax.lax.pmean(shared, axis_name)
  by_mean, by_var = (s / (x.size // x.shape[-1]) for s in shared)
  to_x = (gradient - _row(by_mean, x) - normalised * _row(by_var, x)) * _row(
    factor * scale, x
  )
  return to_x, to_scale, to_offset


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
    wide = parameter_dtype(self.dtype)
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


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
  """Zeros before and after an axis of `size` under SAME padding."""
  total = max((-(-size // stride) - 1) * stride + window - size, 0)
  return total // 2, total - total // 2


def max_pool(x: jax.Array, window: int, stride: int) -> jax.Array:
  """Largest value of each window, SAME padding.

  Where entries of a window tie, the gradient goes to the first in row order,
  as in XLA's own reduction.

  Args:
    x: activations, [B, H, W, C].
    window: side of the square window, pixels.
    stride: pixels between windows, in both directions.

  Returns:
    Array [B, ceil(H/stride), ceil(W/stride), C].
  """
  height, width = x.shape[1:3]
  padding = (
    (0, 0),
    same_padding(height, window, stride),
    same_padding(width, window, stride),
    (0, 0),
  )
  x = jnp.pad(x, padding, constant_values=-jnp.inf)
  rows = (-(-height // stride) - 1) * stride + 1
  columns = (-(-width // stride) - 1) * stride + 1
  best = None
  for i in range(window):
    for j in range(window):
      part = x[:, i : i + rows : stride, j : j + columns : stride]
      # The second test keeps a NaN once it is seen.
      best = (
        part
        if best is None
        else jnp.where((best >= part) | (best != best), best, part)
      )
  return best


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

"""Convolution and its gradients, in forms that are quick on a CPU.

They differ from the plain form by rounding alone. What each gains is in
configs/results/benchmark.md.
"""

import functools

import jax
import jax.numpy as jnp

from rethinking.ops import plain, sums, switch, winograd

# A kernel's gradient is taken in parts of the batch, so that their transposed
# copies fit the cache.
_PARTS = 8
# It is where neither side of the kernel has more channels than this ...
_NARROW = 32
# ... and the batch has at least so many pixels.
_MANY_PIXELS = 2**15


def conv(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  """2-D convolution, SAME padding.

  On a CPU a 1x1 kernel is a matrix product, and so are its gradients.
  Derivatives are for the reverse mode; JAX refuses the forward mode.

  Args:
    x: activations, [B, H, W, C].
    kernel: [k, k, C, D].
    stride: pixels between outputs, in both directions.

  Returns:
    Array [B, ceil(H/stride), ceil(W/stride), D].
  """
  if kernel.shape[:2] == (1, 1):
    return _one_pixel(x, kernel, stride)
  return _conv(x, kernel, stride)


def _rows(x, stride):
  """The pixels that a 1x1 kernel reads, [N, C]."""
  return x[:, ::stride, ::stride].reshape(-1, x.shape[-1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _one_pixel(x, kernel, stride):
  return _product(x, _rows(x, stride), kernel, stride)


def _product(x, rows, kernel, stride):
  shape = jax.eval_shape(lambda: plain.conv(x, kernel, stride)).shape
  return switch.choose(
    x,
    rows,
    kernel,
    fast=lambda _, rows, kernel: (rows @ kernel[0, 0]).reshape(shape),
    plain=lambda x, _, kernel: plain.conv(x, kernel, stride),
  )


def _one_pixel_forward(x, kernel, stride):
  rows = switch.materialized(_rows(x, stride))
  return _product(x, rows, kernel, stride), (x, rows, kernel)


def _one_pixel_backward(stride, residuals, gradient):
  def fast(x, rows, kernel, gradient):
    gradient = switch.materialized(gradient.reshape(-1, gradient.shape[-1]))
    to_kernel = jax.lax.dot_general(rows, gradient, (((0,), (0,)), ((), ())))
    to_x = jax.linear_transpose(functools.partial(_rows, stride=stride), x)
    return *to_x(gradient @ kernel[0, 0].T), to_kernel[None, None]

  def plainly(x, _, kernel, gradient):
    return _plain_gradients(x, kernel, gradient, stride)

  return switch.choose(*residuals, gradient, fast=fast, plain=plainly)


_one_pixel.defvjp(_one_pixel_forward, _one_pixel_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x, kernel, stride):
  return switch.choose(x, kernel, fast=_fast, plain=plain.conv, stride=stride)


def _fast(x, kernel, stride):
  if winograd.is_quicker(x, kernel, stride):
    return winograd.conv(x, kernel)
  if _by_pairs_is_quicker(x, kernel, stride):
    return _conv_by_pairs(x, kernel)
  return plain.conv(x, kernel, stride)


def _forward(x, kernel, stride):
  x = switch.materialized(x)
  return _conv(x, kernel, stride), (x, kernel)


def _backward(stride, residuals, gradient):
  operands = *residuals, switch.materialized(gradient)
  return switch.choose(
    *operands, fast=_fast_gradients, plain=_plain_gradients, stride=stride
  )


_conv.defvjp(_forward, _backward)


def _plain_gradients(x, kernel, gradient, stride):
  conv = functools.partial(plain.conv, stride=stride)
  return jax.vjp(conv, x, kernel)[1](gradient)


def _fast_gradients(x, kernel, gradient, stride):
  operands = x, kernel, gradient, stride
  return _input_gradient(*operands), _kernel_gradient(*operands)


def _input_gradient(x, kernel, gradient, stride):
  size = kernel.shape[0]
  if stride == 1 and size % 2 == 1:
    return _fast(gradient, kernel[::-1, ::-1].swapaxes(2, 3), 1)
  if 1 < stride <= size:
    return _input_gradient_by_phase(x.shape, kernel, gradient, stride)
  return _plain_gradients(x, kernel, gradient, stride)[0]


def _kernel_gradient(x, kernel, gradient, stride):
  if winograd.is_quicker(x, kernel, stride):
    # With the gradient, or the input's tiles would be made in the forward pass
    # and kept.
    x, gradient = switch.materialized((x, gradient))
    return winograd.kernel_gradient(x, gradient)

  def whole(x, gradient):
    if stride == 1 and 2 * x.shape[-1] >= 3 * gradient.shape[-1]:
      return _kernel_gradient_swapped(x, kernel.shape[0], gradient)
    return _plain_gradients(x, kernel, gradient, stride)[1]

  narrow = max(kernel.shape[2:]) <= _NARROW
  many = gradient.size // gradient.shape[-1] >= _MANY_PIXELS
  if not (narrow and many):
    return whole(x, gradient)
  size = -(-x.shape[0] // _PARTS)
  wide = sums.wide(kernel.dtype)
  total = sum(
    whole(x[i : i + size], gradient[i : i + size]).astype(wide)
    for i in range(0, x.shape[0], size)
  )
  return total.astype(kernel.dtype)


def _by_pairs_is_quicker(x, kernel, stride):
  """Whether `_conv_by_pairs` takes less time on a CPU.

  Where C is at most 4, or C and D are at most 16; on smaller images, such as
  the 8x8 digits, the gain is too small to matter.
  """
  size, _, channels, features = kernel.shape
  few = channels <= 4 or max(channels, features) <= 16
  width = x.shape[2]
  return (
    few and stride == 1 and size % 2 == 1 and width >= 16 and width % 2 == 0
  )


def _conv_by_pairs(x, kernel):
  """[B, H, W, C] and [k, k, C, D] to [B, H, W, D], no stride, W even.

  Two neighbouring outputs are the channels of one, at every second pixel. So
  fewer patches are unrolled, each for twice as many outputs; the kernel of
  either has a column of zeros more.
  """
  size, _, channels, features = kernel.shape
  left, right = (
    jnp.pad(kernel, ((0, 0), columns, (0, 0), (0, 0)))
    for columns in ((0, 1), (1, 0))
  )
  pairs = jnp.stack([left, right], 3)
  y = jax.lax.conv_general_dilated(
    x,
    pairs.reshape(size, size + 1, channels, 2 * features),
    (1, 2),
    ((size // 2, size // 2),) * 2,
    dimension_numbers=plain.LAYOUT,
  )
  return y.reshape(*x.shape[:3], features)


def _input_gradient_by_phase(shape, kernel, gradient, stride):
  """A strided convolution's gradient as small convolutions without strides.

  Pixels with the same remainder by the stride share the entries of the kernel
  that reach them, so no product with the zeros between strides is taken.
  """
  size = kernel.shape[0]

  def taps(length, phase):
    """Kernel entries that reach a phase, and the padding they need."""
    [(low, _)] = jax.lax.padtype_to_pads([length], [size], [stride], "SAME")
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
          dimension_numbers=plain.LAYOUT,
        )
      )
    rows.append(jnp.stack(columns, axis=3))
  # [B, rows, phase, columns, phase, C]: the phases interleave.
  y = jnp.stack(rows, axis=2)
  y = y.reshape(shape[0], y.shape[1] * stride, y.shape[3] * stride, shape[3])
  return y[:, : shape[1], : shape[2]]


def _kernel_gradient_swapped(x, size, gradient):
  """A kernel's gradient with the roles of input and gradient exchanged.

  XLA unrolls the patches of the first operand, so the one with clearly fewer
  channels should be it.
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

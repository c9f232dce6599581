"""Convolution in fewer products: Winograd's minimal filtering, F(2x2, 3x3).

A tile of 2x2 outputs of a 3x3 kernel takes 16 products of transformed inputs
and kernels instead of 36; all else are sums. Over all tiles and channels they
are 16 matrix products. Rounding differs from the plain convolution's in the
last digits of float32.

Reference: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
2016, section 4.
"""

import functools
import operator
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from rethinking.ops import sums, switch

# One dimension's outputs: _OUTPUT ((_KERNEL kernel) * (_INPUT input)).
_INPUT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
_OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))

# A part's transformed tiles should fit the cache: about so many numbers of the
# inputs or the outputs, whichever have more channels; 32 MiB in float32.
_PART = 2**23

_Grid = Sequence[Sequence[jax.Array]]


def is_quicker(x: jax.Array, kernel: jax.Array, stride: int) -> bool:
  """Whether a CPU takes less time for `conv`, and rounds about as well.

  With fewer channels the sums take longer than the products saved, on smaller
  images tiles are mostly padding, and in narrow types the sums of inputs would
  be rounded.

  Args:
    x: activations, [B, H, W, C].
    kernel: [k, k, C, D].
    stride: pixels between outputs.
  """
  channels = kernel.shape[2:]
  return (
    kernel.shape[:2] == (3, 3)
    and stride == 1
    and min(channels) >= 32
    and max(channels) >= 64
    and min(x.shape[1:3]) >= 4
    and x.dtype == sums.wide(x.dtype)
    and x.shape[0] > 0
  )


def conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """3x3 convolution, SAME padding, no stride.

  Args:
    x: activations, [B, H, W, C].
    kernel: [3, 3, C, D].

  Returns:
    Array [B, H, W, D].
  """
  kernels = switch.materialized(_both_ways(_KERNEL, kernel))

  def convolve(x):
    inputs = switch.materialized(_both_ways(_INPUT, _input_tiles(x)))
    tiles = _both_ways(_OUTPUT, _entrywise(jnp.matmul, inputs, kernels))
    # [B, rows, 2, columns, 2, D]: the four pixels of the tiles interleave.
    y = jnp.stack([jnp.stack(row, 3) for row in tiles], 2)
    batch, high, _, wide, _, channels = y.shape
    y = y.reshape(batch, high * 2, wide * 2, channels)
    return y[:, : x.shape[1], : x.shape[2]]

  return jnp.concatenate(_by_parts(convolve, max(kernel.shape[2:]), x))


def kernel_gradient(x: jax.Array, gradient: jax.Array) -> jax.Array:
  """The gradient of `conv` by its kernel, its steps transposed.

  With o, i and k the three transforms, outputs are o(i(x) * k(kernel)), so this
  is k'(sum of i(x) * o'(gradient)), a prime being the transpose.

  Args:
    x: activations, [B, H, W, C].
    gradient: of the convolution's output, [B, H, W, D].

  Returns:
    Array [3, 3, C, D].
  """

  def products(x, gradient):
    inputs = _both_ways(_INPUT, _input_tiles(x))
    outputs = _both_ways(_transposed(_OUTPUT), _output_tiles(gradient))
    inputs, outputs = switch.materialized((inputs, outputs))
    return _entrywise(
      lambda a, b: jnp.tensordot(a, b, ((0, 1, 2),) * 2), inputs, outputs
    )

  channels = max(x.shape[-1], gradient.shape[-1])
  parts = _by_parts(products, channels, x, gradient)
  total = jax.tree.map(lambda *arrays: sum(arrays), *parts)
  entries = _both_ways(_transposed(_KERNEL), total)
  return jnp.stack([jnp.stack(row) for row in entries])


def _by_parts(function: Callable, channels: int, *arrays: jax.Array) -> list:
  """Applies `function` to parts of a batch, each after the one before.

  XLA would otherwise begin them all, and their tiles would not fit the cache.
  """
  batch, height, width, _ = arrays[0].shape
  numbers = 16 * batch * -(-height // 2) * -(-width // 2) * channels
  size = -(-batch // max(1, round(numbers / _PART)))
  results = []
  for i in range(0, batch, size):
    part = tuple(a[i : i + size] for a in arrays)
    if results:
      part, results[-1] = switch.materialized((part, results[-1]))
    results.append(function(*part))
  return results


def _entrywise(function: Callable, grid: _Grid, other: _Grid) -> _Grid:
  """Applies `function` to the arrays that stand at the same place."""
  return [
    [function(a, b) for a, b in zip(*rows, strict=True)]
    for rows in zip(grid, other, strict=True)
  ]


def _both_ways(matrix: Sequence[Sequence[float]], entries: _Grid) -> _Grid:
  """Returns matrix @ entries @ matrix.T, the entries being arrays."""
  rows = [
    [_combination(factors, column) for column in zip(*entries, strict=True)]
    for factors in matrix
  ]
  return [[_combination(factors, row) for factors in matrix] for row in rows]


def _combination(factors, arrays):
  pairs = zip(factors, arrays, strict=True)
  return functools.reduce(operator.add, [f * a for f, a in pairs if f])


def _transposed(matrix):
  return tuple(zip(*matrix, strict=True))


def _input_tiles(x):
  """Pixel (i, j) of all 4x4 tiles, which overlap by two pixels.

  Returns 4 by 4 arrays [B, ceil(H/2), ceil(W/2), C].
  """
  high, wide = (-(-size // 2) * 2 for size in x.shape[1:3])
  after = high - x.shape[1] + 1, wide - x.shape[2] + 1
  x = jnp.pad(x, ((0, 0), (1, after[0]), (1, after[1]), (0, 0)))
  return [
    [x[:, i : i + high : 2, j : j + wide : 2] for j in range(4)]
    for i in range(4)
  ]


def _output_tiles(x):
  """Pixel (i, j) of all 2x2 tiles: 2 by 2 arrays, shaped as input tiles."""
  x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
  return [[x[:, i::2, j::2] for j in range(2)] for i in range(2)]

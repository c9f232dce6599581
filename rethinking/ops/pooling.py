"""Max pooling whose gradient is read by each pixel, not written by windows."""

import functools

import jax
import jax.numpy as jnp

from rethinking.ops import plain, switch


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def max_pool(x: jax.Array, window: int, stride: int) -> jax.Array:
  """Largest value of each window, SAME padding.

  Where entries of a window tie, the gradient goes to the first in row order,
  as in XLA's own reduction. A NaN in a window is its value, and the first one
  gets the gradient, but on a TPU.

  Args:
    x: activations, [B, H, W, C].
    window: side of the square window, pixels.
    stride: pixels between windows, in both directions.

  Returns:
    Array [B, ceil(H/stride), ceil(W/stride), C].
  """
  return _forward(x, window, stride)[0]


def _forward(x, window, stride):
  """Also returns which entry of its window each maximum is, and `x`."""

  def plainly(x):
    best = plain.max_pool(x, window, stride)
    # Its gradient reads the images, and this is dropped.
    return best, jnp.zeros(best.shape, jnp.int32)

  fast = functools.partial(_with_entries, window=window, stride=stride)
  best, entry = switch.choose(
    x, fast=fast, plain=plainly, on=switch.CPU_AND_GPU
  )
  return best, (entry, x)


def _backward(window, stride, residuals, gradient):
  def fast(entry, x, gradient):
    return _gradient(entry, x.shape, gradient, window, stride)

  def plainly(_, x, gradient):
    pool = functools.partial(plain.max_pool, window=window, stride=stride)
    return jax.vjp(pool, x)[1](gradient)[0]

  return (
    switch.choose(
      *residuals, gradient, fast=fast, plain=plainly, on=switch.CPU_AND_GPU
    ),
  )


max_pool.defvjp(_forward, _backward)


def _with_entries(x, window, stride):
  shape = x.shape
  padding = _padding(shape[1:3], window, stride)
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
  return best, entry


def _padding(size, window, stride):
  return jax.lax.padtype_to_pads(size, (window,) * 2, (stride,) * 2, "SAME")


def _entry(i, j, window, stride):
  """A number of its own for each entry (i, j), j below window + stride."""
  return i * (window + stride) + j


def _gradient(entry, shape, gradient, window, stride):
  """Each pixel reads its gradient from the windows that it lies in.

  Derived from the forward pass, each entry of the windows would write to the
  pixels instead, nine times for a window of three.
  """
  size = shape[1:3]
  reach = (window - 1) // stride
  before = [low for low, _ in _padding(size, window, stride)]
  counts = [
    -(-(low + length) // stride)
    for low, length in zip(before, size, strict=True)
  ]
  # Room for the windows before the first and after the last.
  room = [
    (reach, count - length)
    for count, length in zip(counts, gradient.shape[1:3], strict=True)
  ]
  room = ((0, 0), *room, (0, 0))
  gradient = jnp.pad(gradient, room)
  entry = jnp.pad(entry, room, constant_values=-1)
  gradient, entry = switch.materialized(gradient), switch.materialized(entry)
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
  return total[
    :, before[0] : before[0] + size[0], before[1] : before[1] + size[1]
  ]

"""A window of an image at a place that is known when it runs."""

import functools

import jax
import jax.numpy as jnp

from rethinking.ops import switch


def window(
  image: jax.Array, row: jax.Array, column: jax.Array, size: int
) -> jax.Array:
  """Cuts a square window.

  Args:
    image: [H, W, C].
    row: int32 scalar in [0, H - size], the first one.
    column: int32 scalar in [0, W - size].
    size: side of the window, pixels.

  Returns:
    [size, size, C], the image's own bits.
  """
  # A TPU would go through the images of a batch one after another.
  return switch.choose(
    image,
    row,
    column,
    fast=_slice,
    plain=_products,
    on=switch.CPU_AND_GPU,
    size=size,
  )


def _slice(image, row, column, size):
  shape = (size, size, image.shape[2])
  begin = (row, column, jnp.zeros_like(row))
  return jax.lax.dynamic_slice(image, begin, shape)


def _products(image, row, column, size):
  product = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)

  def chosen(first, length):
    """Which pixel of a line each one is, [size, length]."""
    places = jnp.arange(length)[None] - jnp.arange(size)[:, None]
    return (places == first).astype(image.dtype)

  taken = product("ih,hwc->iwc", chosen(row, image.shape[0]), image)
  return product("jw,iwc->ijc", chosen(column, image.shape[1]), taken)

"""Rotation, shift, shear and zoom of an image in one interpolation."""

import functools

import jax
import jax.numpy as jnp

from rethinking.ops import switch


def affine(
  image: jax.Array,
  *,
  angle: jax.Array | float = 0.0,
  shift: tuple[jax.Array | float, jax.Array | float] = (0.0, 0.0),
  zoom: tuple[jax.Array | float, jax.Array | float] = (1.0, 1.0),
  shear: jax.Array | float = 0.0,
) -> jax.Array:
  """Rotates, shifts, shears and zooms an image with one interpolation.

  The pixel at p = (row, column), counted from the image's centre, is read at
  R T S Z p: scaled, then sheared, shifted and rotated. Between pixels it is
  bilinear, outside it is the nearest edge, as Keras does by default. Since
  these move the point that is read, the picture moves the other way.

  Args:
    image: [H, W, C] floats.
    angle: rotation, degrees; positive turns the picture clockwise.
    shift: rows and columns, pixels; positive moves the picture up and left.
    zoom: factors of rows and columns, above 0; below 1 enlarges.
    shear: degrees, above -90 and below 90.

  Returns:
    [H, W, C], the type of `image`. With every argument at its default it is the
    image to the bit.

  References:
    Chollet et al. (2015), Keras, `apply_affine_transform`.
    Jaderberg et al. (2015), Spatial transformer networks, section 3.3.
  """
  height, width, _ = image.shape
  angle, shear = jnp.deg2rad(angle), jnp.deg2rad(shear)
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
  rows = (jnp.arange(height, dtype=jnp.float32) - middle_row) * zoom[0]
  columns = (jnp.arange(width, dtype=jnp.float32) - middle_column) * zoom[1]
  rows, columns = rows[:, None], columns[None, :]
  rows = rows - jnp.sin(shear) * columns + shift[0]
  columns = jnp.cos(shear) * columns + shift[1]
  rows, columns = (
    cos * rows - sin * columns + middle_row,
    sin * rows + cos * columns + middle_column,
  )
  return _bilinear(image, rows, columns)


def _bilinear(
  image: jax.Array, rows: jax.Array, columns: jax.Array
) -> jax.Array:
  """Reads [H, W, C] at real `rows` and `columns`, each [H, W]."""
  height, width, _ = image.shape
  rows = jnp.clip(rows, 0, height - 1)
  columns = jnp.clip(columns, 0, width - 1)
  # A TPU reads few pixels here and there slowly, and multiplies quickly.
  found = switch.choose(
    jnp.asarray(image),
    rows,
    columns,
    fast=_gathers,
    plain=_products,
    on=switch.CPU_AND_GPU,
  )
  return found.astype(image.dtype)


# In either form weights are 1 and 0 at whole coordinates and give the pixel
# back to the bit, which a + (b - a) * weight would not, nor map_coordinates
# outside the image.


def _gathers(image, rows, columns):
  height, width, _ = image.shape
  top = rows.astype(jnp.int32)
  left = columns.astype(jnp.int32)
  bottom = jnp.minimum(top + 1, height - 1)
  right = jnp.minimum(left + 1, width - 1)

  def read(row, column):
    return image.at[row, column].get(mode="promise_in_bounds")

  # Four gathers fuse into one loop on the CPU, one of all four neighbours does
  # not.
  down = (rows - top)[..., None]
  across = (columns - left)[..., None]
  upper = (1 - across) * read(top, left) + across * read(top, right)
  lower = (1 - across) * read(bottom, left) + across * read(bottom, right)
  return (1 - down) * upper + down * lower


def _products(image, rows, columns):
  product = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)

  def weights(places, length):
    """What each pixel of a line counts at each place, [H, W, length]."""
    far = jnp.abs(places[..., None] - jnp.arange(length).reshape(1, 1, -1))
    return jnp.maximum(0, 1 - far)

  height, width, _ = image.shape
  taken = product("ijh,hwc->ijwc", weights(rows, height), image)
  return product("ijw,ijwc->ijc", weights(columns, width), taken)

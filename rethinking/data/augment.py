"""Random changes of one image that keep its class: crop, warp, flip, light.

Every op takes one image; a batch is its `vmap`. The key belongs to the example,
folded by (key, epoch, id), so what happens to an example does not depend on its
place in the batch or on the device.

`create` chains them as Keras's `ImageDataGenerator` does: affine, channel
shift, flip, brightness, with the crop, which Keras lacks, in front. Each op has
its own part of the key, so switching one on leaves the draws of the others as
they were.

Light is in the units of an image in [0, 1], pixels divided by 255. Per-image
whitening afterwards takes out most of a channel shift or brightness change: it
subtracts the mean and divides by the standard deviation they have changed.

References:
  Chollet et al. (2015), Keras, `ImageDataGenerator`.
  Krizhevsky et al. (2012), ImageNet classification with deep convolutional
  neural networks, section 4.1.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rethinking import ops
from rethinking.data import presets
from rethinking.runtime.errors import UserError

Augmentation = Callable[[jax.Array, jax.Array], jax.Array]


def _check(image: jax.Array, **fields: float) -> None:
  presets.check(**fields)
  if not jnp.issubdtype(image.dtype, jnp.floating):
    raise UserError(
      "An image to warp or light must be of floats in [0, 1], got "
      f"{image.dtype}; try image / 255."
    )


def _symmetric(key: jax.Array, count: int) -> jax.Array:
  """Draws `count` numbers from [-1, 1)."""
  return 2 * jax.random.uniform(key, (count,), jnp.float32) - 1


def random_crop(
  key: jax.Array, image: jax.Array, *, size: int, padding: int = 0
) -> jax.Array:
  """Cuts a square window at a place drawn uniformly.

  Args:
    key: the example's key.
    image: [H, W, C], any type.
    size: side of the window, pixels.
    padding: zeros put on each side first, pixels.

  Returns:
    [size, size, C], the type of `image`.

  Raises:
    UserError: the window is larger than the padded image, or fills it.

  Reference: Krizhevsky et al. (2012), section 4.1.
  """
  presets.check(crop=size, padding=padding)
  height, width, _ = image.shape
  rows = height + 2 * padding - size
  columns = width + 2 * padding - size
  if min(rows, columns) < 0 or max(rows, columns) == 0:
    raise UserError(
      f"A crop must have room to move, got {size} pixels in a {height} x "
      f"{width} image with padding {padding}; try a smaller crop or more "
      "padding."
    )
  # At most 1 - 2**-23, so the products stay below the counts.
  draws = jax.random.uniform(key, (2,), jnp.float32)
  row = (draws[0] * (rows + 1)).astype(jnp.int32)
  column = (draws[1] * (columns + 1)).astype(jnp.int32)
  padded = jnp.pad(image, ((padding, padding), (padding, padding), (0, 0)))
  return ops.window(padded, row, column, size)


def random_affine(
  key: jax.Array,
  image: jax.Array,
  *,
  rotation: float = 0.0,
  shift: float = 0.0,
  zoom: float = 0.0,
  shear: float = 0.0,
) -> jax.Array:
  """Rotates, shifts, shears and zooms an image by uniform random amounts.

  Args:
    key: the example's key.
    image: [H, W, C] floats.
    rotation: largest angle either way, degrees in [0, 180].
    shift: largest shift either way, fraction in [0, 1) of the height for rows
      and of the width for columns, drawn apart.
    zoom: rows and columns are scaled by factors from 1 - zoom to 1 + zoom, in
      [0, 1), drawn apart.
    shear: largest shear either way, degrees in [0, 90).

  Returns:
    [H, W, C], the type of `image`.

  Raises:
    UserError: a range makes no sense or the image isn't of floats.

  Reference: Chollet et al. (2015), Keras, `ImageDataGenerator`.
  """
  _check(image, rotation=rotation, shift=shift, zoom=zoom, shear=shear)
  height, width, _ = image.shape
  draws = _symmetric(key, 6)
  return ops.affine(
    image,
    angle=rotation * draws[0],
    shift=(shift * height * draws[1], shift * width * draws[2]),
    zoom=(1 + zoom * draws[3], 1 + zoom * draws[4]),
    shear=shear * draws[5],
  )


def random_channel_shift(
  key: jax.Array, image: jax.Array, *, limit: float
) -> jax.Array:
  """Adds one uniform amount to all channels, within the image's own extremes.

  Args:
    key: the example's key.
    image: [H, W, C] floats in [0, 1].
    limit: largest amount either way, in [0, 1].

  Returns:
    [H, W, C], the type of `image`, nowhere below its least or above its
    greatest value.

  Raises:
    UserError: the limit makes no sense or the image isn't of floats.

  Reference: Chollet et al. (2015), Keras, `apply_channel_shift`.
  """
  _check(image, channel_shift=limit)
  shifted = (image + limit * _symmetric(key, 1)[0]).astype(image.dtype)
  return jnp.clip(shifted, image.min(), image.max())


def random_flip(key: jax.Array, image: jax.Array) -> jax.Array:
  """Mirrors an image left to right with probability 1/2.

  Args:
    key: the example's key.
    image: [H, W, C], any type.

  Returns:
    [H, W, C], the type of `image`.

  Reference: Krizhevsky et al. (2012), section 4.1.
  """
  draw = jax.random.uniform(key, (), jnp.float32)
  return jnp.where(draw < 0.5, image[:, ::-1], image)


def random_brightness(
  key: jax.Array, image: jax.Array, *, limit: float
) -> jax.Array:
  """Multiplies an image by a uniform random factor, kept within [0, 1].

  Keras does this on bytes and rounds; here nothing is rounded.

  Args:
    key: the example's key.
    image: [H, W, C] floats in [0, 1].
    limit: factors go from 1 - limit to 1 + limit, in [0, 1].

  Returns:
    [H, W, C], the type of `image`, in [0, 1].

  Raises:
    UserError: the limit makes no sense or the image isn't of floats.

  Reference: Chollet et al. (2015), Keras, `apply_brightness_shift`.
  """
  _check(image, brightness=limit)
  factor = 1 + limit * _symmetric(key, 1)[0]
  return jnp.clip(image * factor, 0, 1).astype(image.dtype)


def create(config: str | Mapping[str, Any]) -> Augmentation:
  """Makes the augmentation of one example out of a preset or of fields.

  Args:
    config: a name in `presets.PRESETS`, or fields (a `ConfigDict` will do) as
      in `presets.PRESETS["none"]`, where each is explained; those not given are
      off.

  Returns:
    A pure function (key, [H, W, C] floats in [0, 1]) -> [H, W, C] of the same
    type, or [crop, crop, C] with a crop. It refuses, when traced, images the
    fields can't be applied to.

  Raises:
    UserError: an unknown preset or field, or a value that makes no sense.
  """
  fields = presets.resolve(config)
  warp = {name: fields[name] for name in ("rotation", "shift", "zoom", "shear")}
  size, padding, flip = (fields[n] for n in ("crop", "padding", "flip"))
  shift, light = fields["channel_shift"], fields["brightness"]

  def augment(key: jax.Array, image: jax.Array) -> jax.Array:
    keys = jax.random.split(key, 5)
    crop_key, affine_key, shift_key, flip_key, light_key = keys
    if size is not None:
      image = random_crop(crop_key, image, size=size, padding=padding)
    if any(warp.values()):
      image = random_affine(affine_key, image, **warp)
    if shift:
      image = random_channel_shift(shift_key, image, limit=shift)
    if flip:
      image = random_flip(flip_key, image)
    if light:
      image = random_brightness(light_key, image, limit=light)
    return image

  return augment

"""What becomes of an image before the model sees it."""

import jax
import jax.numpy as jnp

Array = jax.Array


def centre_crop(images: Array, side: int) -> Array:
  """Returns the central side x side pixels of [..., H, W, C]; 0: all.

  Args:
    images: [..., H, W, C], at least `side` high and wide.
    side: pixels; the margin's odd pixel stays at the bottom and right.
  """
  if not side:
    return images
  top, left = (images.shape[-3] - side) // 2, (images.shape[-2] - side) // 2
  return images[..., top : top + side, left : left + side, :]


def whiten(image: Array) -> Array:
  """Returns an image with mean 0 and variance 1 over its pixels and channels.

  (x - mean) / max(std, 1 / sqrt(number of values)), std biased.

  Args:
    image: float [H, W, C].

  Reference: Zhang et al. (2017), appendix A.
  """
  centred = image - image.mean()
  std = jnp.sqrt(jnp.square(centred).mean())
  return centred / jnp.maximum(std, image.size**-0.5)


def normalize(images: Array, statistics: tuple[Array, ...]) -> Array:
  """Returns images as the model sees them.

  Args:
    images: float [B, H, W, C] in [0, 1].
    statistics: the data's: mean and standard deviation [C], for
      (x - mean) / std; empty: `whiten` each image.
  """
  if not statistics:
    return jax.vmap(whiten)(images)
  mean, std = (x.reshape(1, 1, 1, -1) for x in statistics)
  return (images - mean) / std


def to_float(images: Array) -> Array:
  """Returns uint8 images 0 to 255 in [0, 1], of the default float type.

  Args:
    images: uint8, any shape.
  """
  return images.astype(jnp.result_type(float)) / 255.0

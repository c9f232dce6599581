"""Feature maps against slow, plain versions of their formulas."""

import jax
import numpy as np
import pytest

from rethinking import errors
from rethinking.theory import features


def _key(seed=0):
  return jax.random.key(seed, impl="threefry2x32")


def _images(n=6, side=8, channels=1, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (n, side, side, channels), np.uint8)


def _conv(images, **overrides):
  options = {
    "filters": 5,
    "side": 3,
    "stride": 1,
    "grid": 2,
    "threshold": 0.25,
  } | overrides
  return features.random_conv(_key(), images, **options)


def test_raw_is_pixels_over_255():
  images = _images(channels=3)
  found = features.raw((8, 8, 3)).block(0, images)
  assert found.dtype == np.float32
  np.testing.assert_allclose(found, images.reshape(6, -1) / 255, rtol=1e-6)


def test_gabor_filters_do_not_see_brightness():
  for bank in features.gabor_bank(2, 4, 4.0):
    np.testing.assert_allclose(bank.sum((0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(np.abs(bank).sum((0, 1)), 1, rtol=1e-5)


def test_gabor_is_the_pooled_magnitude_of_a_zero_padded_filter():
  images = _images(2)
  found = features.gabor(
    (8, 8, 1), scales=1, orientations=3, wavelength=4.0, pool=4
  ).block(0, images)
  (bank,) = features.gabor_bank(1, 3, 4.0)
  radius = len(bank) // 2
  padded = np.pad(
    images[..., 0] / 255, ((0, 0), (radius, radius), (radius, radius))
  )
  size = np.zeros((2, 8, 8, 3))
  for y in range(8):
    for x in range(8):
      cut = padded[:, y : y + len(bank), x : x + len(bank)]
      size[:, y, x] = np.abs(np.einsum("nhw,hwf->nf", cut, bank))
  # Windows 8 wide around every fourth pixel, cut at the edges.
  pooled = [
    size[:, max(y - 2, 0) : y + 6, max(x - 2, 0) : x + 6].mean((1, 2))
    for y in (0, 4)
    for x in (0, 4)
  ]
  expected = np.stack(pooled, 1).reshape(2, -1)
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_gabor_magnitude_is_largest_along_its_own_orientation():
  wave = 127 + 100 * np.cos(2 * np.pi * np.arange(28) / 4)
  image = np.broadcast_to(wave, (28, 28)).astype(np.uint8)[None, :, :, None]
  found = features.gabor(
    (28, 28, 1), scales=1, orientations=4, wavelength=4.0, pool=7
  ).block(0, image)
  assert found.reshape(16, 4).mean(0).argmax() == 0


def test_random_conv_is_its_formula():
  images = _images(3, side=7)
  found = _conv(images).block(0, images)
  projection, offset = features.random_filters(
    _key(), images, filters=5, side=3
  )
  response = np.zeros((3, 5, 5, 5))
  for y in range(5):
    for x in range(5):
      patch = images[:, y : y + 3, x : x + 3].reshape(3, -1) / 255
      patch = patch - patch.mean(1, keepdims=True)
      patch /= np.sqrt((patch**2).mean(1, keepdims=True) + 10 / 255**2)
      response[:, y, x] = patch @ projection - offset
  parts = []
  for rows in (slice(0, 3), slice(3, 5)):
    for columns in (slice(0, 3), slice(3, 5)):
      cell = response[:, rows, columns]
      parts.append(np.maximum(cell - 0.25, 0).mean((1, 2)))
      parts.append(np.maximum(-cell - 0.25, 0).mean((1, 2)))
  np.testing.assert_allclose(found, np.concatenate(parts, 1), atol=1e-4)


def test_blocks_are_the_whole_map_cut():
  images = _images(70)
  whole = _conv(images, filters=6)
  cut = _conv(images, filters=6, block_filters=4)
  assert cut.widths == (32, 16) and cut.width == whole.width == 48
  parts = [cut.block(k, images).reshape(70, 8, -1) for k in range(2)]
  np.testing.assert_allclose(
    np.concatenate(parts, 2).reshape(70, -1),
    whole.block(0, images),
    rtol=1e-4,
    atol=1e-5,
  )


def test_first_filters_do_not_depend_on_their_number():
  images = _images(10)
  few, _ = features.random_filters(_key(), images, filters=3, side=3)
  many, _ = features.random_filters(_key(), images, filters=9, side=3)
  np.testing.assert_allclose(few, many[:, :3], rtol=1e-6)


def test_a_patch_larger_than_the_image_is_refused():
  with pytest.raises(errors.UserError, match="patch is 9.*8 x 8.*at most 8"):
    _conv(_images(), side=9)

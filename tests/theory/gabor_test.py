"""Gabor features against a plain version of their formula."""

import numpy as np

from rethinking.theory import gabor


def _images(n=6, side=8, channels=1, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (n, side, side, channels), np.uint8)


def test_gabor_filters_do_not_see_brightness():
  for bank in gabor.gabor_bank(2, 4, 4.0):
    np.testing.assert_allclose(bank.sum((0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(np.abs(bank).sum((0, 1)), 1, rtol=1e-5)


def test_gabor_is_the_pooled_magnitude_of_a_zero_padded_filter():
  images = _images(2)
  found = gabor.gabor(
    (8, 8, 1), scales=1, orientations=3, wavelength=4.0, pool=4
  ).block(0, images)
  (bank,) = gabor.gabor_bank(1, 3, 4.0)
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
  found = gabor.gabor(
    (28, 28, 1), scales=1, orientations=4, wavelength=4.0, pool=7
  ).block(0, image)
  assert found.reshape(16, 4).mean(0).argmax() == 0

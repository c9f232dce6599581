"""Raw pixels and batches."""

import numpy as np

from rethinking.theory import features


def _images(n=6, side=8, channels=1, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (n, side, side, channels), np.uint8)


def test_raw_is_pixels_over_255():
  images = _images(channels=3)
  found = features.raw((8, 8, 3)).block(0, images)
  assert found.dtype == np.float32
  np.testing.assert_allclose(found, images.reshape(6, -1) / 255, rtol=1e-6)


def test_batches_are_cut_and_joined():
  images = _images(7)
  seen = []

  def function(part):
    seen.append(len(part))
    return part.reshape(len(part), -1)[:, :5].astype(np.float32)

  found = features.in_batches(function, images, 5, 3)
  np.testing.assert_array_equal(found, images.reshape(7, -1)[:, :5])
  assert seen == [3, 3, 3]

"""Random convolutional features against their formula."""

import jax
import numpy as np
import pytest

from rethinking.runtime import errors
from rethinking.theory import random_conv


def _key(seed=0):
  return jax.random.key(seed, impl="threefry2x32")


def _images(n=6, side=8, channels=1, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (n, side, side, channels), np.uint8)


def _conv(images, **overrides):
  options = {
    "filters": 5,
    "patch": 3,
    "stride": 1,
    "grid": 2,
    "threshold": 0.25,
  } | overrides
  return random_conv.random_conv(_key(), images, **options)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_random_conv_is_its_formula(backend, monkeypatch):
  # On an accelerator the images of a batch go together.
  monkeypatch.setattr(jax, "default_backend", lambda: backend)
  images = _images(3, side=7)
  found = _conv(images).block(0, images)
  projection, offset = random_conv.random_filters(
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


def test_blocks_are_the_whole_map_cut(monkeypatch):
  images = _images(70)
  whole = _conv(images, filters=6)
  monkeypatch.setattr(random_conv, "_BLOCK", 4)
  cut = _conv(images, filters=6)
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
  few, _ = random_conv.random_filters(_key(), images, filters=3, side=3)
  many, _ = random_conv.random_filters(_key(), images, filters=9, side=3)
  np.testing.assert_allclose(few, many[:, :3], rtol=1e-6)


def test_a_patch_larger_than_the_image_is_refused():
  with pytest.raises(
    errors.UserError, match="patch must be at most 8.*8 x 8, got 9"
  ):
    _conv(_images(), patch=9)

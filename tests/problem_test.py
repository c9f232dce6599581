"""What is learned: nested subsets, clean test labels, crop before shuffling."""

import numpy as np
import pytest

from rethinking import config as config_lib
from rethinking import problem


def _load(variant, **fields):
  c = config_lib.default()
  c.update(dataset="digits", arch="digits_cnn", crop=0)
  c.update(config_lib.VARIANTS[variant])
  c.update(fields)
  return problem.load(config_lib.resolve(c))


@pytest.mark.parametrize("variant", sorted(config_lib.VARIANTS))
def test_test_labels_are_never_touched(variant):
  clean, task = _load("true_labels"), _load(variant)
  np.testing.assert_array_equal(task.test.labels, clean.test.labels)
  np.testing.assert_array_equal(task.true_labels, clean.train.labels)
  np.testing.assert_array_equal(task.test.ids, np.arange(1437, 1797))
  pixels = variant.endswith("pixels")
  assert np.any(task.test.images != clean.test.images) == pixels
  assert np.any(task.train.images != clean.train.images) == pixels
  labels = variant in ("random_labels", "partial_labels")
  assert np.any(task.train.labels != task.true_labels) == labels


@pytest.mark.parametrize("variant", ["partial_labels", "random_pixels"])
def test_subsets_nest(variant):
  small, large = _load(variant, subset=200), _load(variant, subset=500)
  for a, b in zip(small.train, large.train, strict=True):
    np.testing.assert_array_equal(a, b[:200])


def test_shuffled_pixels_move_alike_in_train_and_test():
  clean, task = _load("true_labels"), _load("shuffled_pixels")

  def columns(images):
    return images.reshape(len(images), -1).T

  # Where each pixel went in the train set, found by its values there.
  places = {c.tobytes(): i for i, c in enumerate(columns(task.train.images))}
  for before, test in zip(
    columns(clean.train.images), columns(clean.test.images), strict=True
  ):
    place = places[before.tobytes()]
    if (columns(task.train.images) == before).all(1).sum() == 1:
      np.testing.assert_array_equal(columns(task.test.images)[place], test)


def test_the_crop_comes_before_a_pixel_corruption():
  task = _load("shuffled_pixels", crop=4)
  clean = _load("true_labels")
  assert task.train.images.shape == (1437, 4, 4, 1)
  centre = clean.train.images[:, 2:6, 2:6]
  np.testing.assert_array_equal(
    np.sort(task.train.images.reshape(1437, -1)),
    np.sort(centre.reshape(1437, -1)),
  )

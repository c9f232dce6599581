"""What is learned: nested subsets, clean test labels, crop before shuffling."""

import numpy as np
import pytest

from rethinking import config as config_lib
from rethinking import data
from rethinking.corruptions import image_statistics
from rethinking.runtime.errors import UserError
from rethinking.training import task as task_lib


def _load(variant, **fields):
  c = config_lib.default()
  c.update(dataset="digits", arch="digits_cnn", crop=0)
  c.update(config_lib.VARIANTS[variant])
  c.update(fields)
  return task_lib.load(config_lib.resolve(c), where="load")


@pytest.mark.parametrize("variant", sorted(config_lib.VARIANTS))
def test_test_labels_are_never_touched(variant):
  clean, task = _load("true_labels"), _load(variant)
  np.testing.assert_array_equal(task.test.labels, clean.test.labels)
  np.testing.assert_array_equal(task.train.true_labels, clean.train.labels)
  np.testing.assert_array_equal(task.test.ids, np.arange(1437, 1797))
  pixels = variant.endswith("pixels")
  assert np.any(task.test.images != clean.test.images) == pixels
  assert np.any(task.train.images != clean.train.images) == pixels
  labels = variant in ("random_labels", "partial_labels")
  assert np.any(task.train.labels != task.train.true_labels) == labels


@pytest.mark.parametrize("variant", ["partial_labels", "random_pixels"])
def test_subsets_nest(variant):
  small, large = _load(variant, subset=200), _load(variant, subset=500)
  for name in ("images", "labels", "ids", "true_labels"):
    a, b = (getattr(one.train, name) for one in (small, large))
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


def test_validation_is_apart_and_clean_whatever_the_corruption():
  clean = _load("true_labels")
  tasks = {
    v: _load(v, validation=137, corruption_seed=3)
    for v in ("true_labels", "random_labels", "random_pixels")
  }
  for variant, task in tasks.items():
    held, kept = task.validation.ids, task.train.ids
    assert len(held) == 137 and len(kept) == 1300
    np.testing.assert_array_equal(
      np.sort(np.concatenate([held, kept])), clean.train.ids
    )
    np.testing.assert_array_equal(held, tasks["true_labels"].validation.ids)
    # Ids are rows here. No label of it is wrong, at p = 1 neither.
    np.testing.assert_array_equal(
      task.validation.labels, clean.train.labels[held]
    )
    moved = np.any(task.validation.images != clean.train.images[held])
    assert moved == (variant == "random_pixels")
  # Those trained on are corrupted as without a validation set.
  whole = _load("random_labels", corruption_seed=3)
  task = tasks["random_labels"]
  np.testing.assert_array_equal(
    task.train.labels, whole.train.labels[task.train.ids]
  )


def test_validation_follows_its_seed_and_is_random():
  a, b = (
    _load("true_labels", validation=137, validation_seed=s).validation.ids
    for s in (1, 2)
  )
  assert len(np.intersect1d(a, b)) < 40
  assert a.max() > 1200 and a.min() < 200


def test_given_validation_labels_are_those_of_the_corrupted_set():
  whole = _load("random_labels")
  task = _load("random_labels", validation=137, validation_labels="given")
  np.testing.assert_array_equal(
    task.validation.labels, whole.train.labels[task.validation.ids]
  )
  assert np.any(
    task.validation.labels != whole.train.true_labels[task.validation.ids]
  )


def test_no_validation_unless_asked_for():
  assert _load("true_labels").validation is None


@pytest.mark.parametrize("variant", ["true_labels", "gaussian_pixels"])
def test_global_statistics_are_those_of_the_images_trained_on(variant):
  task = _load(variant, normalization="global", validation=300, crop=6)
  images = task.train.images / 255
  if variant == "true_labels":
    images = images[:, 1:7, 1:7]
  mean, std = task.statistics
  np.testing.assert_allclose(mean, [images.mean()], rtol=1e-5)
  np.testing.assert_allclose(std, [images.std()], rtol=1e-5)


def test_statistics_are_per_channel_and_never_divide_by_zero():
  images = np.zeros((3, 2, 2, 2), np.uint8)
  images[..., 1] = np.arange(3)[:, None, None] * 100
  mean, std = task_lib.channel_statistics(image_statistics(images))
  np.testing.assert_allclose(mean, [0, 100 / 255], rtol=1e-6)
  np.testing.assert_allclose(
    std, [1 / 255, np.std([0, 100, 200]) / 255], rtol=1e-6
  )


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    ({"validation": 1437}, "validation must be below 1437, .*, got 1437;"),
    ({"validation": 1400}, "at most 37, the train examples"),
    ({"augment": "crop"}, "room to move, got 28 pixels in a 8 x 8"),
  ],
)
def test_what_the_data_cannot_give_is_refused(fields, message):
  with pytest.raises(UserError, match=message) as caught:
    _load("true_labels", **fields)
  assert "\n" not in str(caught.value)


def test_a_random_crop_needs_the_crop_it_is_tested_with():
  c = config_lib.default()
  c.update(arch="keras_cifar_cnn", augment="crop", batch_size=2)
  train = data.Dataset(
    name="cifar10",
    split="train",
    images=np.zeros((4, 32, 32, 3), np.uint8),
    labels=np.zeros(4, np.int32),
    ids=np.arange(4, dtype=np.uint32),
    num_classes=10,
    class_names=tuple("abcdefghij"),
    identity="",
  )
  with pytest.raises(UserError, match="leaves 28 x 28; try crop=28"):
    task_lib.check(config_lib.resolve(c), train)
  c.arch = "alexnet"
  assert task_lib.check(config_lib.resolve(c), train) == 4
  # Pixel corruptions cut the margin off, which a crop needs.
  c.pixel_noise = "random_pixels"
  with pytest.raises(UserError, match="room to move, got .* in a 28 x 28"):
    task_lib.check(config_lib.resolve(c), train)

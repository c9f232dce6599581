"""What a config asks to be learned: its data, loaded and corrupted."""

import dataclasses
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking import data
from rethinking.corruptions.chain import apply as corrupt_set
from rethinking.corruptions.quantiles import image_statistics
from rethinking.corruptions.report import fingerprint
from rethinking.data import augment
from rethinking.runtime.errors import UserError
from rethinking.training import step


@dataclasses.dataclass(frozen=True)
class Problem:
  """A corrupted train set and its clean-labelled test set, as NumPy arrays.

  Attributes:
    train: images uint8 [N, H, W, C], given labels int32 [N], ids uint32 [N].
    true_labels: int32 [N], the train labels before corruption.
    test: the same for the test set; its labels are the true ones, its images
      had the pixel corruption of the train set.
    validation: train examples kept apart, their images corrupted alike, their
      labels true or, with `validation_labels=given`, corrupted; or None.
    num_classes: K.
    class_names: K strings.
    report: the corruption's report for the train set, JSON-able.
    source: what exactly was read, for the train and the test set.
  """

  train: step.Data
  true_labels: np.ndarray
  test: step.Data
  validation: step.Data | None
  num_classes: int
  class_names: tuple[str, ...]
  report: dict[str, Any]
  source: dict[str, str]

  def facts(self) -> dict[str, Any]:
    """Returns the report, and the SHA-256 of the test set as it is shown."""
    return {
      **self.report,
      "test_labels_sha256": fingerprint(self.test.ids, self.test.labels),
      "test_images_sha256": fingerprint(self.test.ids, self.test.images),
    }


def check(config: ConfigDict, train: data.Dataset) -> int:
  """Refuses a config that its data set is too small for.

  Args:
    config: resolved.
    train: the whole train set.

  Returns:
    How many examples the config trains on.

  Raises:
    UserError: for a subset, validation set, batch size, crop, augmentation or
      number of epochs that does not go with it.
  """
  total = len(train.ids)
  if config.subset is not None and config.subset > total:
    raise UserError(
      f"subset is {config.subset}, but the train set of {config.dataset} has "
      f"{total} examples; give at most that, or leave it out for all."
    )
  count = config.subset or total
  if config.validation >= count:
    raise UserError(
      f"validation is {config.validation}, but there are {count} train "
      f"examples; give at most {count - 1}."
    )
  count -= config.validation
  if config.batch_size > count:
    raise UserError(
      f"batch_size is {config.batch_size}, but there are {count} train "
      "examples; give at most that."
    )
  if config.epochs * count >= 2**31:
    raise UserError(
      f"epochs is {config.epochs}: {config.epochs} x {count} examples do not "
      f"fit a 32-bit counter; give at most {(2**31 - 1) // count}."
    )
  side = min(train.images.shape[1:3])
  if config.crop > side:
    raise UserError(
      f"crop is {config.crop}, but the images of {config.dataset} are {side} "
      "pixels wide; give at most that, or 0 for the whole image."
    )
  _check_augment(config, train.images.shape[1:])
  return count


def _check_augment(config: ConfigDict, shape: tuple[int, ...]) -> None:
  """Refuses an augmentation whose images the model could not be tested on."""
  if config.pixel_noise is not None and config.crop:
    # Cropped already: see load.
    shape = (config.crop, config.crop, shape[2])
  height, width, _ = jax.eval_shape(
    augment.create(config.augment),
    jax.eval_shape(lambda: jax.random.key(0)),
    jax.ShapeDtypeStruct(shape, np.float32),
  ).shape
  seen = (config.crop,) * 2 if config.crop else shape[:2]
  if min(height, width) < config.crop or (
    not config.crop and (height, width) != seen
  ):
    raise UserError(
      f"augment={config.augment} leaves {height} x {width} pixels, but test "
      f"images have {seen[0]} x {seen[1]}; give crop={min(height, width)} or "
      "another augment."
    )


def _split(
  config: ConfigDict, ids: np.ndarray
) -> tuple[slice | np.ndarray, np.ndarray]:
  """Rows to train on and rows to validate on, both in the order of ids."""
  if not config.validation:
    return slice(None), np.arange(0)
  key = step.root(config.validation_seed, "validation")
  draws = jax.vmap(lambda i: jax.random.bits(jax.random.fold_in(key, i)))(ids)
  order = np.argsort(jax.device_get(draws), kind="stable")
  held, kept = np.split(order, [config.validation])
  return np.sort(kept), np.sort(held)


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns mean and standard deviation of each channel, float32 [C] each.

  Args:
    images: uint8 [N, H, W, C]; the statistics are those of images / 255.

  Returns:
    The biased deviation is at least 1/255, one level of grey.
  """
  sums = image_statistics(images)
  mean = np.array(sums.sums) / sums.pixels
  variance = np.array(sums.squares) / sums.pixels - mean**2
  std = np.sqrt(np.maximum(variance, 1.0))
  return (mean / 255).astype(np.float32), (std / 255).astype(np.float32)


def load(config: ConfigDict) -> Problem:
  """Loads and corrupts what a config asks for.

  Args:
    config: resolved.

  Returns:
    The problem; the same for the same config, whatever the machine.

  Raises:
    UserError: for a subset, batch size or crop that the data set is too small
      for, and where the data cannot be had.
  """
  train, test = (
    data.load(
      config.dataset, split, data_dir=config.data_dir, cache=config.data_cache
    )
    for split in ("train", "test")
  )
  taken = check(config, train) + config.validation
  kept, held = _split(config, train.ids[:taken])
  pixel = [c for c in config_lib.corruptions(config) if c.target == "images"]
  train_images, test_images = train.images[:taken], test.images
  if pixel:
    # The paper crops first: a permutation of the whole image would move
    # pixels of the margin into the crop.
    train_images = np.ascontiguousarray(
      step.centre_crop(train_images, config.crop)
    )
    test_images = np.ascontiguousarray(
      step.centre_crop(test_images, config.crop)
    )
  measured = None
  if pixel or config.validation:
    measured = image_statistics(train_images[kept])

  def corrupt(rows, which):
    return corrupt_set(
      which,
      seed=config.corruption_seed,
      images=train_images[rows],
      labels=train.labels[:taken][rows],
      ids=train.ids[:taken][rows],
      split="train",
      num_classes=train.num_classes,
      statistics=measured,
    )

  validation = None
  try:
    given = corrupt(kept, config_lib.corruptions(config))
    if config.validation:
      whole = config.validation_labels == "given"
      validation = corrupt(
        held, config_lib.corruptions(config) if whole else pixel
      )
    shown = corrupt_set(
      pixel,
      seed=config.corruption_seed,
      images=test_images,
      labels=test.labels,
      ids=test.ids,
      split="test",
      num_classes=test.num_classes,
      statistics=measured,
    )
  except ValueError as error:
    raise UserError(str(error)) from error
  statistics = ()
  if config.normalization == "global":
    statistics = channel_statistics(step.centre_crop(given.images, config.crop))
  return Problem(
    train=step.Data(given.images, given.labels, given.ids, statistics),
    true_labels=given.true_labels,
    test=step.Data(shown.images, shown.labels, shown.ids, statistics),
    validation=None
    if validation is None
    else step.Data(
      validation.images, validation.labels, validation.ids, statistics
    ),
    num_classes=train.num_classes,
    class_names=train.class_names,
    report=given.report,
    source={"train": train.identity, "test": test.identity},
  )


def relabel(task: Problem, config: ConfigDict) -> Problem:
  """Returns the problem of a config that differs in its label noise alone.

  Args:
    task: from `load`, without pixel corruption; the images are shared.
    config: resolved; its data set and subset are the same.

  Raises:
    UserError: for a label corruption that cannot be applied.
  """
  noise = [c for c in config_lib.corruptions(config) if c.target == "labels"]
  try:
    given = corrupt_set(
      noise,
      seed=config.corruption_seed,
      images=task.train.images
      if any("images" in c.definition.needs for c in noise)
      else None,
      labels=task.true_labels,
      ids=task.train.ids,
      split="train",
      num_classes=task.num_classes,
    )
  except ValueError as error:
    raise UserError(str(error)) from error
  return dataclasses.replace(
    task,
    train=task.train._replace(labels=given.labels),
    # What was not passed on is as it was.
    report={
      k: task.report[k] if k.startswith("images_") else v
      for k, v in given.report.items()
    },
  )

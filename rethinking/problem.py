"""What a config asks to be learned: its data, loaded and corrupted."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking import corruptions, data, step
from rethinking.errors import UserError


@dataclasses.dataclass(frozen=True)
class Problem:
  """A corrupted train set and its clean-labelled test set, as NumPy arrays.

  Attributes:
    train: images uint8 [N, H, W, C], given labels int32 [N], ids uint32 [N].
    true_labels: int32 [N], the train labels before corruption.
    test: the same for the test set; its labels are the true ones, its images
      had the pixel corruption of the train set.
    num_classes: K.
    class_names: K strings.
    report: the corruption's report for the train set, JSON-able.
    source: what exactly was read, for the train and the test set.
  """

  train: step.Data
  true_labels: np.ndarray
  test: step.Data
  num_classes: int
  class_names: tuple[str, ...]
  report: dict[str, Any]
  source: dict[str, str]


def check(config: ConfigDict, train: data.Dataset) -> int:
  """Refuses a config that its data set is too small for.

  Args:
    config: resolved.
    train: the whole train set.

  Returns:
    How many train examples the config takes.

  Raises:
    UserError: for a subset, batch size, crop or number of epochs that does not
      go with it.
  """
  total = len(train.ids)
  if config.subset is not None and config.subset > total:
    raise UserError(
      f"subset is {config.subset}, but the train set of {config.dataset} has "
      f"{total} examples; give at most that, or leave it out for all."
    )
  count = config.subset or total
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
  return count


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
  count = check(config, train)
  pixel = [c for c in config_lib.corruptions(config) if c.target == "images"]
  train_images, test_images = train.images[:count], test.images
  if pixel:
    # The paper crops first: a permutation of the whole image would move
    # pixels of the margin into the crop.
    train_images = np.ascontiguousarray(
      step.centre_crop(train_images, config.crop)
    )
    test_images = np.ascontiguousarray(
      step.centre_crop(test_images, config.crop)
    )
  try:
    given = corruptions.apply(
      config_lib.corruptions(config),
      seed=config.corruption_seed,
      images=train_images,
      labels=train.labels[:count],
      ids=train.ids[:count],
      split="train",
      num_classes=train.num_classes,
    )
    shown = corruptions.apply(
      pixel,
      seed=config.corruption_seed,
      images=test_images,
      labels=test.labels,
      ids=test.ids,
      split="test",
      num_classes=test.num_classes,
      statistics=corruptions.image_statistics(train_images) if pixel else None,
    )
  except ValueError as error:
    raise UserError(str(error)) from error
  return Problem(
    train=step.Data(given.images, given.labels, given.ids),
    true_labels=given.true_labels,
    test=step.Data(shown.images, shown.labels, shown.ids),
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
    given = corruptions.apply(
      noise,
      seed=config.corruption_seed,
      images=task.train.images if config.label_noise == "instance" else None,
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

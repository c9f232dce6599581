"""What a config asks to be learned: clean data, and what corrupts it."""

import dataclasses
import functools
import operator
import threading
import weakref
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking import data, models
from rethinking.config import experiments
from rethinking.corruptions.chain import prepare
from rethinking.corruptions.description import Corruption
from rethinking.corruptions.noise import Noise
from rethinking.corruptions.prepared import Prepared
from rethinking.corruptions.quantiles import ImageStatistics, image_statistics
from rethinking.corruptions.report import OF_TRUTH, fingerprint
from rethinking.runtime import backend
from rethinking.runtime.errors import UserError
from rethinking.training import fits, subsets
from rethinking.training.examples import Split, Task, take
from rethinking.training.preprocessing import centre_crop


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
      f"subset must be at most {total}, the train examples of "
      f"{config.dataset}, got {config.subset}; try without it, for all."
    )
  count = config.subset or total
  if config.validation >= count:
    raise UserError(
      f"validation must be below {count}, the train examples, got "
      f"{config.validation}; try at most {count - 1}."
    )
  if config.validation and not train.truth:
    if config.validation_labels == "true":
      raise UserError(
        "validation_labels must be given where no true labels are known, got "
        "true; try validation_labels=given."
      )
  count -= config.validation
  if config.member is not None:
    count = len(subsets.rows(config, train)[0])
  if config.batch_size > count:
    raise UserError(
      f"batch_size must be at most {count}, the train examples, got "
      f"{config.batch_size}; try {count}."
    )
  if config.epochs * count >= 2**31:
    raise UserError(
      f"epochs must be at most {(2**31 - 1) // count}, as epochs x {count} "
      f"examples is a 32-bit counter, got {config.epochs}; try fewer."
    )
  side = min(train.images.shape[1:3])
  if config.crop > side:
    raise UserError(
      f"crop must be at most {side}, the pixels a side of {config.dataset}, "
      f"got {config.crop}; try {side}, or 0 for the whole image."
    )
  fits.check_augment(config, train.images.shape[1:])
  fits.check_arch(config, train.images.shape[1:], train.num_classes)
  return count


def channel_statistics(sums: ImageStatistics) -> tuple[np.ndarray, np.ndarray]:
  """Returns mean and standard deviation of each channel, float32 [C] each.

  Args:
    sums: of uint8 images; the statistics are those of images / 255.

  Returns:
    The biased deviation is at least 1/255, one level of grey.
  """
  mean = np.array(sums.sums) / sums.pixels
  variance = np.array(sums.squares) / sums.pixels - mean**2
  std = np.sqrt(np.maximum(variance, 1.0))
  return (mean / 255).astype(np.float32), (std / 255).astype(np.float32)


# Data sets that somebody holds: those of runs beside each other are one.
_DATASETS: weakref.WeakValueDictionary = weakref.WeakValueDictionary()
_LOCK = threading.Lock()


def dataset(config: ConfigDict, split: str) -> data.Dataset:
  """Returns a config's data set, one for all that hold it at a time.

  Args:
    config: resolved.
    split: "train" or "test".

  Raises:
    UserError: where the data cannot be had.
  """
  if config.dataset == "own":  # Which is kept where it is read.
    return data.load(config.dataset, split, **data.source(config))
  key = (config.dataset, split, config.data_dir, config.data_cache)
  with _LOCK:
    found = _DATASETS.get(key)
    if found is None:
      found = data.load(config.dataset, split, **data.source(config))
      _DATASETS[key] = found
  return found


# Pixel corruptions that a step was measured to make at no more than 5 % of
# training's and evaluation's time, by platform and whether the model is dense:
# configs/results/benchmark.md. Where nothing was measured there are none.
_QUICK = {("cpu", False): ("shuffled_pixels", "partial_shuffle", "occlusion")}


def corrupt_in(config: ConfigDict) -> str:
  """Returns where a config's images are corrupted: "step" or "load".

  Labels are always corrupted in the step. So are images where `corrupt_in`
  says so, where that is quick, and where they are drawn anew each epoch.

  Args:
    config: resolved.
  """
  if config.corrupt_in != "auto":
    return config.corrupt_in
  dense = models.ARCHITECTURES[config.arch].dense
  quick = _QUICK.get((jax.default_backend(), dense), ())
  slow = [
    c
    for c in config_lib.corruptions(config)
    if c.target == "images"
    and (c.name not in quick or dict(c.options).get("per_image"))
  ]
  return "load" if slow and config.redraw == "never" else "step"


def load(config: ConfigDict, *, where: str | None = None) -> Task:
  """Loads what a config asks for and prepares its corruption.

  Args:
    config: resolved.
    where: "load" corrupts images here, "step" leaves them to the step; None:
      by `corrupt_in`.

  Returns:
    The task; the same for the same config, whatever the machine.

  Raises:
    UserError: for a subset, batch size or crop that the data set is too small
      for, where the data cannot be had, and where JAX cannot be started.
  """
  experiments.check(config, "train")
  backend.devices()
  train, test = (dataset(config, split) for split in ("train", "test"))
  in_step = (where or corrupt_in(config)) == "step"
  return assemble(
    config, train, test, config_lib.corruptions(config), in_step=in_step
  )


def assemble(
  config: ConfigDict,
  train: data.Dataset,
  test: data.Dataset,
  chain: tuple[Corruption, ...],
  *,
  in_step: bool,
) -> Task:
  """Prepares the corruption of data that are there.

  Args:
    config: resolved; for all but data and corruptions.
    train: the whole train set.
    test: the test set.
    chain: what corrupts the train set, and of its images the test set.
    in_step: whether images are left to the step.

  Raises:
    UserError: as `load`.
  """
  check(config, train)
  taken = config.subset or len(train.ids)
  kept, held = subsets.rows(config, train)
  every = np.arange(taken, dtype=np.int32)
  # What is left out is corrupted with the rest.
  partly = config.member is not None or config.without
  pixel = [c for c in chain if c.target == "images"]
  # The paper crops first: a permutation of the whole image would move pixels
  # of the margin into the crop.
  crop = config.crop if pixel else 0
  clean = {
    train: centre_crop(train.images[:taken], crop),
    test: centre_crop(test.images, crop),
  }
  shown = clean
  if pixel and not in_step:
    shown = {whole: np.empty_like(part) for whole, part in clean.items()}
  measured = None
  if pixel or config.validation:
    counted = every if partly else kept
    measured = image_statistics(take(clean[train], counted))
  parts = {
    # The runs of an ensemble have subsets of one corrupted set.
    "train": (train, every if partly else kept, chain),
    "test": (test, np.arange(len(test.ids), dtype=np.int32), pixel),
  }
  if config.validation:
    given = config.validation_labels == "given"
    parts["validation"] = (train, held, chain if given else pixel)
  draw = 0 if config.redraw == "epoch" else None
  splits, reports, sums = {}, {}, []
  for name, (whole, rows, own) in parts.items():
    images = take(clean[whole], rows)
    try:
      made = prepare(
        own,
        seed=config.corruption_seed,
        images=images,
        labels=whole.labels[rows],
        ids=whole.ids[rows],
        split="test" if name == "test" else "train",
        num_classes=train.num_classes,
        statistics=measured,
        given_labels=None
        if whole.given_labels is None
        else whole.given_labels[rows],
        draw=draw,
      )
    except ValueError as error:
      raise UserError(str(error)) from error
    count = name == "train" and config.normalization == "global"
    if count and not pixel:
      sums.append(image_statistics(centre_crop(images, config.crop)))
    for places, part in made.stream() if pixel else ():
      if not in_step:
        shown[whole][rows[places]] = part
      if count:
        sums.append(image_statistics(part))
    noise = _noise(made, rows, len(clean[whole]), in_step)
    if own is chain:
      noise = _with_labels(noise, train.num_classes, draw)
    splits[name] = Split(whole, rows, made, noise, shown[whole])
    reports[name] = made.report() if pixel else _clean_report(splits[name])
    if not whole.truth:
      reports[name] |= dict.fromkeys(OF_TRUTH)
    made.release()
  if partly:
    whole = splits["train"]
    splits |= {
      name: dataclasses.replace(whole, rows=rows, places=rows)
      for name, rows in (("train", kept), ("validation", held))
    }
  return Task(
    **{"validation": None, **splits},
    statistics=channel_statistics(functools.reduce(operator.add, sums))
    if sums
    else (),
    num_classes=train.num_classes,
    class_names=train.class_names,
    report=reports["train"],
    test_report={
      f"test_{part}_sha256": reports["test"][f"{part}_sha256"]
      for part in ("labels", "images")
    },
    source={"train": train.identity, "test": test.identity},
  )


def _noise(
  made: Prepared, rows: np.ndarray, total: int, in_step: bool
) -> tuple[Noise, ...]:
  """What a step is given of a split's corruptions, by rows of the data set."""
  found = []
  for one in made.noise:
    if one.target == "images" and not in_step:
      continue
    if one.given is not None:
      given = np.zeros(total, np.int32)
      given[rows] = one.given
      one = dataclasses.replace(one, given=given)
    found.append(one)
  return tuple(found)


def _with_labels(
  noise: tuple[Noise, ...], classes: int, draw: int | None
) -> tuple[Noise, ...]:
  """Adds label noise of level 0: true labels need no program of their own."""
  if any(one.target == "labels" for one in noise):
    return noise
  none = Corruption.create("uniform", level=0.0)
  one = {"labels": [0], "ids": [0], "num_classes": classes}
  return prepare([none], seed=0, draw=draw, **one).noise + noise


# Fingerprints of clean images, by data set and rows: a sweep's runs share them.
_DIGESTS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def _clean_report(split: Split) -> dict[str, Any]:
  """The report where no image is corrupted."""
  known = _DIGESTS.setdefault(split.dataset, {})
  rows = split.rows.tobytes()
  if rows not in known:
    known[rows] = fingerprint(split.ids, split.images)
  images = {"images_changed": 0, "images_sha256": known[rows]}
  return {**split.prepared.summary(), **images}

"""Corrupts a whole data set as its descriptions say, and reports on it."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from rethinking.corruptions import checks, report
from rethinking.corruptions.description import DEFINITIONS, Corruption
from rethinking.corruptions.human_labels import read_human
from rethinking.corruptions.image_set import corrupt_images
from rethinking.corruptions.keys import named_key, root_key
from rethinking.corruptions.label_set import corrupt_labels
from rethinking.corruptions.matrices import flip_map
from rethinking.corruptions.quantiles import ImageStatistics, image_statistics

_NEEDS_STATISTICS = ("gaussian_pixels", "instance")


@dataclasses.dataclass(frozen=True)
class Corrupted:
  """A corrupted data set, its rows in the order they were given.

  Attributes:
    images: uint8 [N, H, W, C]; the given array itself where no corruption
      changes images, None where none were given.
    labels: int32 [N], the given (noisy) labels, an array of their own.
    true_labels: int32 [N].
    ids: uint32 [N].
    report: JSON-able; see `rethinking.corruptions.report`.
    statistics: of the train images; None where nothing needed them.
  """

  images: np.ndarray | None
  labels: np.ndarray
  true_labels: np.ndarray
  ids: np.ndarray
  report: dict[str, Any]
  statistics: ImageStatistics | None


def apply(
  corruptions: Sequence[Corruption],
  *,
  seed: int,
  labels: np.ndarray,
  ids: np.ndarray,
  num_classes: int,
  images: np.ndarray | None = None,
  split: str = "train",
  statistics: ImageStatistics | None = None,
) -> Corrupted:
  """Applies corruptions in order to a data set; changes no input.

  Each has draws of its own, from the seed, its name, how many of that name
  came before, the split's name and the example's id. The permutation of
  `shuffled_pixels` and the shared one of `partial_shuffle` leave the split's
  name out, so train and test images get the same. Instance-dependent noise
  and statistics look at the images as given here; statistics that are measured
  here are those of exactly these images, so give them where a subset must be
  corrupted as the whole set is.

  Args:
    corruptions: what to do, in order; none is allowed.
    seed: in [0, 2**32).
    labels: integers [N], the true labels, in 0..K-1.
    ids: integers [N], distinct, in [0, 2**32), stable names of the examples.
    num_classes: K, at least 2.
    images: uint8 [N, H, W, C], already cropped; may be left out where only
      labels change by label.
    split: the split's name. Labels of the split 'test' can't be changed.
    statistics: `image_statistics` of the train images, needed by
      `gaussian_pixels` and `instance` in any split but 'train', where they
      are measured if left out.

  Returns:
    The corrupted set with its report.

  Raises:
    ValueError: for input that isn't as above, before any work.

  >>> import numpy as np
  >>> from rethinking import corruptions
  >>> noise = corruptions.Corruption.create("symmetric", level=0.3, exact=True)
  >>> done = corruptions.apply(
  ...   [noise], seed=0, labels=np.zeros(10, int), ids=np.arange(10),
  ...   num_classes=10,
  ... )
  >>> int((done.labels != done.true_labels).sum()), done.report["flip_rate"]
  (3, 0.3)
  """
  if isinstance(corruptions, Corruption):
    raise ValueError(f"{corruptions!r} stands alone; give a list of them.")
  corruptions = tuple(corruptions)
  checks.check_num_classes(num_classes)
  true_labels = checks.check_labels(labels, num_classes)
  ids = checks.check_ids(ids, len(true_labels))
  if images is not None:
    images = checks.check_images(images, len(true_labels))
  _check_fit(corruptions, images, split, statistics, num_classes)
  root = root_key(seed)
  human = {
    c: read_human(c, true_labels, ids, num_classes)
    for c in corruptions
    if c.name == "human"
  }
  if statistics is None and any(
    c.name in _NEEDS_STATISTICS for c in corruptions
  ):
    statistics = image_statistics(images)

  labels, pixels = true_labels.copy(), images
  seen: collections.Counter[str] = collections.Counter()
  steps = []
  for corruption in corruptions:
    key = named_key(root, corruption.name, seen[corruption.name])
    seen[corruption.name] += 1
    before, facts = labels, {}
    if corruption.name == "human":
      (given, digest), drawn = human[corruption], None
      labels, facts = given.copy(), {"file_sha256": digest}
    elif corruption.target == "labels":
      labels, drawn = corrupt_labels(
        corruption,
        key,
        split,
        labels,
        ids,
        images=images,
        statistics=statistics,
        num_classes=num_classes,
      )
    else:
      pixels, drawn, changed = corrupt_images(
        corruption,
        key,
        split,
        pixels,
        ids,
        statistics=statistics,
        out=None if pixels is images else pixels,
      )
    if corruption.target == "labels":
      changed = int((labels != before).sum())
    nominal = report.nominal_rate(corruption, before, num_classes)
    steps.append(
      {
        **report.describe(corruption),
        "drawn": drawn,
        "changed": changed,
        "nominal_rate": nominal,
        **facts,
      }
    )
  return Corrupted(
    images=pixels,
    labels=labels,
    true_labels=true_labels,
    ids=ids,
    report=report.summary(
      corruptions,
      steps,
      seed=seed,
      split=split,
      ids=ids,
      true_labels=true_labels,
      labels=labels,
      true_images=images,
      images=pixels,
      statistics=statistics,
      num_classes=num_classes,
    ),
    statistics=statistics,
  )


def _check_fit(
  corruptions: tuple[Corruption, ...],
  images: np.ndarray | None,
  split: str,
  statistics: ImageStatistics | None,
  num_classes: int,
) -> None:
  """Refuses descriptions that don't fit the data, before any work."""
  if not isinstance(split, str):
    raise ValueError(f"The split is {split!r}; give its name, a string.")
  if not isinstance(statistics, ImageStatistics | None):
    raise ValueError(
      f"The statistics are a {type(statistics).__name__}; give "
      "image_statistics(train images)."
    )
  for corruption in corruptions:
    if not isinstance(corruption, Corruption):
      raise ValueError(
        f"{corruption!r} is not a Corruption; make one of "
        f"{sorted(DEFINITIONS)} with Corruption.create."
      )
    name = corruption.name
    if corruption.target == "labels" and split == "test":
      raise ValueError(
        f"{name!r} changes labels, but those of the split 'test' stay true; "
        "give only corruptions whose target is 'images'."
      )
    if images is None and (corruption.target == "images" or name == "instance"):
      raise ValueError(f"{name!r} needs images; give uint8 [N, H, W, C].")
    if name in _NEEDS_STATISTICS:
      if statistics is None and split != "train":
        raise ValueError(
          f"{name!r} on the split {split!r} needs statistics; give "
          "image_statistics(train images)."
        )
      channels = images.shape[-1]
      if statistics is not None and len(statistics.sums) != channels:
        raise ValueError(
          f"The statistics are of {len(statistics.sums)} channels, but the "
          f"images have {channels}."
        )
    if name == "transition":
      checks.check_matrix(corruption.option("matrix"), num_classes)
    if name == "asymmetric":
      flip_map(corruption.option("map"), num_classes)
    if corruption.target == "images":
      positions = images.shape[1] * images.shape[2]
      if not 0 < positions <= 2**16 or not images.shape[3]:
        raise ValueError(
          f"Images have shape {list(images.shape)}; give 1 to 65536 pixels "
          "(256 x 256) and at least one channel."
        )
    elif name == "instance" and not 0 < images[0:1].size <= 2**16:
      raise ValueError(
        f"Images have shape {list(images.shape)}; 'instance' takes 1 to 65536 "
        "values an image, and at least one image."
      )

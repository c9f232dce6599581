"""Corrupts a whole data set as its descriptions say, and reports on it."""

import math
from collections.abc import Mapping, Sequence, Set

import jax
import numpy as np

from rethinking.corruptions import checks, report
from rethinking.corruptions.description import DEFINITIONS, Corruption
from rethinking.corruptions.keys import name_ids, root_key
from rethinking.corruptions.prepared import Prepared
from rethinking.corruptions.quantiles import ImageStatistics, image_statistics
from rethinking.corruptions.report import Corrupted, Examples


# A set is given as NumPy arrays: moving them is no mistake to guard against.
@jax.transfer_guard("allow")
def prepare(
  corruptions: Sequence[Corruption],
  *,
  seed: int,
  labels: np.ndarray,
  ids: np.ndarray,
  num_classes: int,
  images: np.ndarray | None = None,
  split: str = "train",
  statistics: ImageStatistics | None = None,
  given_labels: np.ndarray | None = None,
  draw: int | None = None,
) -> Prepared:
  """Prepares corruptions of a set, for a program or for `apply`.

  Args:
    corruptions: as for `apply`, and so are the others.
    seed: in [0, 2**32).
    labels: integers [N], the true labels, in 0..K-1.
    ids: integers [N], distinct, in [0, 2**32), or [N, 2] as `name_ids` makes.
    num_classes: K, at least 2.
    images: uint8 [N, H, W, C], or None.
    split: the split's name.
    statistics: of the train images.
    given_labels: integers [N], in 0..K-1, of the corruption `given`.
    draw: which of independent draws; None: the only one.

  Returns:
    Labels, and what makes the images.

  Raises:
    ValueError: as `apply`, and with `draw` for a corruption that is drawn for
      the whole set at once.

  >>> import numpy as np
  >>> from rethinking import corruptions
  >>> noise = corruptions.Corruption.create("uniform", level=1.0)
  >>> set_of = {"labels": np.zeros(4, int), "ids": np.arange(4)}
  >>> done = corruptions.prepare([noise], seed=0, num_classes=9, **set_of)
  >>> done.labels.tolist(), float(done.noise[0].parameters["p"])
  ([0, 8, 5, 7], 1.0)
  """
  corruptions = _listed(corruptions)
  # The report counts them by pairs.
  checks.check_integer(num_classes, "num_classes", 2, 2**16)
  true_labels = checks.check_labels(labels, num_classes)
  ids = checks.check_ids(ids, len(true_labels))
  if images is not None:
    images = checks.check_images(images, len(true_labels))
  _check_fit(corruptions, images, split, statistics, num_classes)
  if given_labels is None and any(
    "given_labels" in c.definition.needs for c in corruptions
  ):
    raise ValueError(
      "given_labels must be there for 'given', got none; try a data set that "
      "brings them, or labels=CSV with a column given_label."
    )
  root_key(seed)
  files = {
    c: c.definition.read(true_labels, ids, num_classes, **c.arguments)
    for c in corruptions
    if c.definition.read
  }
  needed = any("statistics" in c.definition.needs for c in corruptions)
  if statistics is None and needed:
    statistics = image_statistics(images)
  examples = Examples(
    split, true_labels, ids, num_classes, images, statistics, given_labels
  )
  return Prepared(corruptions, examples, seed=seed, files=files, draw=draw)


def apply(
  corruptions: Sequence[Corruption],
  *,
  seed: int,
  labels: np.ndarray | None = None,
  ids: np.ndarray | Sequence[str] | None = None,
  num_classes: int | None = None,
  images: np.ndarray | None = None,
  split: str = "train",
  statistics: ImageStatistics | None = None,
  given_labels: np.ndarray | None = None,
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
    labels: integers [N], the true labels, in 0..K-1; None: there are none, and
      only images change.
    ids: integers [N], distinct, in [0, 2**32), stable ids of the examples, or
      their names, N distinct strings. None: the numbers of the rows, which the
      report's `ids` says.
    num_classes: K, at least 2; None: the largest label + 1, which the report's
      `classes` says.
    images: uint8 [N, H, W, C], already cropped; may be left out where only
      labels change by label.
    split: the split's name. Labels of the split 'test' can't be changed.
    statistics: `image_statistics` of the train images, needed by
      `gaussian_pixels` and `instance` in any split but 'train', where they
      are measured if left out.
    given_labels: integers [N], in 0..K-1, that somebody gave: of the corruption
      `given`.

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
  # Once: an iterator would be empty the second time.
  corruptions = _listed(corruptions)
  said, unlabelled = {}, labels is None
  if unlabelled:
    labels, num_classes = _no_labels(corruptions, images, num_classes), 2
  if num_classes is None:
    num_classes = int(checks.check_labels(labels).max()) + 1
    if num_classes < 2:
      raise ValueError(
        "num_classes must be given where only label 0 is seen, got None; try "
        "num_classes=2."
      )
    said["classes"] = f"largest label + 1 = {num_classes}"
  if ids is None:
    ids, said["ids"] = np.arange(len(labels)), "row numbers"
  else:
    array = checks.as_array(ids, "Ids")
    if array.ndim == 1 and array.dtype.kind in "UO":
      ids, said["ids"] = name_ids(ids), "SHA-256 of the names"
  found = prepare(
    corruptions,
    seed=seed,
    labels=labels,
    ids=ids,
    num_classes=num_classes,
    images=images,
    split=split,
    statistics=statistics,
    given_labels=given_labels,
  )
  done = found.images
  if found.drawn is not None:
    done = np.empty_like(found.images)
    for rows, part in found.stream():
      done[rows] = part
  account = found.report() | said
  if unlabelled:
    account |= dict.fromkeys(report.OF_LABELS)
  return Corrupted(
    done,
    None if unlabelled else found.labels,
    None if unlabelled else found.true_labels,
    found.ids,
    account,
    found.statistics,
  )


def _listed(corruptions: Sequence[Corruption]) -> tuple[Corruption, ...]:
  if isinstance(corruptions, Corruption):
    raise ValueError(f"{corruptions!r} must be in a list, got one; try [...].")
  if isinstance(corruptions, Set | Mapping) or not hasattr(
    corruptions, "__iter__"
  ):
    raise ValueError(
      f"corruptions must be a list, got {corruptions!r}; try [] for none."
    )
  return tuple(corruptions)


def _no_labels(
  corruptions: Sequence[Corruption],
  images: np.ndarray | None,
  num_classes: int | None,
) -> np.ndarray:
  """Labels to stand for none, which no corruption of images looks at."""
  needing = [c for c in corruptions if getattr(c, "target", "") == "labels"]
  if num_classes is not None:
    needing.append("num_classes")
  if images is None or needing:
    raise ValueError(
      f"labels must be given for {needing[0] if needing else 'no images'}, got "
      "None; try labels=integers [N]."
    )
  return np.zeros(len(images), np.int32)


def _check_fit(
  corruptions: tuple[Corruption, ...],
  images: np.ndarray | None,
  split: str,
  statistics: ImageStatistics | None,
  num_classes: int,
) -> None:
  """Refuses descriptions that don't fit the data, before any work."""
  if not isinstance(split, str):
    raise ValueError(f"split must be a string, got {split!r}; try 'train'.")
  if not isinstance(statistics, ImageStatistics | None):
    raise ValueError(
      "statistics must be an ImageStatistics, got a "
      f"{type(statistics).__name__}; try image_statistics(train images)."
    )
  for corruption in corruptions:
    if not isinstance(corruption, Corruption):
      raise ValueError(
        f"A corruption must be a Corruption, got {corruption!r}; try "
        f"Corruption.create with one of {sorted(DEFINITIONS)}."
      )
    name, needs = corruption.name, corruption.definition.needs
    if corruption.target == "labels" and split == "test":
      raise ValueError(
        "Labels of the split 'test' must stay true, got a corruption of them, "
        f"{name!r}; try only those whose target is 'images'."
      )
    # Refuses options that are of another number of classes.
    report.transition_matrix(corruption, num_classes)
    if "images" in needs:
      _check_images(corruption, images)
    if "statistics" in needs and statistics is None and split != "train":
      raise ValueError(
        f"statistics must be given for {name!r} on the split {split!r}, got "
        "None; try image_statistics(train images)."
      )
    if "statistics" in needs and statistics is not None:
      statistics.check_channels(images.shape[-1])


def _check_images(corruption: Corruption, images: np.ndarray | None) -> None:
  name = corruption.name
  if images is None:
    raise ValueError(
      f"images must be given for {name!r}, got None; try uint8 [N, H, W, C]."
    )
  # A label corruption by image takes sums over all values of an image.
  sides = images.shape[1 : 3 if corruption.target == "images" else 4]
  if not images.size or math.prod(sides) > 2**16:
    what = "pixels" if len(sides) == 2 else "values"
    raise ValueError(
      f"Images must have 1 to 65536 {what} each for {name!r}, got shape "
      f"{list(images.shape)}; try smaller ones."
    )

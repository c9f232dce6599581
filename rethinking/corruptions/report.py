"""The honest account of a corrupted data set, as a JSON-able dict.

Two conventions are in use for a noise rate: inclusive (labels drawn anew from
all K classes, the true one among them) and exclusive (labels that are wrong).
A report gives both, nominal (from the definition) and realised (counted).
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rethinking.corruptions.checks import id_order
from rethinking.corruptions.description import Corruption
from rethinking.corruptions.quantiles import ImageStatistics

# What a report says of true labels; None where nobody knows them.
OF_TRUTH = (
  "nominal_flip_rate",
  "nominal_inclusive_rate",
  "flip_rate",
  "inclusive_rate",
  "agreement",
  "labels_changed",
  "class_counts_true",
  "transition_counts",
)
# Of labels at all; None where a set has none.
OF_LABELS = (*OF_TRUTH, "num_classes", "class_counts_given", "labels_sha256")


class Examples(NamedTuple):
  """A set as a corruption of the whole set sees it, checked already.

  Attributes:
    split: folded into the key.
    labels: int32 [N].
    ids: uint32 [N] or [N, 2], distinct.
    num_classes: K.
    images: uint8 [N, H, W, C], where the corruption needs them.
    statistics: of the train images, likewise.
    given: int32 [N], labels that somebody gave, likewise.
  """

  split: str
  labels: np.ndarray
  ids: np.ndarray
  num_classes: int
  images: np.ndarray | None = None
  statistics: ImageStatistics | None = None
  given: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Corrupted:
  """A corrupted data set, its rows in the order they were given.

  Attributes:
    images: uint8 [N, H, W, C]; the given array itself where no corruption
      changes images, None where none were given.
    labels: int32 [N], the given (noisy) labels, an array of their own; None
      where none were given.
    true_labels: int32 [N], or None.
    ids: uint32 [N], or [N, 2] of names.
    report: JSON-able, from `summary`.
    statistics: of the train images; None where nothing needed them.
  """

  images: np.ndarray | None
  labels: np.ndarray
  true_labels: np.ndarray
  ids: np.ndarray
  report: dict[str, Any]
  statistics: ImageStatistics | None


def transition_matrix(
  corruption: Corruption, num_classes: int
) -> np.ndarray | None:
  """Returns the T[true, given] that a description defines.

  Args:
    corruption: any.
    num_classes: K.

  Returns:
    float64 [K, K], the identity for image corruptions; None where there is no
    such matrix before the data is seen (instance, permutation, human).

  >>> transition_matrix(Corruption.create("pair_flip", level=0.5), 2)
  array([[0.5, 0.5],
         [0.5, 0.5]])
  """
  if corruption.target == "images":
    return np.eye(num_classes)
  make = corruption.definition.matrix
  return make and make(**corruption.arguments, num_classes=num_classes)


def nominal_rate(
  corruption: Corruption, labels: np.ndarray, num_classes: int
) -> float | None:
  """Returns the expected share of labels that one corruption changes.

  Args:
    corruption: any.
    labels: int32 [N], before it.
    num_classes: K.

  Returns:
    A share in [0, 1]; None for human labels.

  >>> half = Corruption.create("uniform", level=0.5)
  >>> nominal_rate(half, np.zeros(4, int), 10)
  0.45
  """
  counts = np.bincount(labels, minlength=num_classes)
  matrix = transition_matrix(corruption, num_classes)
  if matrix is not None:
    return _expected_rate(matrix, counts)
  rate = corruption.definition.rate
  return rate and rate(counts, corruption.level, **dict(corruption.options))


def _expected_rate(matrix: np.ndarray, counts: np.ndarray) -> float:
  # Rounded to what float64 can tell, so that 0.45 reads as 0.45.
  kept = (counts * np.diag(matrix)).sum() / counts.sum()
  return round(float(1 - kept), 12)


def describe(corruption: Corruption) -> dict[str, Any]:
  """Returns a description as a JSON-able dict.

  >>> describe(Corruption.create("random_pixels"))["text"]
  "Corruption.create('random_pixels')"
  """
  config = corruption.to_config()
  return {
    "name": config.pop("name"),
    "level": config.pop("level", None),
    "options": config,
    "target": corruption.target,
    "text": repr(corruption),
    "sha256": corruption.sha256,
  }


def fingerprint(ids: np.ndarray, values: np.ndarray) -> str:
  """Returns the SHA-256 of examples' ids and values, in the order of the ids.

  Ids are hashed as little-endian uint32, then the shape of one value as text,
  then labels as little-endian int32 or images as bytes.

  Args:
    ids: uint32 [N] or [N, 2], distinct.
    values: int32 [N] labels, or uint8 [N, H, W, C] images.

  Returns:
    64 hexadecimal digits; the same for any order of the rows.

  >>> a = fingerprint(np.array([1, 0]), np.array([5, 6]))
  >>> a == fingerprint(np.array([0, 1]), np.array([6, 5]))
  True
  """
  kind = np.dtype(np.uint8 if values.dtype == np.uint8 else "<i4")
  order = id_order(ids)
  found = digest(ids[order], values.shape[1:])
  rows = max(1, 2**22 // max(1, int(np.prod(values.shape[1:]))))
  for start in range(0, len(ids), rows):
    part = values[order[start : start + rows]].astype(kind, copy=False)
    found.update(np.ascontiguousarray(part).data)
  return found.hexdigest()


def digest(ids: np.ndarray, shape: tuple[int, ...]):
  """Returns the beginning of a fingerprint: a SHA-256 that takes the values.

  Args:
    ids: uint32 [N] or [N, 2], ascending.
    shape: of one value.
  """
  found = hashlib.sha256(ids.astype("<u4").tobytes())
  found.update(repr(tuple(shape)).encode())
  return found


def summary(
  corruptions: Sequence[Corruption],
  steps: list[dict[str, Any]],
  examples: Examples,
  labels: np.ndarray,
  seed: int,
) -> dict[str, Any]:
  """Returns the report on a corrupted set, but for what its images say.

  Args:
    corruptions: what was done, in order.
    steps: one dict each: its description, how many examples were drawn, how
      many changed, the nominal rate.
    examples: the set before, with its true labels.
    labels: int32 [N], the given ones.
    seed: the corruption seed.

  Returns:
    A JSON-able dict. Rates are shares in [0, 1] or None where undefined.
  """
  total, num_classes = len(labels), examples.num_classes
  # [K, K], T[true, given] in numbers of examples.
  pairs = examples.labels.astype(np.int64) * num_classes + labels
  counts = np.bincount(pairs, minlength=num_classes**2)
  counts = counts.reshape(num_classes, num_classes)
  changed = int(total - np.trace(counts))
  rate = changed / total
  of_true, of_given = counts.sum(axis=1), counts.sum(axis=0)
  nominal = _nominal_flip_rate(corruptions, steps, of_true, num_classes)
  facts = {
    "split": examples.split,
    "seed": int(seed),
    "num_examples": total,
    "num_classes": num_classes,
    "corruptions": steps,
    "nominal_flip_rate": nominal,
    "nominal_inclusive_rate": _inclusive(nominal, num_classes),
    "flip_rate": rate,
    "inclusive_rate": _inclusive(rate, num_classes),
    "agreement": 1 - rate,
    "labels_changed": changed,
    "class_counts_true": of_true.tolist(),
    "class_counts_given": of_given.tolist(),
    "transition_counts": counts.tolist(),
    "labels_sha256": fingerprint(examples.ids, labels),
    "images_changed": None,
    "images_sha256": None,
    "statistics": None,
  }
  if examples.statistics is not None:
    mean, std = examples.statistics.moments(True)
    facts["statistics"] = {"mean": mean.tolist(), "std": std.tolist()}
  return facts


def _nominal_flip_rate(corruptions, steps, counts, num_classes):
  """The expected share of wrong labels after all steps, where it's defined."""
  noisy = [i for i, c in enumerate(corruptions) if c.target == "labels"]
  if len(noisy) == 1:
    return steps[noisy[0]]["nominal_rate"]
  product = np.eye(num_classes)
  for i in noisy:
    matrix = transition_matrix(corruptions[i], num_classes)
    if matrix is None:
      return None
    product = product @ matrix
  return _expected_rate(product, counts)


def _inclusive(rate: float | None, num_classes: int) -> float | None:
  """The inclusive rate with this share of wrong labels; above 1 there's none.

  Unlike the conversion function, a realised rate may pass 1 by chance.
  """
  if rate is None:
    return None
  inclusive = round(rate * num_classes / (num_classes - 1), 12)
  return inclusive if inclusive <= 1 else None

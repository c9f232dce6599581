"""A user's own arrays, checked."""

import collections
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from rethinking.corruptions.checks import as_array, check_ids, id_order
from rethinking.corruptions.keys import name_ids
from rethinking.runtime.errors import UserError

LEAST_SIDE, MOST_SIDE = 4, 256
_MOST_CHANNELS = 4
MOST_CLASSES = 1000


def fields(
  images: Any,
  labels: Any,
  ids: Any = None,
  given_labels: Any = None,
  class_names: Sequence[str] | None = None,
) -> dict[str, Any]:
  """Returns what a `Dataset` of a user's arrays is, see `from_arrays`."""
  images = check_images(images)
  count = len(images)
  if given_labels is not None:
    given_labels = _labels("given_labels", given_labels, count)
  truth = labels is not None or given_labels is None
  labels = _labels("labels", labels, count) if truth else given_labels
  # No int32: one more than its largest is below 0.
  largest = int(labels.max())
  if given_labels is not None:
    largest = max(largest, int(given_labels.max()))
  if class_names is None:
    _check_classes(largest + 1)
    class_names = [str(label) for label in range(largest + 1)]
  class_names = names_of_classes(class_names)
  if largest >= len(class_names):
    from_1 = labels.min() == 1 and largest == len(class_names)
    raise UserError(
      f"labels must be in 0..{len(class_names) - 1}, one of the "
      f"{len(class_names)} class_names, got {largest}; try "
      f"{'labels - 1' if from_1 else 'more class_names'}."
    )
  ids, names = example_ids(ids, count)
  order = id_order(ids)
  if (order == np.arange(count)).all():
    order = slice(None)  # No copy.
  return {
    "images": images[order],
    "labels": labels[order],
    "ids": ids[order],
    "num_classes": len(class_names),
    "class_names": class_names,
    "names": None if names is None else names[order],
    "given_labels": None if given_labels is None else given_labels[order],
    "truth": truth,
  }


def check_images(images: Any) -> np.ndarray:
  """Returns images as uint8 [N, H, W, C], refusing what they can't be.

  Args:
    images: uint8 [N, H, W, C], or [N, H, W] of one channel.

  Raises:
    UserError: saying how to convert others.
  """
  try:
    images = given("images", images)
  except UserError:
    if not isinstance(images, Sequence):
      raise
    images = np.empty(0, object)  # Of several sizes.
  check_kind(images.shape, images.dtype)
  return images if images.ndim == 4 else images[..., None]


def check_kind(shape: tuple[int, ...], dtype: np.dtype) -> None:
  """Refuses images by what a header says of them.

  Args:
    shape: of the array.
    dtype: of the array.

  Raises:
    UserError: saying how to convert them.
  """
  if dtype != np.uint8:
    how = {
      "f": "np.round(255 * images).astype(np.uint8) where they are in [0, 1]",
      "u": "(images // 257).astype(np.uint8) where they are 16-bit",
      "O": "np.stack(images), of one size, of type np.uint8",
    }.get(dtype.kind, "images.astype(np.uint8) where they are in 0..255")
    raise UserError(
      f"Images must be uint8 in 0..255, got {_kind(dtype)}; try {how}."
    )
  shape = (*shape, 1) if len(shape) == 3 else shape
  if len(shape) != 4 or not shape[0]:
    raise UserError(
      f"Images must be of shape [N, H, W, C] or [N, H, W], got {list(shape)}; "
      "try np.stack of images of one size."
    )
  if shape[1] <= _MOST_CHANNELS < shape[3]:
    raise UserError(
      f"Images must have their channels last, got shape {list(shape)}; try "
      "images.transpose(0, 2, 3, 1)."
    )
  least, most = min(shape[1:3]), max(shape[1:3])
  if least < LEAST_SIDE or most > MOST_SIDE or shape[3] > _MOST_CHANNELS:
    raise UserError(
      f"Images must have {LEAST_SIDE} to {MOST_SIDE} pixels a side and 1 to "
      f"{_MOST_CHANNELS} channels, got {list(shape[1:])}; try a folder of "
      "images with resize=32."
    )


def given(name: str, values: Any) -> np.ndarray:
  """Returns what was given as an array.

  Args:
    name: what to call it.
    values: a sequence or an array.

  Raises:
    UserError: for what would lose its meaning, see `as_array`.
  """
  try:
    return as_array(values, name)
  except ValueError as error:
    raise UserError(str(error)) from error


def _check_classes(count: int) -> None:
  if count > MOST_CLASSES:
    raise UserError(
      f"There must be at most {MOST_CLASSES} classes, got {count}; try labels "
      "from 0 without gaps."
    )


def names_of_classes(names: Any) -> tuple[str, ...]:
  """Returns names of classes, in the order of their labels.

  Args:
    names: strings or integers [K].

  Raises:
    UserError: for names that are none, or alike.
  """
  names = given("class_names", names)
  if names.ndim != 1 or not all(
    isinstance(name, str | int) for name in names.tolist()
  ):
    raise UserError(
      f"class_names must be a list of strings, got {_kind(names.dtype)} of "
      f"shape {list(names.shape)}; try one name a class, in the order of the "
      "labels."
    )
  found = tuple(map(str, names))
  _check_classes(len(found))
  # Accents may be letters of their own in the one and not the other.
  counts = collections.Counter(unicodedata.normalize("NFC", x) for x in found)
  for name in found:
    twice = counts[unicodedata.normalize("NFC", name)] > 1
    if not name.isprintable() or twice:
      what = "more than once" if name.isprintable() else "of other characters"
      raise UserError(
        f"class_names must be printable and distinct, got {name!r} {what}; try "
        "another name."
      )
  return found


def _kind(dtype: np.dtype) -> str:
  return "Python objects" if dtype.hasobject else str(dtype)


def integers(name: str, labels: Any, count: int) -> np.ndarray:
  """Returns labels as an array, whatever their range.

  Args:
    name: what to call them.
    labels: integers [N].
    count: N.

  Raises:
    UserError: saying how to convert others.
  """
  labels = given(name, labels)
  if labels.dtype.kind not in "iu" or labels.ndim != 1:
    raise UserError(
      f"{name} must be integers of shape [N], got {_kind(labels.dtype)} of "
      f"shape {list(labels.shape)}; try np.unique(labels, return_inverse=True)."
    )
  if len(labels) != count:
    raise UserError(
      f"{name} must be one an image, got {len(labels)} for {count} images; "
      "try arrays of the same length."
    )
  return labels


def _labels(name: str, labels: Any, count: int) -> np.ndarray:
  """Labels as int32 [N]."""
  labels = integers(name, labels, count)
  if labels.min() < 0 or labels.max() >= 2**31:
    wrong = labels.min() if labels.min() < 0 else labels.max()
    raise UserError(
      f"{name} must be classes from 0 on, got {wrong}; try "
      "np.unique(labels, return_inverse=True)."
    )
  return labels.astype(np.int32)


def example_ids(ids: Any, count: int) -> tuple[np.ndarray, np.ndarray | None]:
  """Returns ids as uint32 [N] or [N, 2], and the names that they are of.

  Args:
    ids: N integers or names; None: the rows' numbers.
    count: N.

  Raises:
    UserError: for ids that are none, or alike.
  """
  if ids is None:
    return np.arange(count, dtype=np.uint32), None
  ids = given("ids", ids)
  try:
    if ids.dtype.kind not in "UO":
      return check_ids(ids, count), None
    if len(ids) != count:
      raise ValueError(
        f"ids must be one an image, got {len(ids)} for {count} images; try "
        "arrays of the same length."
      )
    words = name_ids(ids)
  except ValueError as error:
    raise UserError(str(error)) from error
  up = [name for name in ids if ".." in name.split("/")]
  if up:
    raise UserError(
      f"ids must be names without '..', got {str(up[0])!r}; try the name below "
      "the folder of the images."
    )
  return words, ids.astype(str)

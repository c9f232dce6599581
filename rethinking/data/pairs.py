"""A user's train and test set, checked against each other."""

import dataclasses
import hashlib
import warnings

import numpy as np

from rethinking.data.dataset import Dataset
from rethinking.runtime.errors import UserError

ARRAYS = ("images", "labels", "ids", "given_labels")
Pair = tuple[Dataset, Dataset]


def together(train: Dataset, test: Dataset, note: str) -> Pair:
  """Returns a train and a test set that belong together, with identities.

  Warns of identical images in both, and with different labels.

  Args:
    train: of a user's arrays.
    test: likewise.
    note: how the images were stored, "" where nothing is to be said of it.

  Raises:
    UserError: where they can't, or a class has too few examples.
  """
  if train.images.shape[1:] != test.images.shape[1:]:
    raise UserError(
      f"train and test images must have one shape, got "
      f"{list(train.images.shape[1:])} and {list(test.images.shape[1:])}; try "
      "a folder of them with resize=32."
    )
  classes = train.class_names
  numbers = tuple(map(str, range(test.num_classes)))
  own = test.class_names in (numbers, classes[: test.num_classes])
  if not own or test.num_classes > len(classes):
    raise UserError(
      "The test set must have the classes of the train set, "
      f"{list(classes[:5])} and so on, got {list(test.class_names[:5])}, "
      f"{test.num_classes} beside {len(classes)}; try the same class_names."
    )
  if not test.truth:
    raise UserError(
      "The labels of the test set must be true, got given ones alone; try "
      "test_labels, or labels= of its Dataset."
    )
  counts = np.bincount(train.labels, minlength=len(classes))
  if counts.min() < 2 or len(classes) < 2:
    label = int(counts.argmin())
    if len(classes) < 2:
      raise UserError(
        f"There must be at least 2 classes, got 1, {classes[0]!r}; try images "
        "of another, too."
      )
    how = "fewer classes, or more examples of it"
    if not counts[0] and counts[1:].min(initial=2) >= 2:
      how = f"labels - 1 where they are 1..{len(classes) - 1}"
    raise UserError(
      f"There must be at least 2 classes of at least 2 train examples, got "
      f"{counts[label]} of {classes[label]!r}; try {how}."
    )
  if train.names is not None and test.names is not None:
    shared = np.intersect1d(train.names, test.names)
    if shared.size:
      raise UserError(
        f"train and test must share no name, got {shared.size} in both, such "
        f"as {str(shared[0])!r}; try other names, or one set and test_fraction."
      )
  _warn_of_repeats(train, test)
  common = {"num_classes": len(classes), "class_names": classes}
  return tuple(
    dataclasses.replace(
      one, split=name, identity=_identity(one, name, classes, note), **common
    )
    for name, one in (("train", train), ("test", test))
  )


def _identity(
  one: Dataset, split: str, classes: tuple[str, ...], note: str
) -> str:
  digest = hashlib.sha256(repr(classes).encode())
  for name in ("ids", *ARRAYS):
    array = getattr(one, name)
    if array is not None:
      digest.update(f"{name} {array.shape}".encode())
      digest.update(np.ascontiguousarray(array).data)
  return f"own {split}{note and f' ({note})'} sha256:{digest.hexdigest()}"


def _warn_of_repeats(train: Dataset, test: Dataset) -> None:
  """Warns of identical images in both sets, and with different labels."""
  seen: dict[bytes, int] = {}
  differ = 0
  for image, label in zip(train.images, train.labels.tolist(), strict=True):
    first = seen.setdefault(_digest(image), label)
    differ += first != label
  both = sum(_digest(image) in seen for image in test.images)
  for count, what in (
    (both, "test images are train images, too"),
    (differ, "train images have been seen before with another label"),
  ):
    if count:
      warnings.warn(f"{count} {what}.", RuntimeWarning, stacklevel=2)


def _digest(image: np.ndarray) -> bytes:
  return hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest()

"""Human labels from a file, matched by example id."""

import hashlib
import os
import pathlib

import numpy as np

from rethinking.corruptions import array_files, subsets

# CIFAR-10N's six arrays are 0.3 MB; this leaves room for a hundred million.
_MOST_BYTES = 2**28
_CLEAN = "clean_label"


def read_human(
  true_labels: np.ndarray,
  ids: np.ndarray,
  num_classes: int,
  *,
  path: str,
  array: str,
) -> tuple[np.ndarray, str]:
  """Returns the labels that people gave to these examples.

  Args:
    true_labels: int32 [N]. Where the file has them, they must agree.
    ids: uint32 [N], distinct.
    num_classes: K.
    path: of an .npz file, such as CIFAR-10N's arrays.
    array: the name of the array to read; `clean_label`, where there is one,
      holds the true labels.

  Returns:
    int32 [N]; the file's SHA-256.

  Raises:
    ValueError: for a file that is missing, damaged, too large or pickled, an
      array that isn't there, and as `subsets.human`.
  """
  # pathlib refuses a user that is not there without naming the path.
  path = os.path.expanduser(path)  # noqa: PTH111
  if not pathlib.Path(path).is_file():
    raise ValueError(f"There is no file of human labels at {path!r}.")
  arrays = array_files.read_npz(path, {array, _CLEAN}, most_bytes=_MOST_BYTES)
  if array not in arrays:
    raise ValueError(
      f"{path!r} has no array {array!r}; choose one of "
      f"{array_files.npz_names(path)}."
    )
  with pathlib.Path(path).open("rb") as file:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
  clean = arrays.get(_CLEAN)
  return subsets.human(
    true_labels, ids, arrays[array], num_classes=num_classes, clean=clean
  ), digest

"""Human labels from a file, matched by example id."""

from __future__ import annotations

import hashlib
import os

import numpy as np

from rethinking.corruptions import array_files, subsets
from rethinking.corruptions.description import Corruption

# CIFAR-10N's six arrays are 0.3 MB; this leaves room for a hundred million.
_MOST_BYTES = 2**28
_CLEAN = "clean_label"


def read_human(
  corruption: Corruption,
  true_labels: np.ndarray,
  ids: np.ndarray,
  num_classes: int,
) -> tuple[np.ndarray, str]:
  """Returns the human labels that a description names, for these examples.

  Args:
    corruption: of the name 'human'.
    true_labels: int32 [N]. Where the file has them, they must agree.
    ids: uint32 [N], distinct.
    num_classes: K.

  Returns:
    int32 [N]; the file's SHA-256.

  Raises:
    ValueError: as `load_human` and `subsets.human`.
  """
  array = corruption.option("array")
  arrays, digest = load_human(corruption.option("path"), array)
  given = subsets.human(
    true_labels,
    ids,
    arrays[array],
    num_classes=num_classes,
    clean=arrays.get(_CLEAN),
  )
  return given, digest


def load_human(path: str, array: str) -> tuple[dict[str, np.ndarray], str]:
  """Reads human labels from an .npz file.

  Args:
    path: of the file, such as CIFAR-10N's arrays.
    array: the name of the array to read.

  Returns:
    That array and, where there is one, `clean_label`; the file's SHA-256.

  Raises:
    ValueError: for a file that is missing, damaged, too large or pickled, or
      an array that isn't there.
  """
  if not os.path.isfile(path):
    raise ValueError(f"There is no file of human labels at {path!r}.")
  arrays = array_files.read_npz(path, {array, _CLEAN}, most_bytes=_MOST_BYTES)
  if array not in arrays:
    raise ValueError(
      f"{path!r} has no array {array!r}; choose one of "
      f"{array_files.npz_names(path)}."
    )
  with open(path, "rb") as file:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
  return arrays, digest

"""Human labels from a file, matched by example id."""

import hashlib
import os
import pathlib
import re

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
    ValueError: for a file that is missing, of another kind, damaged, too large
      or pickled, an array that isn't there, and as `subsets.human`.
  """
  # pathlib refuses a user that is not there without naming the path.
  path = os.path.expanduser(path)  # noqa: PTH111
  if not pathlib.Path(path).is_file():
    raise ValueError(
      f"path must be a file of human labels, got {path!r}, which is not there; "
      "try another path."
    )
  _check_kind(path)
  arrays = array_files.read_npz(path, {array, _CLEAN}, most_bytes=_MOST_BYTES)
  if array not in arrays:
    raise ValueError(
      f"array must be one of {array_files.npz_names(path)} in {path!r}, got "
      f"{array!r}; try one of these."
    )
  with pathlib.Path(path).open("rb") as file:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
  clean = arrays.get(_CLEAN)
  return subsets.human(
    true_labels, ids, arrays[array], num_classes=num_classes, clean=clean
  ), digest


# How the first bytes of other kinds of file look, and what reads them.
_KINDS = (
  ("an .npy file", rb"\x93NUMPY", "numpy.load(path)"),
  ("a PyTorch file", rb"PK.*data\.pkl", "torch.load(path)[name]"),
  ("a pickle, or an old PyTorch file", rb"\x80", "torch.load(path)[name]"),
  ("text", rb"[\t\n\r -~]+$", "numpy.loadtxt(path, int, delimiter=',')"),
)


def _check_kind(path: str) -> None:
  """Refuses files that are no .npz, with what makes one of them."""
  with pathlib.Path(path).open("rb") as file:
    start = file.read(256)
  if not start:
    raise ValueError(
      f"path must be an .npz file, got {path!r}, which is empty; try another."
    )
  for kind, pattern, load in _KINDS:
    if re.match(pattern, start, re.DOTALL):
      raise ValueError(
        f"path must be an .npz file, got {kind} {path!r}; try "
        f"numpy.savez('labels.npz', labels={load}) and array=labels."
      )

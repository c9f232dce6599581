"""scikit-learn's bundled handwritten digits: 1,797 real images, no download."""

import gzip
import hashlib
import importlib.util
import pathlib

import numpy as np

from rethinking.runtime.errors import UserError

_EXAMPLES = 1797
_TRAIN_EXAMPLES = 1437  # The last 360 were written by other people.
_PIXELS = 64
_BRIGHTEST = 16  # The file's pixels are counts from 0 to 16.


def read(split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
  """Returns the images, labels, ids and identity of a split.

  Args:
    split: "train" (the first 1,437 examples) or "test" (the last 360, from
      other writers).

  Returns:
    Images uint8 `[N, 8, 8, 1]` from 0 to 255, labels int32 `[N]`, ids uint32
    `[N]` (positions in scikit-learn's order), and the identity.

  Raises:
    UserError: if scikit-learn's file is missing or isn't the known one.

  Reference:
    Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository, 1998.
  """
  table = _table()
  digest = hashlib.sha256(table.tobytes()).hexdigest()
  ids = np.arange(_EXAMPLES, dtype=np.uint32)
  ids = ids[(ids < _TRAIN_EXAMPLES) == (split == "train")]
  pixels = table[ids, :_PIXELS].reshape(-1, 8, 8, 1)
  images = np.round(pixels * (255 / _BRIGHTEST)).astype(np.uint8)
  labels = table[ids, _PIXELS].astype(np.int32)
  return images, labels, ids, f"digits {split} sha256:{digest}"


def _table() -> np.ndarray:
  """The bundled file as uint8 `[1797, 65]`: 64 pixels and the label."""
  # Importing scikit-learn takes longer than training on its digits for an
  # epoch, so its file is read without it.
  spec = importlib.util.find_spec("sklearn")
  if spec is None or spec.origin is None:
    raise UserError(
      "scikit-learn must be there for the digits, got none; try `pip install "
      "scikit-learn`."
    )
  path = pathlib.Path(spec.origin).parent / "datasets/data/digits.csv.gz"
  try:
    with gzip.open(path, "rt", encoding="ascii") as file:
      table = np.array([line.split(",") for line in file], float)
    if table.shape != (_EXAMPLES, _PIXELS + 1) or table.max() > _BRIGHTEST:
      raise ValueError(f"not the known set of {_EXAMPLES}")
  except (OSError, EOFError, ValueError) as error:
    raise UserError(
      f"Cannot read scikit-learn's digits in {path} ({error}); reinstall it"
      " with `pip install --force-reinstall scikit-learn`."
    ) from error
  return table.astype(np.uint8)

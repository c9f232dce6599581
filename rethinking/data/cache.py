"""Decoded arrays on disk, used only while they match their source exactly.

An entry is a folder of plain `.npy` files and a `meta.json`, which is written
last and holds the source's fingerprint and the SHA-256 of every file and of
itself. Whatever doesn't agree is rebuilt; a run doesn't need the cache.
"""

import fcntl
import hashlib
import json
import pathlib
import warnings
from collections.abc import Callable

import numpy as np

from rethinking.data.arrays import Arrays
from rethinking.runtime import paths
from rethinking.storage import files, reading

_LAYOUT = 1  # Raised when the same source would decode to other arrays.
# Type and rank of each.
_ARRAYS = {
  "images": (np.uint8, 4),
  "labels": (np.int32, 1),
  "ids": (np.uint32, 1),
}


def load(key: str, fingerprint: Callable[[], str]) -> Arrays | None:
  """Returns a cached split, or None where there is no valid one.

  A damaged, truncated or foreign entry is named in a warning.

  Args:
    key: the entry's name.
    fingerprint: returns the SHA-256 of the source it must have been decoded
      from; called last, so that it may be computed meanwhile.
  """
  entry = paths.cache_folder() / key
  try:
    if not (entry / "meta.json").exists():
      return None
    paths.private_folder(key)
  except OSError:
    return None  # As `store` says.
  try:
    meta = reading.read_json(entry / "meta.json")
    if meta.get("checksum") != _checksum(meta):
      raise ValueError("meta.json is damaged")
    if meta.get("layout") != _LAYOUT:
      raise ValueError("it was made by another version of this package")
    if not isinstance(meta.get("encoding"), str):
      raise ValueError("meta.json names no encoding")
    arrays = {name: _read_array(entry, name, meta) for name in _ARRAYS}
    if len({len(array) for array in arrays.values()}) > 1:
      raise ValueError("its arrays are of several lengths")
  except (OSError, ValueError) as error:
    reason = error
  else:
    if meta.get("source") == fingerprint():
      return Arrays(**arrays, encoding=meta["encoding"])
    reason = "it was made from another source"
  warnings.warn(
    f"The cache of decoded images in {entry} is unusable ({reason}); it is"
    " made again.",
    RuntimeWarning,
    stacklevel=4,
  )
  return None


def store(key: str, fingerprint: str, arrays: Arrays) -> None:
  """Writes a split to the cache; warns where it cannot.

  Args:
    key: the entry's name.
    fingerprint: SHA-256 of the source the arrays were decoded from.
    arrays: the decoded split.
  """
  entry = paths.cache_folder() / key
  try:
    paths.private_folder(key)
    with open(entry / "lock", "w", opener=files.open_own) as lock:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
      _write(entry, fingerprint, arrays)
  except BlockingIOError:
    pass  # Another process is writing the same arrays.
  except OSError as error:
    warnings.warn(
      f"Going on without a cache of decoded images: {entry} cannot be"
      f" used ({error}); every run will decode them again.",
      RuntimeWarning,
      stacklevel=4,
    )


def _write(entry: pathlib.Path, fingerprint: str, arrays: Arrays) -> None:
  """Writes each file to a temporary name and renames it, `meta.json` last."""
  # Only the holder of the lock writes, so the names of unfinished files can be
  # fixed, and what a killed process left behind is overwritten. No fsync: what
  # a power cut damages, the checksums reveal.
  unfinished = entry / "unfinished.npy"
  try:
    unfinished.unlink(missing_ok=True)
    digests = {}
    for name, (dtype, _) in _ARRAYS.items():
      array = np.ascontiguousarray(getattr(arrays, name), dtype)
      np.save(unfinished, array, allow_pickle=False)
      digests[name] = reading.sha256(unfinished)
      unfinished.replace(entry / f"{name}.npy")
    meta = {
      "layout": _LAYOUT,
      "source": fingerprint,
      "encoding": arrays.encoding,
      "sha256": digests,
    }
    meta["checksum"] = _checksum(meta)
    unfinished.write_text(json.dumps(meta))
    unfinished.replace(entry / "meta.json")
  except OSError:
    unfinished.unlink(missing_ok=True)
    raise


def _read_array(entry: pathlib.Path, name: str, meta: dict) -> np.ndarray:
  """One array whose bytes are exactly those that were written."""
  path = entry / f"{name}.npy"
  sums = meta.get("sha256")
  if not isinstance(sums, dict) or reading.sha256(path) != sums.get(name):
    raise ValueError(f"{path.name} is damaged")
  # Mapped, so that a header asks for no more memory than the file has.
  array = np.load(path, "r", allow_pickle=False)
  dtype, rank = _ARRAYS[name]
  if array.dtype != dtype or array.ndim != rank:
    raise ValueError(f"{path.name} is {array.dtype} of shape {array.shape}")
  return np.array(array)


def _checksum(meta: dict) -> str:
  rest = {key: value for key, value in meta.items() if key != "checksum"}
  return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()

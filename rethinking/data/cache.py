"""Decoded arrays on disk, used only while they match their source exactly.

An entry is a folder of plain `.npy` files and a `meta.json`, which is written
last and holds the source's fingerprint and the SHA-256 of every file and of
itself. Whatever doesn't agree is rebuilt; a run doesn't need the cache.
"""

import fcntl
import hashlib
import json
import os
import pathlib
import warnings
from collections.abc import Callable

import numpy as np

from rethinking.data.arrays import Arrays
from rethinking.runtime import paths
from rethinking.storage import reading

_LAYOUT = 1  # Raised when the same source would decode to other arrays.
_ARRAYS = {"images": np.uint8, "labels": np.int32, "ids": np.uint32}


def load(key: str, fingerprint: Callable[[], str]) -> Arrays | None:
  """Returns a cached split, or None where there is no valid one.

  A damaged, truncated or foreign entry is named in a warning.

  Args:
    key: the entry's name.
    fingerprint: returns the SHA-256 of the source it must have been decoded
      from; called last, so that it may be computed meanwhile.
  """
  entry = paths.cache_folder() / key
  if not os.path.exists(entry / "meta.json"):
    return None
  try:
    meta = reading.read_json(entry / "meta.json")
    if meta.get("checksum") != _checksum(meta):
      raise ValueError("meta.json is damaged")
    if meta.get("layout") != _LAYOUT:
      raise ValueError("it was made by another version of this package")
    arrays = {name: _read_array(entry, name, meta) for name in _ARRAYS}
  except (OSError, ValueError) as error:
    reason = error
  else:
    if meta["source"] == fingerprint():
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
    entry.mkdir(parents=True, exist_ok=True)
    with (entry / "lock").open("w") as lock:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
      _write(entry, fingerprint, arrays)
  except BlockingIOError:
    pass  # Another process is writing the same arrays.
  except OSError as error:
    warnings.warn(
      f"Going on without a cache of decoded images: {entry} cannot be"
      f" written ({error}); every run will decode them again.",
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
    digests = {}
    for name, dtype in _ARRAYS.items():
      array = np.ascontiguousarray(getattr(arrays, name), dtype)
      np.save(unfinished, array, allow_pickle=False)
      digests[name] = reading.sha256(unfinished)
      os.replace(unfinished, entry / f"{name}.npy")
    meta = {
      "layout": _LAYOUT,
      "source": fingerprint,
      "encoding": arrays.encoding,
      "sha256": digests,
    }
    meta["checksum"] = _checksum(meta)
    unfinished.write_text(json.dumps(meta))
    os.replace(unfinished, entry / "meta.json")
  except OSError:
    unfinished.unlink(missing_ok=True)
    raise


def _read_array(entry: pathlib.Path, name: str, meta: dict) -> np.ndarray:
  """One array whose bytes are exactly those that were written."""
  path = entry / f"{name}.npy"
  if reading.sha256(path) != meta["sha256"][name]:
    raise ValueError(f"{path.name} is damaged")
  return np.load(path, allow_pickle=False)


def _checksum(meta: dict) -> str:
  rest = {key: value for key, value in meta.items() if key != "checksum"}
  return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()

"""Reads files as strictly as `files` writes them, and no more than expected.

Nothing here waits for another process, as the end of a FIFO would.
"""

import hashlib
import json
import math
import os
import stat
from typing import Any, BinaryIO, NoReturn

from etils import epath

from rethinking.runtime.paths import is_local

_MOST_JSON = 2**24
# Larger than a file of any data set or checkpoint here; none takes minutes.
_MOST_HASHED = 2**36


def loads(data: bytes) -> dict[str, Any]:
  """Reads a JSON object, strict as `dumps`.

  No NaN, no infinities such as 1e400, no whole number beyond what a float
  holds, no name twice, UTF-8 without a mark before it.

  Args:
    data: from anywhere, at most 16 MiB.

  Raises:
    ValueError: in one line, for anything else.

  >>> loads(b'{"loss": null}')
  {'loss': None}
  >>> loads(b"[1]")
  Traceback (most recent call last):
  ValueError: no JSON object
  """
  if len(data) > _MOST_JSON:
    raise ValueError(f"more than {_MOST_JSON} bytes")
  try:
    found = json.loads(
      # Of bytes, UTF-16 would be read, too.
      data.decode(),
      parse_constant=_refuse,
      parse_float=_float,
      parse_int=_int,
      object_pairs_hook=_object,
    )
    if b"\\ud" in data.lower():
      # Halves of a character, which no file or terminal takes.
      json.dumps(found, ensure_ascii=False).encode()
  except RecursionError:
    raise ValueError("nested too deeply") from None
  if not isinstance(found, dict):
    raise ValueError("no JSON object")
  return found


def _refuse(constant: str) -> NoReturn:
  raise ValueError(f"{constant:.50} is not JSON")


def _float(text: str) -> float:
  value = float(text)
  return value if math.isfinite(value) else _refuse(text)


def _int(text: str) -> int:
  value = int(text)
  # What a float can't hold ends whatever computes with it.
  _float(text)
  return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  found = dict(pairs)
  if len(found) < len(pairs):
    raise ValueError("a name is there twice")
  return found


def _open(path: epath.PathLike, most_bytes: int) -> BinaryIO:
  """Opens a file, unless it is none or larger than any of its kind can be."""
  if not is_local(path):
    return epath.Path(path).open("rb")
  number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
  status = os.fstat(number)
  try:
    if not stat.S_ISREG(status.st_mode):
      raise ValueError(f"a {_kind(status.st_mode)}, not a file")
    if status.st_size > most_bytes:
      raise ValueError(f"more than {most_bytes} bytes")
  except ValueError:
    os.close(number)
    raise
  return os.fdopen(number, "rb")


def _kind(mode: int) -> str:
  if stat.S_ISDIR(mode):
    return "folder"
  return "FIFO" if stat.S_ISFIFO(mode) else "device"


def read(path: epath.PathLike, most_bytes: int) -> bytes:
  """Reads a file, unless it is larger than any of its kind can be.

  Args:
    path: the file.
    most_bytes: how large it may be.

  Raises:
    OSError: it could not be read.
    ValueError: it is larger, or no file.
  """
  with _open(path, most_bytes) as file:
    data = file.read(most_bytes + 1)
  if len(data) > most_bytes:
    raise ValueError(f"more than {most_bytes} bytes")
  return data


def sha256(path: epath.PathLike) -> str:
  """Returns the SHA-256 of a file, as 64 hex digits.

  Args:
    path: the file, of at most 64 GiB.

  Raises:
    OSError: it could not be read.
    ValueError: it is larger, or no file.
  """
  with _open(path, _MOST_HASHED) as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: epath.PathLike) -> dict[str, Any]:
  """Reads a file that holds one JSON object.

  Args:
    path: the file, of at most 16 MiB.

  Raises:
    OSError: it could not be read.
    ValueError: in one line, where it isn't one.
  """
  return loads(read(path, _MOST_JSON))

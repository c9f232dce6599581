"""Reads files as strictly as `files` writes them, and no more than expected."""

import hashlib
import json
from typing import Any

from etils import epath

_MOST_JSON = 2**24


def loads(data: bytes) -> dict[str, Any]:
  """Reads a JSON object, strict as `dumps`: no NaN, no infinities.

  Args:
    data: from anywhere.

  Raises:
    ValueError: in one line, for anything else.

  >>> loads(b'{"loss": null}')
  {'loss': None}
  >>> loads(b"[1]")
  Traceback (most recent call last):
  ValueError: no JSON object
  """
  try:
    found = json.loads(data, parse_constant=_refuse)
  except RecursionError:
    raise ValueError("nested too deeply") from None
  if not isinstance(found, dict):
    raise ValueError("no JSON object")
  return found


def _refuse(constant: str) -> None:
  raise ValueError(f"{constant} is not JSON")


def read(path: epath.PathLike, most_bytes: int) -> bytes:
  """Reads a file, unless it is larger than any of its kind can be.

  Args:
    path: the file.
    most_bytes: how large it may be.

  Raises:
    OSError: it could not be read.
    ValueError: it is larger.
  """
  with epath.Path(path).open("rb") as file:
    data = file.read(most_bytes + 1)
  if len(data) > most_bytes:
    raise ValueError(f"more than {most_bytes} bytes")
  return data


def sha256(path: epath.PathLike) -> str:
  """Returns the SHA-256 of a file, as 64 hex digits.

  Args:
    path: the file.

  Raises:
    OSError: it could not be read.
  """
  with epath.Path(path).open("rb") as file:
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

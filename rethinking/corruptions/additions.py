"""Rows that config files add to tables of names, and these files' SHA-256."""

import hashlib
import pathlib
import sys
from collections.abc import Collection
from typing import Any

# Where the rows come from that were added: a file and its SHA-256, by table and
# name.
_ADDED: dict[tuple[str, str], tuple[str, str]] = {}


def add(kind: str, table: dict[str, Any], name: str, row: Any) -> None:
  """Adds a row to a table of names, for the one that calls the caller.

  A config file may be run again: its rows then take the place of its own.

  Args:
    kind: what the table has rows of, in words.
    table: rows by name.
    name: a new one.
    row: what it stands for.

  Raises:
    ValueError: for a name that is taken.
  """
  file = pathlib.Path(sys._getframe(2).f_code.co_filename).absolute()
  known, _ = _ADDED.get((kind, name), (None, None))
  if name in table and known != str(file):
    raise ValueError(
      f"The {kind} must have a new name, got {name!r}; try another."
    )
  # In a notebook there is no file.
  data = file.read_bytes() if file.is_file() else b""
  table[name] = row
  _ADDED[kind, name] = str(file), hashlib.sha256(data).hexdigest()


def added(names: Collection[str]) -> dict[str, str]:
  """Returns the SHA-256 of the files that added rows, by the files' names.

  Args:
    names: the rows that count.
  """
  return {
    pathlib.Path(file).name: digest
    for (_, name), (file, digest) in _ADDED.items()
    if name in names
  }

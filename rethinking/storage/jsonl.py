"""Rows as JSON, one a line, which a crash cannot damage."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from etils import epath

from rethinking.runtime.errors import UserError
from rethinking.storage import files, reading

# A row is some kilobytes; this leaves room for ten thousands.
_MOST_BYTES = 2**28

# The types of the values that every row of a file has, by name.
Needed = Mapping[str, type]
_NOTHING: Needed = MappingProxyType({})


def read(path: epath.PathLike) -> tuple[list[bytes], bytes]:
  """Reads the lines of a file, without their ends; the torn last one apart.

  Args:
    path: the file; it need not be there.

  Raises:
    UserError: it cannot be read, or is larger than 256 MiB.
  """
  try:
    *lines, torn = reading.read(path, _MOST_BYTES).split(b"\n")
  except FileNotFoundError:
    return [], b""
  except (OSError, ValueError) as error:
    reason = getattr(error, "strerror", None) or error
    raise UserError(
      f"{path} must be a file that you may read, got {reason}; restore it."
    ) from error
  return lines, torn


def parse(
  path: epath.PathLike, lines: Sequence[bytes], needed: Needed = _NOTHING
) -> list[dict[str, Any]]:
  """Reads JSON objects, one a line.

  Args:
    path: where they come from, for the message.
    lines: without their ends.
    needed: what each of them has, and more.

  Raises:
    UserError: a line isn't such an object; it is named by its number.
  """
  rows = []
  for number, line in enumerate(lines, 1):
    try:
      row = reading.loads(line)
    except ValueError as error:
      trouble, cause = "a JSON object is expected", error
    else:
      trouble, cause = wrong(row, needed), None
      if trouble is None:
        rows.append(row)
        continue
    raise UserError(
      f"{path} is damaged in line {number}: {trouble}; restore the file or "
      "delete that line."
    ) from cause
  return rows


def wrong(row: Mapping[str, Any], needed: Needed) -> str | None:
  """Returns what is wrong with a row, as a sentence, or None.

  Args:
    row: a JSON object.
    needed: what it must have, and more.
  """
  for name, kind in needed.items():
    if name not in row:
      return f"it has no {name!r}"
    # True is an int for isinstance.
    if type(row[name]) is not kind:
      value = f"{row[name]!r:.50}"
      return f"{name!r} must be of type {kind.__name__}, got {value}"
  return None


class JsonLines:
  """One JSON object a line, each on disk when `append` returns.

  A crash can leave at most one torn line, the last. It is dropped here, said
  in `warnings`; damage anywhere else is refused by `rows`.

  Args:
    path: the file; it need not exist.
    needed: what each row has, and more.

  Attributes:
    path: the file.
    warnings: sentences about what was repaired when it was opened.

  Raises:
    UserError: the file cannot be read.
  """

  def __init__(self, path: epath.PathLike, needed: Needed = _NOTHING):
    self.path = epath.Path(path)
    self._needed = needed
    self.warnings: list[str] = []
    lines, torn = read(self.path)
    if torn:
      files.replace(self.path, b"".join(line + b"\n" for line in lines))
      self.warnings.append(
        f"{self.path}: dropped its torn last line, number {len(lines) + 1} "
        f"({len(torn)} bytes)."
      )

  def _lines(self) -> list[bytes]:
    return read(self.path)[0]

  def rows(self) -> list[dict[str, Any]]:
    """Every row, oldest first.

    Raises:
      UserError: a line isn't a JSON object; it is named by its number.
    """
    return parse(self.path, self._lines(), self._needed)

  def sha256(self, count: int) -> str:
    """SHA-256 of the first `count` lines, to see later if a bit has changed.

    Args:
      count: lines, at most as many as there are.
    """
    data = b"".join(line + b"\n" for line in self._lines()[:count])
    return hashlib.sha256(data).hexdigest()

  def append(self, row: dict[str, Any]) -> None:
    """Adds one row; what isn't finite becomes null.

    Args:
      row: as `files.dumps` takes it.

    Raises:
      OSError: it could not be written; the file is as it was.
    """
    files.append(self.path, (files.dumps(row) + "\n").encode())

  def truncate(self, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Drops some rows, by an atomic rewrite.

    Args:
      keep: whether a row stays.

    Raises:
      UserError: a line isn't a JSON object; nothing was dropped.
      OSError: it could not be written; the file is as it was.
    """
    lines = self._lines()
    rows = parse(self.path, lines, self._needed)
    kept = [line for line, row in zip(lines, rows, strict=True) if keep(row)]
    if len(kept) < len(lines):
      files.replace(self.path, b"".join(line + b"\n" for line in kept))

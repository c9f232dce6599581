"""Rows as JSON, one a line, which a crash cannot damage."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from etils import epath

from rethinking.runtime.errors import UserError
from rethinking.storage import files, reading


def parse(path: epath.Path, lines: Sequence[bytes]) -> list[dict[str, Any]]:
  """Reads JSON objects, one a line.

  Args:
    path: where they come from, for the message.
    lines: without their ends.

  Raises:
    UserError: a line isn't a JSON object; it is named by its number.
  """
  rows = []
  for number, line in enumerate(lines, 1):
    try:
      rows.append(reading.loads(line))
    except ValueError as error:
      raise UserError(
        f"{path} is damaged in line {number}: a JSON object is expected;"
        " restore the file or delete that line."
      ) from error
  return rows


class JsonLines:
  """One JSON object a line, each on disk when `append` returns.

  A crash can leave at most one torn line, the last. It is dropped here, said
  in `warnings`; damage anywhere else is refused by `rows`.

  Attributes:
    path: the file; it need not exist.
    warnings: sentences about what was repaired when it was opened.
  """

  def __init__(self, path: epath.PathLike):
    self.path = epath.Path(path)
    self.warnings: list[str] = []
    data = self.path.read_bytes() if self.path.exists() else b""
    whole, newline, torn = data.rpartition(b"\n")
    if torn:
      files.replace(self.path, whole + newline)
      self.warnings.append(
        f"{self.path}: dropped its torn last line,"
        f" number {whole.count(newline) + 2 if newline else 1}"
        f" ({len(torn)} bytes)."
      )

  def _lines(self) -> list[bytes]:
    if not self.path.exists():
      return []
    return self.path.read_bytes().split(b"\n")[:-1]

  def rows(self) -> list[dict[str, Any]]:
    """Every row, oldest first.

    Raises:
      UserError: a line isn't a JSON object; it is named by its number.
    """
    return parse(self.path, self._lines())

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
    rows = parse(self.path, lines)
    kept = [line for line, row in zip(lines, rows, strict=True) if keep(row)]
    if len(kept) < len(lines):
      files.replace(self.path, b"".join(line + b"\n" for line in kept))

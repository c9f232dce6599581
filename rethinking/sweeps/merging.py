"""A sweep's rows as one file each, which many shares write, and as one file."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from etils import epath
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking.config.fields import flagged
from rethinking.runtime.errors import UserError
from rethinking.storage import files, jsonl, reading
from rethinking.training import metrics

FOLDER = "rows"


def path(workdir: epath.Path, name: str, cell: ConfigDict) -> epath.Path:
  """Returns the file of a cell's row, named by what the cell is.

  Args:
    workdir: of the sweep.
    name: the cell's.
    cell: resolved.
  """
  said = files.dumps([name, comparable({"config": config_lib.plain(cell)})])
  digest = hashlib.sha256(said.encode()).hexdigest()[:16]
  return workdir / FOLDER / f"{digest}.jsonl"


def paths(
  workdir: epath.Path, todo: Mapping[str, ConfigDict]
) -> list[epath.Path]:
  """Returns the files with rows of some cells that are there.

  Args:
    workdir: of the sweep.
    todo: resolved configs of the cells by name.
  """
  there = {file.name for file in (workdir / FOLDER).glob("*.jsonl")}
  results = workdir / "results.jsonl"
  own = [path(workdir, name, cell) for name, cell in todo.items()]
  found = [results] if results.exists() else []
  return found + [file for file in own if file.name in there]


def comparable(row: Mapping[str, Any]) -> dict[str, Any]:
  """A row without the fields that may differ between calls.

  Args:
    row: of results.jsonl.
  """
  config = {
    k: v for k, v in row["config"].items() if k not in flagged("resume")
  }
  return {**row, "config": config}


def same(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
  """Whether two rows of a cell agree in all but when and where they were made.

  Args:
    row: of results.jsonl.
    other: likewise.
  """
  left, right = (metrics.without_clock(comparable(r)) for r in (row, other))
  return {**left, "git_commit": None} == {**right, "git_commit": None}


def missing(workdir: epath.Path, todo: Mapping[str, ConfigDict]) -> list[str]:
  """Names the cells that have no row; no row is looked into.

  Args:
    workdir: of the sweep.
    todo: resolved configs of all cells by name.
  """
  found = {*paths(workdir, todo)}
  left = [n for n, c in todo.items() if path(workdir, n, c) not in found]
  if left:
    lines = jsonl.read(workdir / "results.jsonl")[0]
    rows = jsonl.parse(workdir / "results.jsonl", lines)
    done = {row.get("cell") for row in rows}
    left = [name for name in left if name not in done]
  return left


def merge(
  workdir: epath.Path,
  todo: Mapping[str, ConfigDict],
  warn: Callable[[str], None],
) -> None:
  """Writes all rows into results.jsonl, in the order of the cells.

  Args:
    workdir: of the sweep: its results.jsonl and the files of single rows, as
      far as they are there.
    todo: resolved configs of all cells by name.
    warn: is told of a cell with two rows that are not the same; the first is
      kept.

  Raises:
    UserError: for a file that holds no row of this sweep; nothing was written.
  """
  results = workdir / "results.jsonl"
  found = sorted((workdir / FOLDER).glob("*.jsonl"))
  # Where each row is, and not the rows: those of a large sweep fill memory.
  kept: dict[str, _Row] = {}
  for file in [results, *found]:
    lines, torn = jsonl.read(file)
    for number, line in enumerate([*lines, torn] if torn else lines):
      [row] = jsonl.parse(file, [line], {"cell": str, "config": dict})
      name = row["cell"]
      if name not in todo:
        raise UserError(
          f"{file} is damaged: its cell {name!r} is none of this sweep; delete "
          "it."
        )
      first = kept.setdefault(name, _Row(file, number))
      if first != (file, number) and not same(row, first.read()):
        warn(
          f"{file} has another row of {name} than was found before; left out."
        )
  rows = [kept[name] for name in todo if name in kept]
  if rows != [_Row(results, number) for number in range(len(rows))]:
    _write(results, rows)


class _Row(NamedTuple):
  """A row of a file: the line of this number, from 0."""

  file: epath.Path
  number: int

  def read(self) -> dict[str, Any]:
    lines, torn = jsonl.read(self.file)
    return reading.loads([*lines, torn][self.number])


def _write(results: epath.Path, rows: Iterable[_Row]) -> None:
  """Writes rows in their order, each file of them read once in a row."""

  def lines() -> Iterator[bytes]:
    for file, some in itertools.groupby(rows, lambda row: row.file):
      read, torn = jsonl.read(file)
      read.append(torn)
      for row in some:
        yield read[row.number] + b"\n"

  if files.is_local(results):
    files.save(results, lambda file: file.writelines(lines()))
  else:
    files.replace(results, b"".join(lines()))

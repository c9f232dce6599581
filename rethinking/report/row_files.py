"""The rows of a sweep's shares, a file each, and which are not there yet."""

from collections.abc import Mapping
from typing import Any

from etils import epath

from rethinking.runtime.errors import UserError
from rethinking.storage import checksums, jsonl, reading

Row = Mapping[str, Any]

# Which cells there are, as a share of a sweep writes it.
CELLS = "cells.json"
# A hundred thousand names.
_MOST_BYTES = 2**24
_NEEDED = {"cell": str, "figure": str, "status": str, "config": dict}


def progress(workdir: epath.Path) -> list[str]:
  """Returns a sentence on how many cells of a sweep's shares have a row.

  Args:
    workdir: of the sweep.

  Returns:
    It, and one for each row, or run with one, that is damaged; nothing where
    no share began.

  Raises:
    UserError: for a cells.json or results.jsonl that cannot be read.
  """
  if not (workdir / CELLS).exists():
    return []
  text = reading.read(workdir / CELLS, _MOST_BYTES)
  [listed] = jsonl.parse(workdir / CELLS, [text], {"cells": list})
  results = workdir / "results.jsonl"
  single, damaged = singles(workdir)
  rows = jsonl.parse(results, jsonl.read(results)[0], {"cell": str})
  names = {row["cell"] for row in (*rows, *single)}
  left = [name for name in listed["cells"] if name not in names]
  for name in sorted(names):
    folder = workdir / "cells" / name
    if (folder / "summary.json").exists() and (
      wrong := checksums.damage(folder)
    ):
      damaged.append(f"{folder} {wrong}")
  count = len(listed["cells"])
  said = f"{count - len(left)} of {count} cells are finished"
  some = f"; missing: {', '.join(left[:3])}" if left else ""
  more = f" and {len(left) - 3} more" if len(left) > 3 else ""
  return [f"{said}{some}{more}.", *(f"Damaged: {one}." for one in damaged)]


def singles(workdir: epath.Path) -> tuple[list[Row], list[str]]:
  """Returns the rows of a sweep's shares, a file each.

  Args:
    workdir: of the sweep.

  Returns:
    The rows, and what is wrong with the other files, a sentence's beginning
    each; none where the sweep is finished, whose rows are in results.jsonl.
  """
  found, damaged = [], []
  if (workdir / "summary.json").exists():
    return found, damaged
  for path in sorted((workdir / "rows").glob("*.jsonl")):
    try:
      lines, torn = jsonl.read(path)
      [row] = jsonl.parse(path, [*lines, torn] if torn else lines)
    except ValueError as error:
      reason = "no row" if isinstance(error, UserError) else str(error)
      damaged.append(f"{path}: {reason}")
      continue
    if wrong := trouble(row):
      damaged.append(f"{path} {wrong}")
    else:
      found.append(row)
  return found, damaged


def trouble(row: Row) -> str | None:
  """Returns why something is not a row that can be read; None: it is one.

  Args:
    row: a JSON object.
  """
  for name, kind in _NEEDED.items():
    if not isinstance(row.get(name), kind):
      return f"is not a row of a sweep: it has no {name!r}"
  if row["status"] == "finished":
    for name in ("train_accuracy", "test_accuracy"):
      if not isinstance(row.get(name), int | float):
        return f"says that its run finished, but has no {name!r}"
  if not isinstance(row["config"].get("arch"), str):
    return "is not a row of a sweep: its config has no 'arch'"
  return None

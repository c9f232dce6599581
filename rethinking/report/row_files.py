"""The files of a sweep's rows: results.jsonl, and of shares a file each."""

from typing import Any

from etils import epath

from rethinking.config import checks, records
from rethinking.config.fields import flagged
from rethinking.report.rows import Row, Rows, gather
from rethinking.runtime.errors import UserError
from rethinking.storage import checksums, jsonl, reading
from rethinking.training import metrics

# Which cells there are, as a share of a sweep writes it.
CELLS = "cells.json"
# A hundred thousand names.
_MOST_BYTES = 2**24
_NEEDED = {"cell": str, "figure": str, "status": str, "config": dict}


def load(path: epath.PathLike) -> Rows:
  """Reads a results.jsonl, which a sweep may be writing at the same time.

  Args:
    path: the file, local or gs://.

  Returns:
    Its rows. A torn last line is left out and left alone.

  Raises:
    UserError: if there is no such file, or a line of it is not a row.
  """
  path = epath.Path(path)
  single, damaged = singles(path.parent)
  if not path.exists() and not single:
    raise UserError(
      f"{path.parent} must be the workdir of a sweep, got no {path.name} in "
      "it; try that of configs/digits.py:figure1 or another."
    )
  lines, torn = jsonl.read(path)
  rows = jsonl.parse(path, lines)
  for number, row in enumerate(rows, 1):
    if wrong := trouble(row):
      raise UserError(
        f"{path}, line {number}, {wrong}; restore the file or delete that line."
      )
  done = {row["cell"] for row in rows}
  rows += [row for row in single if row["cell"] not in done]
  found = gather([records.recorded_row(row) for row in rows])
  said = [f"The torn last line of {path.name} is left out."] if torn else []
  said += [f"Left out: {one}." for one in damaged]
  return found._replace(warnings=tuple(said))


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
  path = workdir / CELLS
  try:
    listed = reading.loads(reading.read(path, _MOST_BYTES)).get("cells")
  except (OSError, ValueError) as error:
    reason = getattr(error, "strerror", None) or error
    raise UserError(f"{path} is damaged ({reason}); restore it.") from error
  if not isinstance(listed, list) or not all(map(_is_name, listed)):
    raise UserError(f"{path} is damaged (no list of cells' names); restore it.")
  results = workdir / "results.jsonl"
  single, damaged = singles(workdir)
  rows = jsonl.parse(results, jsonl.read(results)[0], {"cell": str})
  names = {row["cell"] for row in (*rows, *single)}
  left = [name for name in listed if name not in names]
  for name in sorted(filter(_is_name, names)):
    folder = workdir / "cells" / name
    if (folder / "summary.json").exists() and (
      wrong := checksums.damage(folder)
    ):
      damaged.append(f"{folder} {wrong}")
  count = len(listed)
  said = f"{count - len(left)} of {count} cells are finished"
  some = f"; missing: {', '.join(left[:3])}" if left else ""
  more = f" and {len(left) - 3} more" if len(left) > 3 else ""
  return [f"{said}{some}{more}.", *(f"Damaged: {one}." for one in damaged)]


def _is_name(value: Any) -> bool:
  """Whether a folder may be called so; those of the cells are."""
  return (
    isinstance(value, str)
    and value.isprintable()
    and len(value.encode()) < 256
    and "/" not in value
    and value not in ("", ".", "..")
  )


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
  for name in ("cell", "figure"):
    # Files are called after them.
    if not _is_name(row[name]):
      return f"is not a row of a sweep: its {name!r} is {row[name]!r:.50}"
  if row["status"] not in ("finished", "diverged"):
    return f"is not a row of a sweep: its 'status' is {row['status']!r:.50}"
  if row["status"] == "finished":
    for name in ("train_accuracy", "test_accuracy"):
      if not isinstance(row.get(name), int | float):
        return f"says that its run finished, but has no {name!r}"
  config = records.recorded(row["config"])
  wrong = checks.trouble(config, flagged("named")) or metrics.trouble(row)
  if wrong or row.get("curve") is None:
    return wrong and f"is damaged: {wrong}"
  try:
    curve = row["curve"]
    found = [
      dict(zip(curve, values, strict=True))
      for values in zip(*curve.values(), strict=True)
    ]
    wrong = metrics.trouble_in_order(found)
  except (AttributeError, TypeError, ValueError, KeyError):
    wrong = "it must have a value an evaluation of each quantity"
  return wrong and f"is damaged in its curve: {wrong}"

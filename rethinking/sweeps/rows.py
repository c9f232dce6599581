"""The rows of a sweep: made from its runs, and checked against them."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking.config import fields
from rethinking.runtime.errors import UserError
from rethinking.storage import files, jsonl, reading
from rethinking.sweeps import merging
from rethinking.training import metrics
from rethinking.training import task as task_lib
from rethinking.training import workdir as workdir_lib

# What every row has, and those of each status.
_NEEDED = {"cell": str, "status": str, "config": dict, "seconds": float}
_BY_STATUS = {
  "finished": {
    "steps": int,
    "steps_saved": int,
    "train_accuracy": float,
    "test_accuracy": float,
  },
  "diverged": {"step": int},
}


def kept(
  results: jsonl.JsonLines,
  todo: Mapping[str, ConfigDict],
  figure: str,
  workdir: epath.Path,
) -> list[dict[str, Any]]:
  """Returns the rows of earlier calls.

  Args:
    results: results.jsonl.
    todo: resolved configs of all cells by name.
    figure: the sweep's variant.
    workdir: of the sweep.

  Raises:
    UserError: for a row that is not one of this sweep or that its run's files
      contradict, and where a run is left but the data are not those of the
      rows.
  """
  rows = checked(results, todo, figure, workdir)
  if len(rows) < len(todo):
    check_data(results.path, rows, todo, workdir)
  return rows


def checked(
  results: jsonl.JsonLines,
  todo: Mapping[str, ConfigDict],
  figure: str,
  workdir: epath.Path,
) -> list[dict[str, Any]]:
  """Returns rows that are of this sweep and agree with what their runs left.

  Args:
    results: results.jsonl, or a row of its own.
    todo: resolved configs of all cells by name.
    figure: the sweep's variant.
    workdir: of the sweep.

  Raises:
    UserError: for one that is not.
  """
  rows = [config_lib.recorded_row(row) for row in results.rows()]
  for number, row in enumerate(rows, 1):
    name, status = row.get("cell"), row.get("status")
    trouble = jsonl.wrong(row, _NEEDED)
    if trouble is None and (name not in todo or status not in _BY_STATUS):
      trouble = "it is no row of this sweep"
    trouble = trouble or jsonl.wrong(row, _BY_STATUS[status])
    if trouble is not None:
      raise UserError(
        f"{results.path} is damaged in line {number}: {trouble}; restore the "
        "file or delete that line."
      )
    path = workdir / "cells" / name / "summary.json"
    if not path.exists():
      continue
    try:
      seen = {"status": "finished", **workdir_lib.read_json(path)}
      seen["seconds"] = row["seconds"]
      made = files.dumps(make(name, todo[name], figure, workdir, seen))
      made = merging.comparable(reading.loads(made.encode()))
      same = made == merging.comparable(row)
    except (LookupError, TypeError, AttributeError):
      same = False
    if not same:
      raise UserError(
        f"{results.path} and {path} differ, so one of them is "
        f"damaged; delete the row of {name} in the first, or the run's folder."
      )
  return rows


def check_data(
  path: epath.Path,
  rows: Iterable[Mapping[str, Any]],
  todo: Mapping[str, ConfigDict],
  workdir: epath.Path,
) -> None:
  """Refuses to add runs to rows that were made from other data.

  Args:
    path: of the rows, for the message.
    rows: of finished runs.
    todo: resolved configs of all cells by name.
    workdir: of the sweep.

  Raises:
    UserError: where there is one.
  """

  @functools.cache
  def source(cell):
    return {
      split: task_lib.dataset(todo[cell], split).identity
      for split in ("train", "test")
    }

  first = {}
  same = set()
  for row in rows:
    cell = todo[row["cell"]]
    # A run that diverged has no record of its data.
    if row["status"] == "diverged":
      continue
    read = tuple(cell[name] for name in fields.DATA)
    now = source(first.setdefault(read, row["cell"]))
    old = row.get("data_source")
    # Runs that agree in these have the same data beneath their own noise.
    about = (*fields.DATA, *fields.LABELS, *fields.PIXELS)
    kind = (files.dumps(old), *(cell[name] for name in about))
    if old == now or kind in same:
      continue
    # Prepared again, the same arrays are in other files.
    if not _same_data(workdir / "cells" / row["cell"], cell):
      raise UserError(
        f"{path} must hold runs on the {cell.dataset} data that is here, "
        f"{now}, got other (data_source in the row of {row['cell']}); try the "
        "data_dir of those runs, or another workdir."
      )
    same.add(kind)


def _same_data(folder: epath.Path, cell: ConfigDict) -> bool:
  """Whether a finished run would be given the same arrays again."""
  kept = folder / "corruption.json"
  return kept.exists() and not workdir_lib.other_data(
    workdir_lib.read_json(kept), task_lib.load(cell).facts()
  )


def make(
  name: str,
  cell: ConfigDict,
  figure: str,
  workdir: epath.Path,
  seen: Mapping[str, Any],
) -> dict[str, Any]:
  """Makes a run's row of results.jsonl.

  Args:
    name: the cell's.
    cell: resolved.
    figure: the sweep's variant.
    workdir: of the sweep.
    seen: the run's summary, `status` "finished" and `seconds`; or `status`
      "diverged", `step` and `seconds`.
  """
  row = {"cell": name, "figure": figure, "config": config_lib.plain(cell)}
  if seen["status"] == "diverged":
    return {**row, **seen}
  folder = workdir / "cells" / name
  curve = jsonl.JsonLines(folder / "metrics.jsonl").rows()
  corruption = workdir_lib.read_json(folder / "corruption.json")
  at_fit = (r for r in curve if r["step"] == seen["steps_to_fit"])
  # A fitted run that has not gone through all its epochs was retired.
  left = cell.epochs - seen["epoch"]
  each = seen["steps"] / seen["epoch"] if seen["epoch"] else 0
  return {
    **row,
    **seen,
    "test_accuracy_at_fit": next(at_fit, {}).get("test_accuracy"),
    "flip_rate": corruption["flip_rate"],
    "steps_saved": round(left * each),
    "curve": {
      key: [r[key] for r in curve] for key in metrics.without_clock(curve[0])
    },
  }


def summary(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
  """Returns what was seen over all cells.

  Args:
    rows: from `make`.
  """
  rows = list(rows)
  finished = [row for row in rows if row["status"] == "finished"]
  retired = [row for row in finished if row["steps_saved"]]
  return {
    "cells": len(rows),
    "finished": len(finished),
    "diverged": len(rows) - len(finished),
    "censored": sum(row["steps_to_fit"] is None for row in finished),
    "cell_seconds": sum(row["seconds"] for row in rows),
    "retired": len(retired),
    "steps_saved": sum(row["steps_saved"] for row in retired),
    # As many steps more at the pace of each run.
    "seconds_saved": sum(
      row["seconds"] * row["steps_saved"] / row["steps"] for row in retired
    ),
  }

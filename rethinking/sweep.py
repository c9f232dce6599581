"""Many runs: a grid of configs, each the run that the main job makes."""

from __future__ import annotations

import contextlib
import functools
import pathlib
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking import (
  abreast,
  cells,
  data,
  files,
  lockstep,
  parallel,
  problem,
  processes,
  report,
  runtime,
  signals,
  train,
  writers,
)
from rethinking import config as config_lib
from rethinking import workdir as workdir_lib
from rethinking.errors import Diverged, Stopped, UserError


def run(
  config: ConfigDict, workdir: str | pathlib.Path, *, quiet: bool = False
) -> dict[str, Any]:
  """Runs every cell that has no row yet, then draws figures and tables.

  The same call again goes on where an earlier one was ended, however it was:
  a finished cell has its row, an unfinished one its checkpoint.

  Args:
    config: of a sweep, from a config file.
    workdir: a folder, made if it is not there; local or gs://.
    quiet: print nothing.

  Returns:
    What `summary.json` holds.

  Raises:
    UserError: for a config or a workdir that cannot be used.
    Stopped: after SIGTERM or Ctrl-C; the cell's state is saved.
  """
  began = time.monotonic()
  todo = cells.expand(config)
  # XLA reads its flags when the devices are first asked for.
  runtime.configure(
    compilation_cache=config.compilation_cache,
    deterministic=config.deterministic,
  )
  quiet = quiet or not processes.is_first()
  workdir = files.workdir(workdir)
  finished = _finished(workdir, config, quiet)
  if finished is not None:
    return finished
  with processes.together():
    _check(todo.values())
  with writers.Lock(workdir):
    # Asks again, now that nobody else can be writing.
    finished = _finished(workdir, config, quiet)
    if finished is not None:
      return finished
    writers.write_json(workdir / "config.json", config_lib.plain(config))
    results = writers.JsonLines(workdir / "results.jsonl")
    kept = processes.first(
      lambda: _kept_rows(results, todo, config.variant, workdir)
    )
    rows = {row["cell"]: row for row in kept}
    with (
      writers.SweepConsole(len(todo), config.variant, quiet=quiet) as console,
      _stop() as stop,
    ):
      for warning in results.warnings:
        console.warn(warning)
      for row in rows.values():
        console.count(row)
      if rows:
        console.say(f"{len(rows)} of {len(todo)} cells are finished already.")

      def finish(name: str, seen: Mapping[str, Any]) -> None:
        rows[name] = processes.first(
          lambda: _row(name, todo[name], config.variant, workdir, seen)
        )
        results.append(rows[name])
        console.finished(name, rows[name])

      alone: dict[int, dict[str, ConfigDict]] = {}
      for group in _groups(todo):
        left = {name: todo[name] for name in group if name not in rows}
        if not left:
          continue
        _go_on(stop, workdir)
        first = next(iter(left.values()))
        at_once = lockstep.places(first, len(group), config.runs_at_once)
        if at_once > 1:
          lockstep.run(left, workdir, at_once, finish, console)
        else:
          beside = abreast.width(first, config.runs_at_once)
          alone.setdefault(beside, {}).update(left)
      for beside, left in alone.items():
        one = functools.partial(
          _run_cell,
          todo=left,
          stop=stop,
          workdir=workdir,
          console=console,
          beside=min(beside, len(left)),
        )
        abreast.run(left, beside, one, finish)
      if processes.is_first():
        report.draw(workdir)
    summary = {
      **_summary(rows.values()),
      "wall_seconds": time.monotonic() - began,
    }
    writers.write_json(workdir / "summary.json", summary)
    console.say(
      f"{summary['cells']} cells in {summary['wall_seconds']:.0f} s: "
      f"{summary['finished']} finished, {summary['censored']} of them never "
      f"fitted their train set; {summary['diverged']} diverged."
    )
    if summary["retired"]:
      console.say(
        f"{summary['retired']} ended before their last epoch, which saved "
        f"{summary['steps_saved']:,} steps, about "
        f"{summary['seconds_saved']:.0f} s."
      )
    console.say(f"The figures and table.md are in {workdir}.")
  return summary


def _finished(
  workdir: epath.Path, config: ConfigDict, quiet: bool
) -> dict[str, Any] | None:
  """The summary of a sweep that is finished, and says so; else None."""
  found = workdir_lib.check(workdir, config)
  if found is not None and not quiet:
    print(f"Finished already: {workdir / 'table.md'} has the results.")
  return found


def _check(todo: Iterable[ConfigDict]) -> None:
  """Refuses what a run would, before anything is written."""
  devices = len(parallel.all_devices())
  seen = set()
  for cell in todo:
    parallel.check_batch("batch_size", cell.batch_size, devices)
    size = tuple(
      cell[k]
      for k in (
        "dataset",
        "subset",
        "batch_size",
        "crop",
        "epochs",
        "augment",
        "pixel_noise",
        "validation",
      )
    )
    if size not in seen:
      seen.add(size)
      problem.check(
        cell,
        data.load(
          cell.dataset, "train", data_dir=cell.data_dir, cache=cell.data_cache
        ),
      )


def _groups(todo: Mapping[str, ConfigDict]) -> list[list[str]]:
  """The cells' names, those together that can train together."""
  found: dict[str, list[str]] = {}
  for name, cell in todo.items():
    found.setdefault(lockstep.group_key(cell), []).append(name)
  return list(found.values())


def _kept_rows(
  results: writers.JsonLines,
  todo: Mapping[str, ConfigDict],
  figure: str,
  workdir: epath.Path,
) -> list[dict[str, Any]]:
  """The rows of earlier calls; refuses what their runs do not say too."""
  rows = results.rows()
  for number, row in enumerate(rows, 1):
    name, status = row.get("cell"), row.get("status")
    if name not in todo or status not in ("finished", "diverged"):
      raise UserError(
        f"{results.path} is damaged in line {number}: it is no row of this "
        "sweep; restore the file or delete that line."
      )
    path = workdir / "cells" / name / "summary.json"
    if not path.exists():
      continue
    try:
      seen = {"status": "finished", **workdir_lib.read_json(path)}
      seen["seconds"] = row["seconds"]
      made = _row(name, todo[name], figure, workdir, seen)
      same = _comparable(files.loads(files.dumps(made).encode())) == (
        _comparable(row)
      )
    except (LookupError, TypeError, AttributeError):
      same = False
    if not same:
      raise UserError(
        f"{results.path} and {path} differ, so one of them is "
        f"damaged; delete the row of {name} in the first, or the run's folder."
      )
  if len(rows) < len(todo):
    _check_data(results, rows, todo, workdir)
  return rows


# Two runs that agree in these have the same data beneath their own noise.
_DATA_FIELDS = (
  *("dataset", "data_dir", "data_cache", "subset", "validation"),
  *("label_noise", "p", "pixel_noise"),
)


def _check_data(
  results: writers.JsonLines,
  rows: Iterable[Mapping[str, Any]],
  todo: Mapping[str, ConfigDict],
  workdir: epath.Path,
) -> None:
  """Refuses to add runs to rows that were made from other data."""

  @functools.cache
  def source(name, data_dir, cache):
    return {
      split: data.load(name, split, data_dir=data_dir, cache=cache).identity
      for split in ("train", "test")
    }

  same = set()
  for row in rows:
    cell = todo[row["cell"]]
    # A run that diverged says nothing of its data.
    if row["status"] == "diverged":
      continue
    now = source(cell.dataset, cell.data_dir, cell.data_cache)
    old = row.get("data_source")
    kind = (files.dumps(old), *(cell[field] for field in _DATA_FIELDS))
    if old == now or kind in same:
      continue
    # Prepared anew, the same arrays lie in other files.
    if not _same_data(workdir / "cells" / row["cell"], cell):
      raise UserError(
        f"{results.path} holds runs on other {cell.dataset} data than is here "
        f"(data_source in the row of {row['cell']}; here: {now}); give the "
        "data_dir of those runs, or another workdir."
      )
    same.add(kind)


def _same_data(folder: epath.Path, cell: ConfigDict) -> bool:
  """Whether a finished run would be given the same arrays again."""
  kept = folder / "corruption.json"
  return kept.exists() and not workdir_lib.other_data(
    workdir_lib.read_json(kept), problem.load(cell).facts()
  )


def _comparable(row: Mapping[str, Any]) -> dict[str, Any]:
  """A row without the fields that may differ between calls."""
  config = {
    k: v for k, v in row["config"].items() if k not in config_lib.PLACE_FIELDS
  }
  return {**row, "config": config}


def _stop() -> contextlib.AbstractContextManager[threading.Event]:
  """What hears of a signal between runs, too."""
  if processes.started():
    # All processes must stop at the same step, which only a run can see to.
    return contextlib.nullcontext(threading.Event())
  return signals.deferred()


def _go_on(stop: threading.Event, workdir: epath.Path) -> None:
  if stop.is_set():
    raise Stopped("every run that had begun", workdir)


def _run_cell(
  name: str,
  *,
  todo: Mapping[str, ConfigDict],
  stop: threading.Event,
  workdir: epath.Path,
  console: writers.SweepConsole,
  beside: int,
) -> dict[str, Any]:
  """One run in a program of its own; what `_row` is made of.

  Args:
    name: the cell's.
    todo: resolved configs by name.
    stop: says that no further run is to begin.
    workdir: of the sweep.
    console: shows what is running.
    beside: how many runs share the machine, this one included.
  """
  _go_on(stop, workdir)
  began = time.monotonic()
  cell = todo[name]
  try:
    seen = train.run(
      cell,
      workdir / "cells" / name,
      quiet=True,
      console=console.cell(name, cell.epochs),
    )
    seen = {"status": "finished", **seen}
  except Stopped as error:
    # The command that continues is the sweep's.
    raise Stopped(error.what, workdir) from None
  except Diverged as error:
    seen = {"status": "diverged", "step": error.step}
  # Its share of the time, as that of runs in one program is; with what it took
  # before an interruption.
  seconds = seen.get("wall_seconds", time.monotonic() - began)
  return {**seen, "seconds": seconds / beside}


def _row(
  name: str,
  cell: ConfigDict,
  figure: str,
  workdir: epath.Path,
  seen: Mapping[str, Any],
) -> dict[str, Any]:
  """A row of results.jsonl."""
  row = {"cell": name, "figure": figure, "config": config_lib.plain(cell)}
  if seen["status"] == "diverged":
    return {**row, **seen}
  folder = workdir / "cells" / name
  curve = writers.JsonLines(folder / "metrics.jsonl").rows()
  corruption = workdir_lib.read_json(folder / "corruption.json")
  at_fit = [
    r["test_accuracy"] for r in curve if r["step"] == seen["steps_to_fit"]
  ]
  # A fitted run that has not gone through all its epochs was retired.
  left = cell.epochs - seen["epoch"]
  each = seen["steps"] / seen["epoch"] if seen["epoch"] else 0
  return {
    **row,
    **seen,
    "test_accuracy_at_fit": at_fit[0] if at_fit else None,
    "flip_rate": corruption["flip_rate"],
    "steps_saved": round(left * each),
    "curve": {
      key: [r[key] for r in curve] for key in curve[0] if "second" not in key
    },
  }


def _summary(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
  """What was seen over all cells."""
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

"""Many runs: a grid of configs, each the run that the main job makes."""

from __future__ import annotations

import itertools
import pathlib
import time
from collections.abc import Iterable
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking import (
  data,
  parallel,
  problem,
  processes,
  report,
  runtime,
  train,
  writers,
)
from rethinking.errors import UserError

# Fields of a sweep's config that its cells do not have.
_SWEEP_FIELDS = ("experiment", "variant", "grids")


def cells(config: ConfigDict) -> dict[str, ConfigDict]:
  """Expands a sweep's grids into its runs.

  Each grid is a product of axes, a field's name to a list of values; `variant`
  sets what the variant of that name sets, before the other axes. Runs that
  several grids share appear once. A level of 0 is `true_labels` and a level
  of 1 `random_labels`, so that a grid of levels shares them with a grid of
  conditions.

  Args:
    config: of a sweep: a run's fields, and `grids`.

  Returns:
    A resolved config for each cell, by a name that is unique in the sweep.

  Raises:
    UserError: for an unknown axis or variant, or a cell that is refused.
  """
  base = {k: v for k, v in config.to_dict().items() if k not in _SWEEP_FIELDS}
  found: dict[str, ConfigDict] = {}
  for grid in config.grids.values():
    axes = grid.to_dict()
    for values in itertools.product(*axes.values()):
      name, cell = _cell(base, dict(zip(axes, values, strict=True)))
      if found.setdefault(name, cell) != cell:
        raise UserError(
          f"Two different cells of the grids would be called {name!r}; let an "
          "axis tell them apart."
        )
  return found


def _cell(
  base: dict[str, Any], chosen: dict[str, Any]
) -> tuple[str, ConfigDict]:
  fields = {**config_lib.default().to_dict(), **base, "experiment": "train"}
  variant = chosen.pop("variant", "true_labels")
  if variant not in config_lib.VARIANTS:
    raise UserError(
      f"Unknown variant {variant!r} in a grid; choose one of "
      f"{sorted(config_lib.VARIANTS)}."
    )
  fields.update(config_lib.VARIANTS[variant])
  unknown = sorted(set(chosen) - set(fields))
  if unknown:
    raise UserError(
      f"Unknown axis {unknown[0]!r} in a grid; choose one of "
      f"{sorted(['variant', *fields])}."
    )
  fields.update(chosen)
  if variant == "partial_labels" and fields["p"] in (0, 1):
    variant = "random_labels" if chosen.pop("p") else "true_labels"
    fields.update({"label_noise": None, "p": 0.0})
    fields.update(config_lib.VARIANTS[variant])
  fields["variant"] = variant
  parts = [fields["arch"], variant]
  parts += [f"{k}{v}" for k, v in chosen.items() if k != "arch"]
  name = "-".join(str(part).replace("/", "_") for part in parts)
  return name, config_lib.resolve(ConfigDict(fields))


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
    train.Stopped: after SIGTERM or Ctrl-C; the cell's state is saved.
  """
  began = time.monotonic()
  todo = cells(config)
  # XLA reads its flags when the devices are first asked for.
  runtime.configure(
    compilation_cache=config.compilation_cache,
    deterministic=config.deterministic,
  )
  quiet = quiet or not processes.is_first()
  with processes.together():
    _check(todo.values())
  workdir = epath.Path(workdir)
  with writers.Lock(workdir):
    finished = train.open_workdir(workdir, config)
    if finished is not None:
      if not quiet:
        print(f"Finished already: {workdir / 'table.md'} has the results.")
      return finished
    writers.write_json(workdir / "config.json", config_lib.plain(config))
    results = writers.JsonLines(workdir / "results.jsonl")
    rows = {row["cell"]: row for row in processes.first(results.rows)}
    processes.first(lambda: _check_rows(rows, workdir))
    with writers.Console(len(todo), config.variant, quiet=quiet) as console:
      for warning in results.warnings:
        console.warn(warning)
      if rows:
        console.say(f"{len(rows)} of {len(todo)} cells are finished already.")
      for done, (name, cell) in enumerate(todo.items(), start=1):
        if name not in rows:
          rows[name] = _run_cell(name, cell, config.variant, workdir)
          results.append(rows[name])
          console.say(f"{done:>4}/{len(todo)}  {_line(rows[name])}")
        console.step(done)
      if processes.is_first():
        report.draw(workdir)
    summary = {
      "cells": len(rows),
      **{
        status: sum(row["status"] == status for row in rows.values())
        for status in ("finished", "diverged")
      },
      "censored": sum(
        row["status"] == "finished" and row["steps_to_fit"] is None
        for row in rows.values()
      ),
      "cell_seconds": sum(row["seconds"] for row in rows.values()),
      "wall_seconds": time.monotonic() - began,
    }
    writers.write_json(workdir / "summary.json", summary)
    console.say(
      f"{summary['cells']} cells in {summary['wall_seconds']:.0f} s: "
      f"{summary['finished']} finished, {summary['censored']} of them never "
      f"fitted their train set; {summary['diverged']} diverged. The figures "
      f"and table.md are in {workdir}."
    )
  return summary


def _check(todo: Iterable[ConfigDict]) -> None:
  """Refuses what a run would, before anything is written."""
  devices = len(parallel.all_devices())
  seen = set()
  for cell in todo:
    parallel.check_batch("batch_size", cell.batch_size, devices)
    size = tuple(
      cell[k] for k in ("dataset", "subset", "batch_size", "crop", "epochs")
    )
    if size not in seen:
      seen.add(size)
      problem.check(
        cell,
        data.load(
          cell.dataset, "train", data_dir=cell.data_dir, cache=cell.data_cache
        ),
      )


def _check_rows(rows: dict[str, dict[str, Any]], workdir: epath.Path) -> None:
  """Refuses rows that say other than their run's own summary does."""
  for name, row in rows.items():
    path = workdir / "cells" / name / "summary.json"
    if row.get("status") != "finished" or not path.exists():
      continue
    if any(row.get(k) != v for k, v in train.read_json(path).items()):
      raise UserError(
        f"{workdir / 'results.jsonl'} and {path} differ, so one of them is "
        f"damaged; delete the row of {name} in the first, or the run's folder."
      )


def _run_cell(
  name: str, cell: ConfigDict, figure: str, workdir: epath.Path
) -> dict[str, Any]:
  """One run, as a row of results.jsonl."""
  began = time.monotonic()
  row = {"cell": name, "figure": figure, "config": config_lib.plain(cell)}
  folder = workdir / "cells" / name
  try:
    summary = train.run(cell, folder, quiet=True)
  except train.Stopped as error:
    # The command that continues is the sweep's.
    raise train.Stopped(error.step, workdir) from None
  except train.Diverged as error:
    return {
      **row,
      "status": "diverged",
      "step": error.step,
      "seconds": time.monotonic() - began,
    }
  row["seconds"] = time.monotonic() - began
  return processes.first(lambda: _finished(row, summary, folder))


def _finished(
  row: dict[str, Any], summary: dict[str, Any], folder: epath.Path
) -> dict[str, Any]:
  """A finished run's row, from what lies in its folder."""
  curve = writers.JsonLines(folder / "metrics.jsonl").rows()
  corruption = train.read_json(folder / "corruption.json")
  at_fit = [
    r["test_accuracy"] for r in curve if r["step"] == summary["steps_to_fit"]
  ]
  return {
    **row,
    "status": "finished",
    **summary,
    "test_accuracy_at_fit": at_fit[0] if at_fit else None,
    "flip_rate": corruption["flip_rate"],
    "curve": {
      key: [r[key] for r in curve] for key in curve[0] if "second" not in key
    },
  }


def _line(row: dict[str, Any]) -> str:
  """A row in one line of a log."""
  if row["status"] == "diverged":
    return f"{row['cell']}  diverged at step {row['step']}"
  fit = row["steps_to_fit"]
  return (
    f"{row['cell']}  train {100 * row['train_accuracy']:.2f} %  test "
    f"{100 * row['test_accuracy']:.2f} %  "
    + (f"fitted by step {fit}" if fit is not None else "not fitted")
    + f"  {row['seconds']:.1f} s"
  )

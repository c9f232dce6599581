"""Many runs: a grid of configs, each the run that the main job makes."""

import contextlib
import functools
import pathlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking import report
from rethinking.config.fields import flagged
from rethinking.runtime import backend, processes, signals
from rethinking.runtime.errors import Diverged, Stopped
from rethinking.storage import files, jsonl
from rethinking.storage.lock import Lock
from rethinking.sweeps import grid as cells
from rethinking.sweeps import groups, threads
from rethinking.sweeps import rows as sweep_rows
from rethinking.sweeps.console import SweepConsole
from rethinking.training import parallel, placement
from rethinking.training import run as train
from rethinking.training import task as task_lib
from rethinking.training import workdir as workdir_lib


def run(
  config: ConfigDict, workdir: str | pathlib.Path, *, quiet: bool = False
) -> dict[str, Any]:
  """Runs every cell that has no row yet, then draws figures and tables.

  The same call again continues where an earlier one ended, however it did: a
  finished cell has its row, an unfinished one its checkpoint.

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
  backend.configure(
    compilation_cache=config.compilation_cache,
    deterministic=config.deterministic,
  )
  quiet = quiet or not processes.is_first()
  workdir = files.workdir(workdir)
  results_file = None if quiet else "table.md"
  finished = workdir_lib.check(workdir, config, results_file)
  if finished is not None:
    return finished
  with _checked(todo.values()), Lock(workdir):
    # Checks again, now that no other job can be writing.
    finished = workdir_lib.check(workdir, config, results_file)
    if finished is not None:
      return finished
    files.write_json(workdir / "config.json", config_lib.plain(config))
    results = jsonl.JsonLines(workdir / "results.jsonl")
    kept = processes.on_first(
      lambda: sweep_rows.kept(results, todo, config.variant, workdir)
    )
    rows = {row["cell"]: row for row in kept}
    with (
      backend.shared_programs(workdir / "programs"),
      SweepConsole(len(todo), config.variant, quiet=quiet) as console,
      # Several processes must stop at the same step, which only a run ensures;
      # else a signal counts between runs, too.
      contextlib.nullcontext(threading.Event())
      if processes.started()
      else signals.deferred() as stop,
    ):
      for warning in results.warnings:
        console.warn(warning)
      for row in rows.values():
        console.count(row)
      if rows:
        console.say(f"{len(rows)} of {len(todo)} cells are finished already.")

      def finish(name: str, seen: Mapping[str, Any]) -> None:
        rows[name] = processes.on_first(
          lambda: sweep_rows.make(
            name, todo[name], config.variant, workdir, seen
          )
        )
        results.append(rows[name])
        console.finished(name, rows[name])

      separate: dict[int, dict[str, ConfigDict]] = {}
      for group in groups.groups(todo):
        left = {name: todo[name] for name in group if name not in rows}
        if not left:
          continue
        _check_stop(stop, workdir)
        first = next(iter(left.values()))
        at_once = groups.slots(first, len(group), config.runs_at_once)
        if at_once > 1:
          groups.run(left, workdir, at_once, finish, console)
        else:
          width = threads.width(first, config.runs_at_once)
          separate.setdefault(width, {}).update(left)
      for width, left in separate.items():
        one = functools.partial(
          _run_cell,
          todo=left,
          stop=stop,
          workdir=workdir,
          console=console,
          concurrent=min(width, len(left)),
        )
        threads.run(left, width, one, finish)
      if processes.is_first():
        report.draw(workdir)
    summary = sweep_rows.summary(rows.values())
    summary["wall_seconds"] = time.monotonic() - began
    files.write_json(workdir / "summary.json", summary)
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


@contextlib.contextmanager
def _checked(todo: Iterable[ConfigDict]) -> Iterator[None]:
  """Refuses what a run would, before anything is written.

  The data stay until the end, so that all cells have one copy of them.
  """
  devices = len(placement.all_devices())
  seen, held = set(), []
  with processes.reraise_everywhere():
    for cell in todo:
      parallel.check_batch("batch_size", cell.batch_size, devices)
      size = tuple(cell[name] for name in flagged("sized"))
      if size not in seen:
        seen.add(size)
        held += [task_lib.dataset(cell, split) for split in ("train", "test")]
        task_lib.check(cell, held[-2])
  yield


def _check_stop(stop: threading.Event, workdir: epath.Path) -> None:
  if stop.is_set():
    raise Stopped("every run that had begun", workdir)


def _run_cell(
  name: str,
  *,
  todo: Mapping[str, ConfigDict],
  stop: threading.Event,
  workdir: epath.Path,
  console: SweepConsole,
  concurrent: int,
) -> dict[str, Any]:
  """One run in a program of its own; what `sweep_rows.make` makes a row of.

  Args:
    name: the cell's.
    todo: resolved configs by name.
    stop: set when no further run is to begin.
    workdir: of the sweep.
    console: shows what is running.
    concurrent: how many runs share the machine, this one included.
  """
  _check_stop(stop, workdir)
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
  return {**seen, "seconds": seconds / concurrent}

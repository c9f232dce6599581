"""The runs of a sweep that have no row yet, each the one the main job makes."""

import functools
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
from etils import epath
from ml_collections import ConfigDict

from rethinking.runtime import processes, signals
from rethinking.runtime.errors import Diverged, Stopped
from rethinking.storage import jsonl
from rethinking.sweeps import estimate, groups, threads
from rethinking.sweeps import rows as sweep_rows
from rethinking.sweeps.console import SweepConsole
from rethinking.training import run as train
from rethinking.training import summary
from rethinking.training import task as task_lib
from rethinking.training import workdir as workdir_lib
from rethinking.training.journal import Journal
from rethinking.training.loop import Loop
from rethinking.training.slots import Slots


class Place:
  """Where runs are made, and their rows kept: in results.jsonl.

  Args:
    todo: resolved configs of all cells by name.
    workdir: its `results.jsonl` has the rows, `cells/NAME` each run's files.
    title: of the sweep, which the rows name.

  Attributes:
    workdir: the same.
    warnings: sentences about what was repaired.
  """

  def __init__(
    self, todo: Mapping[str, ConfigDict], workdir: epath.Path, title: str
  ):
    self.todo, self.workdir, self.title = todo, workdir, title
    self._results = jsonl.JsonLines(workdir / "results.jsonl")
    self.warnings = self._results.warnings

  def kept(self) -> list[dict[str, Any]]:
    """Returns the rows of earlier calls.

    Raises:
      UserError: for rows that are not of this sweep.
    """
    return processes.on_first(
      lambda: sweep_rows.kept(
        self._results, self.todo, self.title, self.workdir
      )
    )

  def finish(self, name: str, seen: Mapping[str, Any]) -> dict[str, Any]:
    """Keeps the row of a run that has ended, and returns it.

    Args:
      name: the cell's.
      seen: what `sweep_rows.make` makes the row of.
    """
    cell = self.todo[name]
    row = processes.on_first(
      lambda: sweep_rows.make(name, cell, self.title, self.workdir, seen)
    )
    self._results.append(row)
    return row


def run(
  place: Place,
  at_once: int | None,
  console: SweepConsole,
  stop: threading.Event,
) -> list[dict[str, Any]]:
  """Makes every run that has no row, and returns all rows.

  Args:
    place: names the runs, and keeps what they leave.
    at_once: how many runs the user asks for in one program; None: no wish.
    console: shows the runs; entered here.
    stop: set when no further run is to begin.

  Raises:
    UserError: for rows that are not of this sweep.
    Stopped: after SIGTERM or Ctrl-C; the cell's state is saved.
  """
  todo, workdir = place.todo, place.workdir
  rows = {row["cell"]: row for row in place.kept()}
  with console:
    for warning in place.warnings:
      console.warn(warning)
    for row in rows.values():
      console.count(row)
    if rows:
      console.say(f"{len(rows)} of {len(todo)} cells are finished already.")

    def finish(name: str, seen: Mapping[str, Any]) -> None:
      rows[name] = place.finish(name, seen)
      console.finished(name, rows[name])

    plan, separate = [], {}
    for group in groups.groups(todo):
      left = {name: todo[name] for name in group if name not in rows}
      if not left:
        continue
      first = next(iter(left.values()))
      number = groups.slots(first, len(group), at_once)
      width = 1 if number > 1 else groups.width(first, at_once)
      plan.append((left, number, width))
    estimate.say(console, plan)
    for left, number, width in plan:
      if number > 1:
        _check_stop(stop, workdir)
        _run_group(left, workdir, number, finish, console)
      else:
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
  # What groups saved is of no use once all have their rows.
  (workdir / "groups").rmtree(missing_ok=True)
  return [*rows.values()]


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
      keep_params=cell.keep_params,
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


def _run_group(
  cells: Mapping[str, ConfigDict],
  workdir: epath.Path,
  number: int,
  finish: Callable[[str, Mapping[str, Any]], None],
  console: SweepConsole,
) -> None:
  """Trains runs in one program until each has ended.

  Args:
    cells: resolved configs with the same `group_key`, by name; those that
      have finished are not among them.
    workdir: of the sweep; each run's files are in `cells/NAME`.
    number: how many train at a time, at least 1.
    finish: called with a run's name and what its row is made of: its summary,
      or `status` "diverged" and `step` where its loss is no longer finite.
    console: shows what is running.

  Raises:
    Stopped: after SIGTERM or Ctrl-C; the state of all is saved.
  """
  first = next(iter(cells.values()))
  shared = task_lib.load(first)
  devices = jax.local_devices()
  trained = Slots(first, shared, devices)

  def start(name: str) -> Journal:
    cell = cells[name]
    shown = console.cell(name, cell.epochs)
    # At load all are corrupted alike.
    alike = cell is first or groups.at_load(cell)
    task = shared if alike else task_lib.load(cell)
    own = workdir / "cells" / name
    own.mkdir(parents=True, exist_ok=True)
    workdir_lib.claim(own, cell, task.facts())
    return Journal(
      name,
      cell,
      task,
      own,
      shown,
      time.monotonic(),
      keep_params=cell.keep_params,
    )

  def end(one: Journal, diverged: int | None) -> None:
    if diverged is None:
      seen = summary.finish(one, devices, trained.num_parameters)
      seen = {"status": "finished", **seen}
    else:
      seen = {"status": "diverged", "step": diverged}
    finish(one.name, {**seen, "seconds": one.wall_seconds})

  loop = Loop(
    trained,
    [*cells],
    start,
    groups.folder(first, workdir),
    end,
    alone=False,
    workdir=workdir,
  )
  with signals.deferred() as stop:
    loop.run(number, stop)

"""The runs of a sweep that have no row yet, each the one the main job makes."""

import functools
import threading
import time
from collections.abc import Mapping
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking.runtime import processes
from rethinking.runtime.errors import Diverged, Stopped
from rethinking.storage import jsonl
from rethinking.sweeps import estimate, groups, threads
from rethinking.sweeps import rows as sweep_rows
from rethinking.sweeps.console import SweepConsole
from rethinking.training import run as train


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

    together, separate = [], {}
    for group in groups.groups(todo):
      left = {name: todo[name] for name in group if name not in rows}
      if not left:
        continue
      first = next(iter(left.values()))
      number = groups.slots(first, len(group), at_once)
      if number > 1:
        together.append((left, number))
      else:
        width = threads.width(first, at_once)
        separate.setdefault(width, {}).update(left)
    estimate.say(console, together, separate)
    for left, number in together:
      _check_stop(stop, workdir)
      groups.run(left, workdir, number, finish, console)
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

"""The progress of a sweep: a live table, or one line per cell in a log."""

import time
from collections.abc import Mapping
from typing import Any

from rethinking.runtime.console import Console, duration

# Running cells that are shown; the others are counted.
_SHOWN = 8


class SweepConsole(Console):
  """Shows a sweep's progress while it is entered with `with`.

  Args:
    total: how many cells there are.
    title: a few words, printed first.
    quiet: print nothing at all (every process but the first).
  """

  _unit = "cells"

  def __init__(self, total: int, title: str, quiet: bool = False):
    super().__init__(total, title, quiet=quiet)
    self._counts = {"done": 0, "censored": 0, "diverged": 0}
    self._running: dict[str, tuple[float, str]] = {}
    self._began = time.monotonic()
    self._before = 0

  def _display(self) -> Any:
    from rich import live

    return live.Live(
      console=self._rich, get_renderable=self._table, refresh_per_second=4
    )

  def _draw(self) -> None:
    self._live.refresh()

  def count(self, row: Mapping[str, Any]) -> None:
    """Counts a cell that an earlier call finished.

    Args:
      row: of results.jsonl.
    """
    self._add(row)
    self._before += 1

  def _add(self, row: Mapping[str, Any]) -> None:
    diverged = row["status"] == "diverged"
    self._counts["done"] += 1
    self._counts["diverged"] += diverged
    self._counts["censored"] += not diverged and row["steps_to_fit"] is None

  def cell(self, name: str, epochs: int) -> Console:
    """Returns the console of one run, which reports to this one.

    Args:
      name: the cell's.
      epochs: its horizon.
    """
    self.running(name, 0, epochs, None)
    return _Cell(self, name, epochs)

  def running(
    self, name: str, epoch: int, epochs: int, row: Mapping[str, Any] | None
  ) -> None:
    """Updates the progress of a cell.

    Args:
      name: the cell's.
      epoch: epochs completed.
      epochs: its horizon.
      row: its last evaluation, if there was one.
    """
    text = f"epoch {epoch} of {epochs}"
    if row is not None:
      text += f"  {_accuracies(row)}"
    self._running[name] = (epoch / epochs, text)

  def finished(self, name: str, row: Mapping[str, Any]) -> None:
    """Shows the result of a cell.

    Args:
      name: the cell's.
      row: of results.jsonl.
    """
    self._running.pop(name, None)
    self._add(row)
    width = len(str(self._total))
    self.say(
      f"{self._counts['done']:>{width}}/{self._total}  {_line(row)}  "
      f"{self._left()}".rstrip()
    )

  def _left(self) -> str:
    """The time left, at the pace of this call's cells so far."""
    done = self._counts["done"] - self._before
    done += sum(part for part, _ in list(self._running.values()))
    if done <= 0:
      return ""
    each = (time.monotonic() - self._began) / done
    todo = self._total - self._before - done
    return f"{duration(each * todo)} left" if todo > 0 else ""

  def _table(self):
    from rich import box, console, table

    counts = {
      "done": f"{self._counts['done']} of {self._total}",
      "running": str(len(self._running)),
      "censored": str(self._counts["censored"]),
      "diverged": str(self._counts["diverged"]),
      "time left": self._left().removesuffix(" left"),
    }
    columns = (table.Column(name, justify="right") for name in counts)
    head = table.Table(*columns, box=box.SIMPLE_HEAD)
    head.add_row(*counts.values())
    body = table.Table(box=None, show_header=False)
    for name, (_, text) in list(self._running.items())[:_SHOWN]:
      body.add_row(name, text)
    if len(self._running) > _SHOWN:
      body.add_row(f"and {len(self._running) - _SHOWN} more", "")
    return console.Group(head, body)


class _Cell(Console):
  """Passes on what the sweep's console shows of a run."""

  def __init__(self, sweep: SweepConsole, name: str, epochs: int):
    super().__init__(0, name, quiet=True)
    self._sweep, self._name, self._epochs = sweep, name, epochs

  def evaluation(self, row: Mapping[str, Any]) -> None:
    self._sweep.running(self._name, row["epoch"], self._epochs, row)

  def warn(self, text: str) -> None:
    self._sweep.warn(text)


def _accuracies(row: Mapping[str, Any]) -> str:
  train, test = (100 * row[f"{split}_accuracy"] for split in ("train", "test"))
  return f"train {train:.2f} %  test {test:.2f} %"


def _line(row: Mapping[str, Any]) -> str:
  """A row in one line of a log."""
  if row["status"] == "diverged":
    return f"{row['cell']}  diverged at step {row['step']}"
  fit = row["steps_to_fit"]
  fitted = "not fitted" if fit is None else f"fitted by step {fit}"
  return f"{row['cell']}  {_accuracies(row)}  {fitted}  {row['seconds']:.1f} s"

"""The progress of a run: a bar on a terminal, or plain lines in a log."""

import sys
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self


def duration(seconds: float) -> str:
  """Returns hours, minutes, seconds.

  Args:
    seconds: at least 0.

  >>> duration(3723.4)
  '1:02:03'
  """
  minutes, seconds = divmod(int(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02}:{seconds:02}"


def _measures(
  row: Mapping[str, Any], names: Mapping[str, str], digits: int
) -> str:
  """The measures of one metrics row, names before values."""
  return "  ".join(
    f"{name} {row[key]:.{digits}f}"
    for key, name in names.items()
    if row.get(key) is not None
  )


class Console:
  """Shows a run's progress while it is entered with `with`.

  Args:
    total_steps: the step at which the run ends.
    title: a few words, printed first.
    log: the measures that a line of a log shows, name to words.
    bar: those beside the bar.
    quiet: print nothing at all (every process but the first).
  """

  _unit = "steps"

  def __init__(
    self,
    total_steps: int,
    title: str,
    log: Mapping[str, str] = MappingProxyType({}),
    bar: Mapping[str, str] = MappingProxyType({}),
    quiet: bool = False,
  ):
    self._total = total_steps
    self._title = title
    self._log = log
    self._bar = bar
    self._quiet = quiet
    self._start: int | None = None
    self._timed_from: tuple[float, int] | None = None
    self._step = 0
    self._speed: float | None = None
    self._rich = self._live = None
    if not quiet and sys.stdout.isatty():
      # Not at the top: a run in a log has no use for it.
      from rich import console

      self._rich = console.Console(file=sys.stdout, highlight=False)

  def __enter__(self) -> Self:
    if self._rich is None:
      self.say(f"{self._title}: {self._total:,} {self._unit}")
    else:
      self.say(self._title)
      self._live = self._display()
      self._live.start()
    return self

  def __exit__(self, *_: object) -> None:
    if self._live is not None:
      self._draw()
      self._live.stop()
      self._live = None

  def _display(self) -> Any:
    """What rich keeps at the foot of the terminal: here the bar."""
    from rich import progress

    bar = progress.Progress(
      progress.BarColumn(bar_width=None),
      progress.TextColumn("{task.percentage:3.0f}%"),
      progress.TextColumn("{task.fields[measures]}", markup=False),
      progress.TextColumn("{task.fields[pace]}", markup=False),
      console=self._rich,
      expand=True,
    )
    self._task = bar.add_task("", total=self._total, measures="", pace="")
    return bar

  def _pace(self) -> str:
    """Images per second and the time left, as far as they are known."""
    parts = []
    if self._speed is not None:
      parts.append(f"{self._speed:,.0f} images/s")
    if self._timed_from is not None:
      began, first = self._timed_from
      if self._step > first:
        each = (time.monotonic() - began) / (self._step - first)
        left = each * max(self._total - self._step, 0)
        parts.append(f"{duration(left)} left")
    return "  ".join(parts)

  def _draw(self) -> None:
    self._live.update(self._task, completed=self._step, pace=self._pace())

  def step(self, step: int, images_per_second: float | None = None) -> None:
    """Updates the number of steps done; cheap enough for every step.

    Args:
      step: steps done since the run began, a resumed one's included.
      images_per_second: the present speed, where it is known.
    """
    now = time.monotonic()
    if self._start is None:
      self._start = step
    elif self._timed_from is None and step > self._start:
      # Not timed: an earlier call's steps, and this call's first, which
      # waited for their compilation.
      self._timed_from = (now, step)
    self._step = step
    if images_per_second is not None:
      self._speed = images_per_second
    # What rich shows is drawn anew ten times per second at the most.
    if self._live is not None:
      self._draw()

  def evaluation(self, row: Mapping[str, Any]) -> None:
    """Shows a metrics row: next to the bar, or as one line of a log.

    Args:
      row: `step`, and of `epoch` and the measures those that there are.
    """
    if self._live is not None:
      measures = _measures(row, self._bar, 3)
      self._live.update(self._task, measures=measures)
    elif not self._quiet:
      width = len(f"{self._total:,}")
      parts = [
        f"step {row['step']:{width},}/{self._total:,}",
        f"epoch {row['epoch']:g}" if "epoch" in row else "",
        _measures(row, self._log, 4),
        self._pace(),
      ]
      self.say("  ".join(part for part in parts if part))

  def say(self, text: str, style: str | None = None) -> None:
    """Prints a sentence; above the bar where there is one.

    Args:
      text: the sentence.
      style: rich's name of a style, for a terminal.
    """
    if self._rich is not None:
      self._rich.print(text, markup=False, style=style)
    elif not self._quiet:
      print(text, flush=True)

  def warn(self, text: str) -> None:
    """Prints a sentence after `warning:`; yellow on a terminal.

    Args:
      text: the sentence.
    """
    self.say(f"warning: {text}", style="yellow")

  def table(self, rows: Sequence[Sequence[str]]) -> None:
    """Prints a small table.

    Args:
      rows: cells of equal count in each; the first row is the heading.
    """
    if self._rich is not None:
      from rich import box, table

      drawn = table.Table(box=box.SIMPLE_HEAD)
      for column, name in enumerate(rows[0]):
        drawn.add_column(name, justify="right" if column else "left")
      for row in rows[1:]:
        drawn.add_row(*row)
      self._rich.print(drawn)
      return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
      cells = [first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]
      self.say("  ".join(cells).rstrip())

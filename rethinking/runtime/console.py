"""What a person sees of a run: a progress bar, or plain lines in a log."""

import sys
import time
import types
from collections.abc import Mapping, Sequence
from typing import Any

# The columns of a metrics row that are shown, and what they are called: all
# of them in a log, three beside the bar, where 80 characters must do.
_SHOWN = {
  "train_loss": "train loss",
  "train_accuracy": "accuracy",
  "test_loss": "test loss",
  "test_accuracy": "accuracy",
}
_BESIDE_BAR = {
  "train_loss": "loss",
  "train_accuracy": "acc",
  "test_accuracy": "test",
}


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
    quiet: print nothing at all (every process but the first).
  """

  def __init__(self, total_steps: int, title: str, quiet: bool = False):
    self._total = total_steps
    self._title = title
    self._quiet = quiet
    self._start: int | None = None
    self._timed_from: tuple[float, int] | None = None
    self._step = 0
    self._speed: float | None = None
    self._shown_at = 0.0
    self._rich = None
    self._bar = None
    if not quiet and sys.stdout.isatty():
      # Not at the top: a run in a log has no use for it.
      from rich import console

      self._rich = console.Console(file=sys.stdout, highlight=False)

  def __enter__(self) -> "Console":
    if self._rich is not None:
      from rich import progress

      self._rich.print(self._title, markup=False)
      self._bar = progress.Progress(
        progress.BarColumn(bar_width=None),
        *(
          progress.TextColumn(f"{{task.fields[{field}]}}", markup=False)
          for field in ("share", "measures", "pace")
        ),
        console=self._rich,
        expand=True,
      )
      self._task = self._bar.add_task(
        "", total=self._total, share="", measures="", pace=""
      )
      self._bar.start()
    elif not self._quiet:
      self._print(f"{self._title}: {self._total:,} steps")
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: types.TracebackType | None,
  ) -> None:
    if self._bar is not None:
      self._draw()
      self._bar.stop()
      self._bar = None

  def _print(self, text: str) -> None:
    print(text, file=sys.stdout, flush=True)

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
    self._bar.update(
      self._task,
      completed=self._step,
      share=f"{self._step / max(self._total, 1):4.0%}",
      pace=self._pace(),
    )

  def step(self, step: int, images_per_second: float | None = None) -> None:
    """Says that `step` steps are done; cheap enough for every step.

    Args:
      step: steps done since the run began, a resumed one's included.
      images_per_second: the present speed, where it is known.
    """
    now = time.monotonic()
    if self._start is None:
      self._start = step
    elif self._timed_from is None and step > self._start:
      # What came before says nothing about what is left: an earlier call's
      # steps, and this one's first, which waited for their compilation.
      self._timed_from = (now, step)
    self._step = step
    if images_per_second is not None:
      self._speed = images_per_second
    # The eye sees no more than ten a second.
    if self._bar is not None and now - self._shown_at > 0.1:
      self._shown_at = now
      self._draw()

  def evaluation(self, row: Mapping[str, Any]) -> None:
    """Shows a metrics row: beside the bar, or as one line of a log.

    Args:
      row: `step`, and of `epoch`, `train_loss`, `train_accuracy`,
        `test_loss`, `test_accuracy` (fractions) those that there are.
    """
    if self._bar is not None:
      measures = _measures(row, _BESIDE_BAR, 3)
      self._bar.update(self._task, measures=measures)
    elif not self._quiet:
      width = len(f"{self._total:,}")
      parts = [
        f"step {row['step']:{width},}/{self._total:,}",
        f"epoch {row['epoch']:g}" if "epoch" in row else "",
        _measures(row, _SHOWN, 4),
        self._pace(),
      ]
      self._print("  ".join(part for part in parts if part))

  def say(self, text: str) -> None:
    """Prints a sentence; above the bar where there is one."""
    if self._rich is not None:
      self._rich.print(text, markup=False)
    elif not self._quiet:
      self._print(text)

  def warn(self, text: str) -> None:
    """Prints a sentence after `warning:`; yellow on a terminal."""
    if self._rich is not None:
      self._rich.print(f"warning: {text}", markup=False, style="yellow")
    elif not self._quiet:
      self._print(f"warning: {text}")

  def table(self, rows: Sequence[Sequence[str]]) -> None:
    """Prints a small table.

    Args:
      rows: cells of equal count in each; the first row is the heading.
    """
    if self._quiet:
      return
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
    for row in rows:
      cells = [row[0].ljust(widths[0])]
      cells += [
        cell.rjust(width)
        for cell, width in zip(row[1:], widths[1:], strict=True)
      ]
      self._print("  ".join(cells).rstrip())

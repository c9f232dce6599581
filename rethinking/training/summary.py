"""What a run came to: at its end a summary, and the curves to it."""

import functools
import pathlib
import subprocess
from typing import Any

import jax
from etils import epath

from rethinking import __version__
from rethinking.config import variants
from rethinking.runtime import backend, processes
from rethinking.runtime.console import Console
from rethinking.storage import checksums, files, plots
from rethinking.training import curves, metrics
from rethinking.training import workdir as workdir_lib
from rethinking.training.examples import Task
from rethinking.training.journal import Journal


def finish(
  one: Journal, devices: list[jax.Device], num_parameters: int
) -> dict[str, Any]:
  """Draws a run's curves and writes its summary, last: it says it is finished.

  Args:
    one: a run that is over.
    devices: those used.
    num_parameters: of the model.

  Returns:
    What `summary.json` holds.
  """
  summary = summarise(one, devices, num_parameters)
  if one.config.plots and processes.is_first():
    with plots.drawing("curves.png"):
      title = variants.title(one.config)
      curves.draw(one.rows, one.folder / "curves", title)
  if processes.is_first():
    sum_examples(one.folder)
  workdir_lib.finish(one.folder, summary)
  return summary


def sum_examples(workdir: epath.Path) -> None:
  """Writes per_example/sha256.json: of the evaluations and presentations.

  Beside them, so that who removes what a run saw of its examples removes that,
  too; a report reads no others.

  Args:
    workdir: of the run.
  """
  folder = workdir / "per_example"
  names = sorted(path.name for path in folder.glob("*.npz"))
  # An object's path has no "..".
  if names and files.is_local(workdir):
    checksums.write(folder, (*names, "../presentations.npz"))


def summarise(
  one: Journal, devices: list[jax.Device], num_parameters: int
) -> dict[str, Any]:
  """Returns what summary.json holds.

  Args:
    one: a run that is over.
    devices: those used.
    num_parameters: of the model.
  """
  config, task, rows = one.config, one.task, one.rows
  # With early stopping the weights that are kept are those of the best one.
  chosen = metrics.best(rows) if config.early_stopping else None
  chosen = chosen or rows[-1]
  last = metrics.without_clock(chosen)
  steps = rows[-1]["step"]
  del last["step"]
  if config.early_stopping:
    last |= {"epoch": rows[-1]["epoch"], "best_epoch": chosen["epoch"]}
  best = max(rows, key=lambda row: row["test_accuracy"])
  return {
    **last,
    **metrics.time_to_fit(rows, config.fit_accuracy),
    "steps": steps,
    "best_test_accuracy": best["test_accuracy"],
    "best_test_accuracy_epoch": best["epoch"],
    "potential_gain": best["test_accuracy"] - last["test_accuracy"],
    "num_parameters": num_parameters,
    "wall_seconds": one.wall_seconds,
    "images_per_second": one.images_per_second(),
    **backend.describe(devices),
    # Of the field and JAX's own setting the one that counts.
    "matmul_precision": config.matmul_precision
    or jax.config.jax_default_matmul_precision,
    "rethinking": __version__,
    "git_commit": _git_commit(),
    "data_fingerprint": {
      part: task.report[f"{part}_sha256"] for part in ("labels", "images")
    },
    "data_source": task.source,
    "num_classes": task.num_classes,
  }


@functools.cache
def _git_commit() -> str | None:
  """The commit of this checkout; None where it is not one."""
  folder = pathlib.Path(__file__).parents[1]
  try:
    found = subprocess.run(
      # Whichever git the user has.
      ["git", "-C", str(folder), "rev-parse", "--show-prefix", "HEAD"],  # noqa: S607
      capture_output=True,
      text=True,
      check=True,
    )
  except (OSError, subprocess.CalledProcessError):
    return None
  prefix, commit = found.stdout.split("\n")[:2]
  # In an environment inside another repository, that one's commit is not ours.
  return commit if prefix == f"{folder.name}/" else None


def show(
  console: Console,
  summary: dict[str, Any],
  task: Task,
  workdir: epath.Path,
) -> None:
  """Ends a run's output: a small table, and what was seen in words.

  Args:
    console: the run's.
    summary: from `summarise`.
    task: what was learned.
    workdir: where everything is.
  """
  rows = [
    m for m in metrics.METRICS if m.end and summary.get(m.name) is not None
  ]
  columns = sorted({m.unit.words for m in rows})
  lines = [("examples", *columns)]
  for end in dict.fromkeys(m.end for m in rows):
    mine = {
      m.unit.words: m.unit.text(summary[m.name]) for m in rows if m.end == end
    }
    lines.append((end, *(mine.get(column, "-") for column in columns)))
  console.table(lines)
  percent = metrics.ACCURACY.text
  wrong = task.report["flip_rate"]
  fitted = summary["epochs_to_fit"]
  sentence = (
    f"The network was given {len(task.train.ids):,} labels"
    + (f", {percent(wrong)} of them wrong" if wrong else "")
    + (
      f", and fitted them by epoch {fitted}"
      if fitted is not None
      else f", and fitted {percent(summary['train_accuracy'])} of them"
    )
  )
  if summary.get("changed_predicted_true") is not None:
    sentence += (
      ". Of the wrong ones it fitted "
      f"{percent(summary['train_accuracy_changed'])} and saw through "
      f"{percent(summary['changed_predicted_true'])}, predicting the true class"
    )
  console.say(
    f"{sentence}. On clean test labels it is right "
    f"{percent(summary['test_accuracy'])} of the time; chance is "
    f"{percent(1 / task.num_classes)}."
  )
  console.say(
    f"{summary['steps']} steps in {summary['wall_seconds']:.1f} s. Everything "
    f"is in {workdir}."
  )

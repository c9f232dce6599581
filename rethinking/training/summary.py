"""What a run saw: a row for each evaluation, and at the end a summary."""

import functools
import pathlib
import subprocess
from collections.abc import Mapping
from typing import Any

import jax
from etils import epath
from ml_collections import ConfigDict

from rethinking import __version__
from rethinking.runtime import backend
from rethinking.runtime.console import Console
from rethinking.storage import checksums, files
from rethinking.training import metrics
from rethinking.training.examples import Task
from rethinking.training.presentations import Presentations
from rethinking.training.step import Seen


def row(
  step: int, epoch: int, task: Task, seen: Mapping[str, Seen]
) -> dict[str, Any]:
  """Returns a row of metrics.jsonl.

  Args:
    step: steps taken.
    epoch: epochs completed.
    task: what is learned.
    seen: of each part of the task, leaves [N].
  """
  train = metrics.train_metrics(
    *seen["train"][:3],
    task.train.true_labels,
    # As the evaluation: of the epoch before it.
    task.train.drawn(max(epoch - 1, 0)),
  )
  # Test images are never drawn anew.
  drawn = task.test.prepared.drawn
  found = train | metrics.split_metrics("test", *seen["test"][:3], drawn)
  if "validation" in seen:
    found |= metrics.split_metrics("validation", *seen["validation"][:3])
  return {"step": step, "epoch": epoch, **found}


def write_examples(
  workdir: epath.Path, step: int, task: Task, seen: Mapping[str, Seen]
) -> None:
  """Writes each example's loss, prediction and probabilities, by id.

  Args:
    workdir: of the run; the file is per_example/step_STEP.npz.
    step: steps taken.
    task: what is learned.
    seen: of each part of the task, leaves [N].
  """
  arrays = {}
  for name, split in task.parts().items():
    loss, prediction, given, probabilities = seen[name]
    arrays[f"{name}_id"] = split.given_ids
    arrays[f"{name}_label"] = given
    if split.true_labels is not None:
      arrays[f"{name}_true_label"] = split.true_labels
    arrays[f"{name}_loss"] = loss
    arrays[f"{name}_prediction"] = prediction
    arrays[f"{name}_correct"] = prediction == given
    arrays[f"{name}_probabilities"] = probabilities
  folder = workdir / "per_example"
  folder.mkdir(exist_ok=True)
  files.replace(folder / f"step_{step:08d}.npz", files.npz_bytes(arrays))


def write_presentations(
  workdir: epath.Path, task: Task, seen: Presentations
) -> None:
  """Writes presentations.npz: `Presentations` of the train examples, by id.

  Args:
    workdir: of the run.
    task: what is learned.
    seen: arrays by rows of the data.
  """
  arrays = {name: x[task.train.rows] for name, x in vars(seen).items()}
  data = files.npz_bytes({"id": task.train.given_ids, **arrays})
  files.replace(workdir / "presentations.npz", data)


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
  config: ConfigDict,
  task: Task,
  rows: list[dict[str, Any]],
  devices: list[jax.Device],
  *,
  num_parameters: int,
  wall_seconds: float,
  images_per_second: float | None,
) -> dict[str, Any]:
  """Returns what summary.json holds.

  Args:
    config: resolved.
    task: what was learned.
    rows: all of metrics.jsonl.
    devices: those used.
    num_parameters: of the model.
    wall_seconds: from the start of the run to now.
    images_per_second: of training, without compilation.
  """
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
    "wall_seconds": wall_seconds,
    "images_per_second": images_per_second,
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

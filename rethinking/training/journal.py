"""What a run keeps of itself: its evaluations, their files, its clocks."""

import functools
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rethinking.config import records
from rethinking.runtime import processes
from rethinking.runtime.console import Console
from rethinking.runtime.errors import UserError
from rethinking.storage import files, jsonl
from rethinking.storage.events import Events
from rethinking.training import metrics, optim
from rethinking.training import state as state_lib
from rethinking.training.examples import Run, Task
from rethinking.training.presentations import Presentations


class Journal(Run):
  """A run of a config, and all that is known of it.

  Args:
    name: for titles, unique among runs that train together.
    config: resolved.
    task: what it learns.
    folder: for its files; it is there, and claimed for this config.
    console: shows its progress.
    began: when it did, by the monotonic clock.
    keep_params: whether it leaves its model.

  Attributes:
    rows: the evaluations so far.
    saved_epoch: of the last checkpoint.
    wall_seconds: its share of the time so far, with that of earlier calls.
    train_seconds: of it, those of steps without compilation.
    timed_steps: in that time.
  """

  def __init__(
    self,
    name: str,
    config: ConfigDict,
    task: Task,
    folder: epath.Path,
    console: Console,
    began: float,
    *,
    keep_params: bool,
  ):
    super().__init__(
      name,
      task,
      init=state_lib.root(config.init_seed, "init"),
      noise=state_lib.root(config.noise_seed, "noise"),
      order_seed=config.order_seed,
    )
    self.config, self.folder, self.console = config, folder, console
    self.keep_params = keep_params
    self.wall_seconds = time.monotonic() - began
    self.train_seconds = 0.0
    self.timed_steps = 0
    self.rows: list[dict[str, Any]] = []
    self.saved_epoch = 0
    self.board: Events | None = None
    self.epoch_end = functools.partial(
      optim.epoch_end,
      num_examples=len(task.train.rows),
      batch_size=config.batch_size,
    )
    self.lines = jsonl.JsonLines(folder / "metrics.jsonl", {"step": int})

  def restore(self, step: int, kept: dict[str, Any] | None) -> None:
    """Makes its files agree with where it begins.

    Args:
      step: of the checkpoint; 0 where there is none.
      kept: what `keep` returned then; None: it begins anew.

    Raises:
      UserError: if evaluations from before the checkpoint are lost.
    """
    for warning in self.lines.warnings:
      self.console.warn(warning)
    # An evaluation may come after the checkpoint of its step: the state must
    # not miss what it learns from one.
    seen = kept.get("evaluated", step) if kept else -1
    self.lines.truncate(lambda row: row["step"] <= seen)
    self.rows = processes.on_first(self.lines.rows)
    if kept:
      self._check_config(step, kept)
      self.step = step
      self.wall_seconds += kept["wall_seconds"]
      self.train_seconds = kept["train_seconds"]
      self.timed_steps = kept["timed_steps"]
      self._check_rows(step, kept)
    if self.rows:
      self.epoch = self.saved_epoch = self.rows[-1]["epoch"]
    if self.config.tensorboard and processes.is_first():
      self.board = Events(self.folder / "tensorboard", seen)

  def _check_config(self, step: int, kept: dict[str, Any]) -> None:
    """Refuses the checkpoint of another run; earlier versions don't say it."""
    new = records.plain(self.config)
    different = records.differences(kept.get("config", new), new)
    if different:
      raise UserError(
        f"The checkpoint of step {step} in '{self.folder}' must be of this "
        f"run, got that of another ({'; '.join(different)}); restore the "
        "folder, or give another workdir."
      )

  def _check_rows(self, step: int, kept: dict[str, Any]) -> None:
    """Refuses evaluations other than those the checkpoint was saved with."""
    count, digest = kept["rows"], kept["rows_sha256"]
    if len(self.rows) < count:
      trouble = "has lost evaluations"
    elif processes.on_first(lambda: self.lines.sha256(count)) != digest:
      trouble = "is damaged: it holds other evaluations"
    else:
      return
    raise UserError(
      f"{self.lines.path} {trouble} before the checkpoint of step "
      f"{step}; restore it, or give another workdir."
    )

  def keep(self) -> dict[str, Any]:
    """Returns what a checkpoint says of it, JSON-able."""
    return {
      "wall_seconds": self.wall_seconds,
      "train_seconds": self.train_seconds,
      "timed_steps": self.timed_steps,
      "evaluated": self.rows[-1]["step"],
      "rows": len(self.rows),
      "rows_sha256": self.lines.sha256(len(self.rows)),
      "config": records.plain(self.config),
    }

  def next_epoch(self) -> int:
    """Returns the epoch of the next evaluation."""
    every = self.config.eval_epochs
    return min(self.epoch // every * every + every, self.config.epochs)

  def is_due(self, *, alone: bool) -> bool:
    """Returns whether a checkpoint is due since the last.

    Args:
      alone: at multiples of `checkpoint_epochs`; else, since a group's runs
        may be at other epochs, as many epochs after the last.
    """
    every = self.config.checkpoint_epochs
    if alone:
      return self.epoch // every > self.saved_epoch // every
    return self.epoch - self.saved_epoch >= every

  def is_over(self) -> bool:
    """Returns whether its last evaluation was the last of all."""
    c, last, best = self.config, self.rows[-1], self.best()
    if last["step"] >= self.epoch_end(c.epochs):
      return True
    if best is not None and last["epoch"] - best["epoch"] >= c.early_stopping:
      return True
    return c.stop_at_fit and last["train_accuracy"] >= c.fit_accuracy

  def best(self) -> dict[str, Any] | None:
    """Returns the evaluation whose weights are kept; None: none is chosen."""
    return metrics.best(self.rows) if self.config.early_stopping else None

  def images_per_second(self) -> float | None:
    """Returns its share of the speed, without compilation."""
    if not self.train_seconds:
      return None
    return self.timed_steps * self.config.batch_size / self.train_seconds

  def evaluated(self, seen: dict[str, state_lib.Seen], seconds: float) -> bool:
    """Writes an evaluation down.

    Args:
      seen: of each part of its task, leaves [N].
      seconds: that it took.

    Returns:
      Whether its losses are finite; else nothing was written.
    """
    row = self._row(seen)
    # What all do next depends on it, so the last bit must be the same in all.
    row = processes.on_first(functools.partial(dict, row))
    losses = (row["train_loss"], row.get("validation_loss", 0.0))
    if not np.isfinite(losses).all():
      return False
    row["train_images_per_second"] = self.images_per_second()
    row["eval_seconds"] = seconds
    if self.config.per_example:
      self._write_examples(seen)
    self.lines.append(row)
    self.rows.append(row)
    if self.board is not None:
      self.board.append(
        self.step,
        {k: v for k, v in row.items() if v is not None and k != "step"},
      )
    self.console.evaluation(row)
    return True

  def _row(self, seen: Mapping[str, state_lib.Seen]) -> dict[str, Any]:
    """The row of metrics.jsonl."""
    train, test = self.task.train, self.task.test
    found = metrics.train_metrics(
      *seen["train"][:3],
      train.true_labels,
      # As the evaluation: of the epoch before it.
      train.drawn(max(self.epoch - 1, 0)),
    )
    # Test images are never drawn anew.
    drawn = test.prepared.drawn
    found |= metrics.split_metrics("test", *seen["test"][:3], drawn)
    if "validation" in seen:
      found |= metrics.split_metrics("validation", *seen["validation"][:3])
    return {"step": self.step, "epoch": self.epoch, **found}

  def _write_examples(self, seen: Mapping[str, state_lib.Seen]) -> None:
    """Writes each example's loss, prediction and probabilities, by id."""
    arrays = {}
    for name, split in self.task.parts().items():
      loss, prediction, given, probabilities = seen[name]
      arrays[f"{name}_id"] = split.given_ids
      arrays[f"{name}_label"] = given
      if split.true_labels is not None:
        arrays[f"{name}_true_label"] = split.true_labels
      arrays[f"{name}_loss"] = loss
      arrays[f"{name}_prediction"] = prediction
      arrays[f"{name}_correct"] = prediction == given
      arrays[f"{name}_probabilities"] = probabilities
    folder = self.folder / "per_example"
    folder.mkdir(exist_ok=True)
    data = files.npz_bytes(arrays)
    files.replace(folder / f"step_{self.step:08d}.npz", data)

  def write_presentations(self, seen: Presentations) -> None:
    """Writes presentations.npz: of the train examples, by id.

    Args:
      seen: arrays by rows of the data.
    """
    train = self.task.train
    arrays = {name: x[train.rows] for name, x in vars(seen).items()}
    data = files.npz_bytes({"id": train.given_ids, **arrays})
    files.replace(self.folder / "presentations.npz", data)

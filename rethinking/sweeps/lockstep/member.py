"""One of the runs that train together."""

from collections.abc import Mapping
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking.runtime.errors import UserError
from rethinking.storage import jsonl
from rethinking.training import optim
from rethinking.training import task as problem
from rethinking.training import workdir as workdir_lib
from rethinking.training.order import Order

# Steps a dispatch.
_CHUNK = 100


def most(config: ConfigDict, num_examples: int) -> int:
  """Returns how many steps of each run a dispatch takes at most.

  Args:
    config: any of the runs', resolved.
    num_examples: examples an epoch.
  """
  # An evaluation is waited for.
  span = optim.epoch_end(
    min(config.eval_epochs, config.epochs), num_examples, config.batch_size
  )
  return min(config.chunk_steps or _CHUNK, span)


class Member:
  """A run's position, its files, and its share of the time.

  Args:
    name: the cell's.
    config: resolved.
    task: what it learns.
  """

  # What an interrupted run takes up again.
  kept = ("step", "epoch", "wall_seconds", "train_seconds", "timed_steps")

  def __init__(self, name: str, config: ConfigDict, task: problem.Problem):
    self.name, self.config, self.task = name, config, task
    count = len(task.train.ids)
    self.order = Order(
      config.order_seed, count, config.batch_size, most(config, count)
    )
    self.rows: list[dict[str, Any]] = []
    self.step = self.epoch = self.timed_steps = 0
    self.wall_seconds = self.train_seconds = 0.0

  def open(self, folder: epath.Path, kept: Mapping[str, Any] | None) -> None:
    """Makes its files agree with where it begins.

    Args:
      folder: of the run.
      kept: what a checkpoint says of it, by the names in `kept`; None begins
        anew.

    Raises:
      UserError: for a folder of another run, or one that lacks evaluations.
    """
    for key in self.kept if kept else ():
      setattr(self, key, kept[key])
    self.folder = folder
    folder.mkdir(parents=True, exist_ok=True)
    workdir_lib.claim(folder, self.config, self.task.facts())
    self.lines = jsonl.JsonLines(folder / "metrics.jsonl")
    self.lines.truncate(lambda row: bool(kept) and row["step"] <= self.step)
    self.rows = self.lines.rows()
    if kept and not self.rows:
      raise UserError(
        f"{self.lines.path} has lost the evaluations before step {self.step}; "
        "restore it, or give another workdir."
      )

  def next_epoch(self) -> int:
    """Returns the epoch of the next evaluation."""
    every = self.config.eval_epochs
    return min(self.epoch // every * every + every, self.config.epochs)

  def images_per_second(self) -> float | None:
    """Returns its share of the speed, without compilation."""
    if not self.train_seconds:
      return None
    return self.timed_steps * self.config.batch_size / self.train_seconds

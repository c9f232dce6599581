"""Runs of one shape, trained together in one program.

Each is the run that `train.run` makes, with labels, weights, order and files
of its own; they share the images and the program, which takes a step of every
run at once. A run that ends leaves its place to the next one.
"""

from __future__ import annotations

import functools
import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rethinking import (
  checkpoint,
  data,
  models,
  optim,
  parallel,
  plots,
  problem,
  train,
  writers,
)
from rethinking import config as config_lib
from rethinking import step as step_lib
from rethinking.errors import UserError

# In these alone may runs that train together differ: they change labels,
# weights, order and draws, but neither a shape nor the program.
_OWN = ("stop_at_fit", "seed", "init_seed", "order_seed", "noise_seed")
# In these too, as long as the images do not change with them.
_OWN_LABELS = (
  "variant",
  "label_noise",
  "p",
  "exact",
  "label_options",
  "corruption_seed",
)

# Parameters up to which a matrix product is so small that a CPU gains from
# taking several at once; `python -m rethinking.benchmark sweep` measures it.
_SMALL = 100_000
_MOST_ON_CPU = 32

Finish = Callable[[str, Mapping[str, Any]], None]

# Steps a dispatch.
_CHUNK = 100


def group_key(config: ConfigDict) -> str:
  """Returns what runs that can train together have in common, as text.

  Args:
    config: a run's, resolved.
  """
  own = _OWN if config.pixel_noise else (*_OWN, *_OWN_LABELS)
  fields = {k: v for k, v in config_lib.plain(config).items() if k not in own}
  return json.dumps(fields, sort_keys=True)


def places(config: ConfigDict, runs: int, at_once: int | None) -> int:
  """Returns how many runs to train together; 1: one after another.

  Without a number from the user: together where it was measured to win. That
  is dense networks, on accelerators as many as fit the memory, on a CPU small
  ones only. Convolutions with a kernel for each run become grouped ones, which
  lose on CPUs and were not measured elsewhere.

  Args:
    config: one of them, resolved.
    runs: how many there are.
    at_once: what the user asks for, at least 1; None: decide here.
  """
  if runs < 2 or config.tensorboard or config.per_example:
    return 1
  if jax.process_count() > 1:
    return 1
  if at_once is not None:
    return min(at_once, runs)
  if config.arch not in models.DENSE:
    return 1
  devices = jax.local_devices()
  size = _parameters(config)
  if devices[0].platform == "cpu":
    return min(runs, _MOST_ON_CPU) if size <= _SMALL else 1
  memory = (devices[0].memory_stats() or {}).get("bytes_limit")
  if memory is None:
    return 1
  # Parameters, momenta, gradients, updates and what they become, float32;
  # half of the memory is for images, activations and the compiler.
  each = 8 * 4 * size
  return max(1, min(runs, len(devices) * int(memory / 2) // each))


def _parameters(config: ConfigDict) -> int:
  """Counts the parameters of a config's model, without making them."""
  test = data.load(
    config.dataset, "test", data_dir=config.data_dir, cache=config.data_cache
  )
  init, _, _ = train.steps(
    train.program_key(config), len(test.ids), test.num_classes, None
  )
  empty = _shapes(init, train.shape(config, test.images))
  return sum(x.size for x in jax.tree.leaves(empty.params))


def _shapes(
  init: Callable[..., step_lib.TrainState], shape: tuple[int, int, int]
) -> step_lib.TrainState:
  """The shapes of one run's state."""
  return jax.eval_shape(
    functools.partial(init, shape=shape), key=step_lib.root(0, "init")
  )


class _Run:
  """One run in its place: what it has seen, and its share of the time."""

  # What an interrupted run takes up again.
  kept = ("step", "epoch", "wall_seconds", "train_seconds", "timed_steps")

  def __init__(self, name: str, config: ConfigDict, task: problem.Problem):
    self.name, self.config, self.task = name, config, task
    self.order = train.Order(
      config.order_seed, len(task.train.ids), config.batch_size
    )
    self.rows: list[dict[str, Any]] = []
    self.step = self.epoch = self.timed_steps = 0
    self.wall_seconds = self.train_seconds = 0.0

  def open(self, folder: epath.Path, kept: Mapping[str, Any] | None) -> None:
    """Makes its files agree with where it begins."""
    for key in self.kept if kept else ():
      setattr(self, key, kept[key])
    self.folder = folder
    train.open_workdir(folder, self.config)
    folder.mkdir(parents=True, exist_ok=True)
    writers.write_json(folder / "config.json", config_lib.plain(self.config))
    writers.write_json(folder / "corruption.json", self.task.report)
    self.lines = writers.JsonLines(folder / "metrics.jsonl")
    self.lines.truncate(lambda row: bool(kept) and row["step"] <= self.step)
    self.rows = self.lines.rows()
    if kept and not self.rows:
      raise UserError(
        f"{self.lines.path} has lost the evaluations before step {self.step}; "
        "restore it, or give another workdir."
      )

  def next_epoch(self) -> int:
    every = self.config.eval_epochs
    return min(self.epoch // every * every + every, self.config.epochs)

  def images_per_second(self) -> float | None:
    if not self.train_seconds:
      return None
    return self.timed_steps * self.config.batch_size / self.train_seconds


class _Programs(NamedTuple):
  """The compiled functions of a group."""

  init: Callable[..., step_lib.TrainState]
  train: Callable[..., tuple[step_lib.TrainState, jax.Array]]
  evaluate: Callable[..., tuple[np.ndarray, np.ndarray]]


@functools.lru_cache(maxsize=8)
def _programs(
  fields: str, num_examples: int, num_classes: int, spread: bool
) -> _Programs:
  devices = jax.local_devices()
  init, train_step, eval_step = train.steps(
    fields, num_examples, num_classes, None if spread else parallel.AXIS
  )
  return _Programs(
    init=init,
    train=parallel.train_runs(train_step, devices, spread=spread),
    evaluate=parallel.evaluate_runs(eval_step, devices, spread=spread),
  )


def run(
  cells: Mapping[str, ConfigDict],
  workdir: epath.Path,
  at_once: int,
  finish: Finish,
  console: writers.SweepConsole,
) -> None:
  """Trains runs together until each has ended.

  Args:
    cells: resolved configs with the same `group_key`, by name; those that
      have finished are not among them.
    workdir: of the sweep; each run's files are in `cells/NAME`.
    at_once: how many train together, at least 1.
    finish: called with a run's name and what its row is made of: its summary,
      or `status` "diverged" and `step` where its loss is no longer finite.
    console: shows what is running.

  Raises:
    train.Stopped: after SIGTERM or Ctrl-C; the state of all is saved.
  """
  with train.signals() as stop:
    _Group(cells, workdir, at_once, finish, console).run(stop)


class _Group:
  """Runs between the first one's start and the last one's end.

  `places` are the rows of the arrays that the programs work on, each with a
  run or None. A round takes every run to its next evaluation.
  """

  def __init__(self, cells, workdir, at_once, finish, console):
    self.cells, self.workdir, self.at_once = cells, workdir, at_once
    self.finish, self.console = finish, console
    self.waiting = list(cells)
    self.places: list[_Run | None] = []
    self.config = next(iter(cells.values()))
    self.task = problem.load(self.config)
    self.count = len(self.task.train.ids)
    self.shape = train.shape(self.config, self.task.train.images)
    self.epoch_end = functools.partial(
      optim.epoch_end,
      num_examples=self.count,
      batch_size=self.config.batch_size,
    )
    self.devices = jax.local_devices()
    self.shared = {
      part: parallel.replicate((whole.images, whole.ids), self.devices)
      for part, whole in self.parts(self.task)
    }
    # The same folder for what can train together, whatever is left of it.
    digest = hashlib.sha256(group_key(self.config).encode()).hexdigest()[:12]
    self.checkpoints = checkpoint.Checkpointer(
      workdir / "lockstep" / digest, keep=2
    )
    # Programs called before: the first call compiles.
    self.warm = False
    self.dispatches = self.rounds = 0

  @staticmethod
  def parts(task: problem.Problem):
    return (("train", task.train), ("test", task.test))

  @property
  def running(self) -> list[_Run]:
    return [one for one in self.places if one is not None]

  def run(self, stop: threading.Event) -> None:
    self.restore()
    while self.running:
      self.train(stop)
      self.evaluate(self.running)
      self.rounds += 1
      self.retire()
      self.refill()
      every = self.config.checkpoint_epochs // self.config.eval_epochs
      if self.running and self.rounds % max(1, every) == 0:
        self.save()

  # Where each run's state lies.
  def restore(self) -> None:
    """Takes up what an interrupted call saved, and fills the rest."""
    init, _, _ = train.steps(
      train.program_key(self.config), self.count, self.task.num_classes, None
    )
    self.empty = _shapes(init, self.shape)
    found = self.checkpoints.restore(
      lambda extra: dict.fromkeys(extra["runs"], self.empty)
    )
    states = {}
    if found is not None:
      self.dispatches = found.extra["dispatches"]
      for warning in found.warnings:
        self.console.warn(warning)
      states = {k: v for k, v in found.state.items() if k in self.cells}
    for name in states:
      self.places.append(self.start(name, found.extra["runs"][name]))
    self.lay_out(states, max(min(self.at_once, len(self.cells)), len(states)))

  def start(self, name: str, kept: Mapping[str, Any] | None = None) -> _Run:
    self.waiting.remove(name)
    config = self.cells[name]
    same = config.pixel_noise is not None
    task = self.task if same else problem.relabel(self.task, config)
    one = _Run(name, config, task)
    one.open(self.workdir / "cells" / name, kept)
    for warning in one.lines.warnings:
      self.console.warn(warning)
    return one

  def lay_out(self, states: Mapping[str, step_lib.TrainState], number: int):
    """Makes `number` places, for the running runs and for waiting ones.

    Args:
      states: of the running runs, by name.
      number: at least as many.
    """
    # As many runs as devices: each device has some. Fewer: each device has a
    # part of every run's batch.
    self.spread = number >= len(self.devices)
    if self.spread:
      number = -(-number // len(self.devices)) * len(self.devices)
    self.programs = _programs(
      train.program_key(self.config),
      self.count,
      self.task.num_classes,
      self.spread,
    )
    self.warm = False
    old = self.running
    new = [self.start(n) for n in self.waiting[: number - len(old)]]
    self.places = [*old, *new]
    self.places += [None] * (number - len(self.places))
    for one in new:
      states = {**states, one.name: self.initial(one)}
    host = jax.tree.map(
      lambda x: np.zeros((number, *x.shape), x.dtype), self.empty
    )
    for place, one in enumerate(self.places):
      if one is not None:
        _put(host, place, states[one.name])
    self.state = self.lay(host)
    self.share()
    if new:
      self.evaluate(new)

  def lay(self, tree: Any) -> Any:
    return parallel.split_runs(tree, self.devices, spread=self.spread)

  def initial(self, one: _Run) -> step_lib.TrainState:
    key = step_lib.root(one.config.init_seed, "init")
    return self.programs.init(key=key, shape=self.shape)

  def share(self) -> None:
    """Lays labels and keys out as the runs lie."""
    # A place without a run computes on with those of another; nobody looks.
    shown = [one or self.running[0] for one in self.places]
    self.data = {}
    for part, (images, ids) in self.shared.items():
      labels = np.stack([dict(self.parts(r.task))[part].labels for r in shown])
      self.data[part] = step_lib.Data(images, self.lay(labels), ids)
    keys = [step_lib.root(r.config.noise_seed, "noise") for r in shown]
    self.keys = self.lay(jnp.stack(keys))

  def refill(self) -> None:
    """Gives the places of ended runs to waiting ones."""
    free = [i for i, one in enumerate(self.places) if one is None]
    if not free or not self.running and not self.waiting:
      return
    # Without any waiting, half empty arrays would only cost time.
    shrink = not self.waiting and 2 * len(self.running) <= len(self.places)
    new = []
    if shrink:
      self.lay_out(self.states(), len(self.running))
    elif self.waiting:
      host = parallel.join_runs(self.state, spread=self.spread)
      for place in free[: len(self.waiting)]:
        one = self.places[place] = self.start(self.waiting[0])
        _put(host, place, self.initial(one))
        new.append(one)
      self.state = self.lay(host)
      self.share()
      self.evaluate(new)

  def states(self) -> dict[str, step_lib.TrainState]:
    host = parallel.join_runs(self.state, spread=self.spread)
    return {
      one.name: jax.tree.map(lambda x, i=place: x[i], host)
      for place, one in enumerate(self.places)
      if one is not None
    }

  # A round.
  def train(self, stop: threading.Event) -> None:
    """Takes every run to its next evaluation."""
    began, warm, active = time.monotonic(), self.warm, self.running
    before = {one.name: one.step for one in active}
    ends = {one.name: self.epoch_end(one.next_epoch()) for one in active}
    chunk = self.config.chunk_steps or _CHUNK
    seen = []
    while any(one.step < ends[one.name] for one in active):
      sizes = [
        0 if one is None else min(chunk, ends[one.name] - one.step)
        for one in self.places
      ]
      self.state, losses = self.programs.train(
        self.state,
        self.data["train"],
        self.batches(chunk),
        self.lay(np.array(sizes, np.int32)),
        np.int32(max(sizes)),
        self.keys,
      )
      self.dispatches += 1
      seen.append((sizes, losses))
      for one, size in zip(self.places, sizes, strict=True):
        if one is not None:
          one.step += size
      if stop.is_set():
        self.save()
        raise train.Stopped(self.dispatches, self.workdir)
    self.refuse_divergence(seen, before)
    self.warm = True
    seconds = (time.monotonic() - began) / len(active)
    for one in active:
      one.epoch = one.next_epoch()
      one.wall_seconds += seconds
      if warm:
        one.train_seconds += seconds
        one.timed_steps += one.step - before[one.name]

  def batches(self, chunk: int) -> step_lib.Batch:
    """The next `chunk` batches of each run, laid out for the program."""
    found = [
      (one or self.running[0]).order.batches(
        (one or self.running[0]).step, chunk
      )
      for one in self.places
    ]
    stacked = jax.tree.map(lambda *x: np.stack(x), *found)
    if self.spread:
      return self.lay(stacked)
    return jax.tree.map(lambda x: parallel.shard(x, len(self.devices)), stacked)

  def refuse_divergence(self, seen, before) -> None:
    """Ends the runs that had a loss that is not finite."""
    for sizes, losses in seen:
      rows = parallel.join_runs(losses, spread=self.spread)
      for place, size in enumerate(sizes):
        one = self.places[place]
        bad = ~np.isfinite(rows[place, :size])
        if one is not None and bad.any():
          step = before[one.name] + int(np.argmax(bad)) + 1
          self.end(one, {"status": "diverged", "step": step})
        elif one is not None:
          before[one.name] += size

  def evaluate(self, whom: list[_Run]) -> None:
    """Evaluates all, for the metrics of some."""
    began = time.monotonic()
    found = [
      self.programs.evaluate(
        self.state, self.data[part], self.config.eval_batch_size
      )
      for part in ("train", "test")
    ]
    seconds = (time.monotonic() - began) / max(1, len(whom))
    for place, one in enumerate(self.places):
      if one is None or one not in whom:
        continue
      shown = [(loss[place], guess[place]) for loss, guess in found]
      row = train.evaluation(one.step, one.epoch, one.task, *shown)
      if not np.isfinite(row["train_loss"]):
        self.end(one, {"status": "diverged", "step": one.step})
        continue
      one.wall_seconds += seconds
      row["train_images_per_second"] = one.images_per_second()
      row["eval_seconds"] = seconds
      one.lines.append(row)
      one.rows.append(row)
      self.console.running(one.name, one.epoch, one.config.epochs, row)

  def retire(self) -> None:
    """Ends the runs that are at their horizon, or fitted where that is it."""
    for one in self.running:
      fitted = one.rows[-1]["train_accuracy"] >= one.config.fit_accuracy
      if one.epoch < one.config.epochs and not (
        one.config.stop_at_fit and fitted
      ):
        continue
      summary = train.summarise(
        one.config,
        one.task,
        one.rows,
        self.devices,
        num_parameters=sum(x.size for x in jax.tree.leaves(self.empty.params)),
        wall_seconds=one.wall_seconds,
        images_per_second=one.images_per_second(),
      )
      if one.config.plots:
        plots.curves(one.rows, one.folder / "curves.png", one.name)
      writers.write_json(one.folder / "summary.json", summary)
      self.end(one, {"status": "finished", **summary})

  def end(self, one: _Run, row: Mapping[str, Any]) -> None:
    self.places[self.places.index(one)] = None
    self.finish(one.name, {**row, "seconds": one.wall_seconds})

  def save(self) -> None:
    self.checkpoints.save(
      self.dispatches,
      self.states(),
      {
        "dispatches": self.dispatches,
        "runs": {
          one.name: {key: getattr(one, key) for key in one.kept}
          for one in self.running
        },
      },
    )


def _put(host: Any, place: int, state: Any) -> None:
  """Writes one run's state into arrays of all runs."""

  def write(all_of, one):
    all_of[place] = np.asarray(one)

  jax.tree.map(write, host, state)

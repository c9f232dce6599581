"""Runs between the first one's start and the last one's end."""

import functools
import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rethinking.runtime import signals
from rethinking.runtime.errors import Stopped
from rethinking.storage import checkpoint, files
from rethinking.sweeps.console import SweepConsole
from rethinking.sweeps.lockstep.arrays import Arrays
from rethinking.sweeps.lockstep.grouping import group_key
from rethinking.sweeps.lockstep.member import Member
from rethinking.training import curves, optim
from rethinking.training import summary as results
from rethinking.training import task as problem

Finish = Callable[[str, Mapping[str, Any]], None]


def run(
  cells: Mapping[str, ConfigDict],
  workdir: epath.Path,
  at_once: int,
  finish: Finish,
  console: SweepConsole,
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
    Stopped: after SIGTERM or Ctrl-C; the state of all is saved.
  """
  with signals.deferred() as stop:
    _Group(cells, workdir, at_once, finish, console).run(stop)


class _Group:
  """What `run` works on; a round takes every run to its next evaluation."""

  def __init__(self, cells, workdir, at_once, finish, console):
    self.cells, self.workdir, self.at_once = cells, workdir, at_once
    self.finish, self.console = finish, console
    self.waiting = list(cells)
    self.config = next(iter(cells.values()))
    self.task = problem.load(self.config)
    self.arrays = Arrays(self.config, self.task)
    self.epoch_end = functools.partial(
      optim.epoch_end,
      num_examples=len(self.task.train.ids),
      batch_size=self.config.batch_size,
    )
    # The same folder for what can train together, whatever is left of it.
    digest = hashlib.sha256(group_key(self.config).encode()).hexdigest()[:12]
    self.checkpoints = checkpoint.Checkpointer(
      workdir / "lockstep" / digest, keep=2
    )
    self.dispatches = self.rounds = 0

  def run(self, stop: threading.Event) -> None:
    self.restore()
    while self.arrays.members:
      self.train(stop)
      self.evaluate(self.arrays.members)
      self.rounds += 1
      self.retire()
      moved = self.refill()
      every = self.config.checkpoint_epochs // self.config.eval_epochs
      # A program for another number of runs may round otherwise: saved at
      # once, a call that goes on has the same number at the same steps.
      if self.arrays.members and (moved or self.rounds % max(1, every) == 0):
        self.save()

  # Who is there.
  def restore(self) -> None:
    """Takes up what an interrupted call saved, and fills the rest."""
    found = self.checkpoints.restore(
      lambda extra: dict.fromkeys(extra["runs"], self.arrays.empty)
    )
    states = {}
    if found is not None:
      self.dispatches = found.extra["dispatches"]
      for warning in found.warnings:
        self.console.warn(warning)
      # In the order in which they lay: the tree's is the alphabet's.
      names = [name for name in found.extra["runs"] if name in self.cells]
      states = {name: found.state[name] for name in names}
    old = [self.start(name, found.extra["runs"][name]) for name in states]
    number = self.at_once if found is None else found.extra["places"]
    new = [self.start(name) for name in self.waiting[: number - len(old)]]
    self.arrays.lay_out(states, [*old, *new], number)
    if new:
      self.evaluate(new)

  def start(self, name: str, kept: Mapping[str, Any] | None = None) -> Member:
    self.waiting.remove(name)
    config = self.cells[name]
    same = config.pixel_noise is not None
    task = self.task if same else problem.relabel(self.task, config)
    one = Member(name, config, task)
    one.open(self.workdir / "cells" / name, kept)
    for warning in one.lines.warnings:
      self.console.warn(warning)
    return one

  def refill(self) -> bool:
    """Gives the places of ended runs to waiting ones; says if it did."""
    members, places = self.arrays.members, self.arrays.places
    free = len(places) - len(members)
    if free and self.waiting:
      new = [self.start(name) for name in self.waiting[:free]]
      self.arrays.add(new)
      self.evaluate(new)
      return True
    if members and 2 * len(members) <= len(places):
      # With nobody waiting, half empty arrays would only cost time.
      self.arrays.lay_out(self.arrays.states(), [], len(members))
      return True
    return False

  # A round.
  def train(self, stop: threading.Event) -> None:
    """Takes every run to its next evaluation."""
    began, warm = time.monotonic(), self.arrays.warm
    active = self.arrays.members
    before = {one.name: one.step for one in active}
    ends = {one.name: self.epoch_end(one.next_epoch()) for one in active}
    seen = []
    while any(one.step < ends[one.name] for one in active):
      seen.append(self.arrays.train(ends))
      self.dispatches += 1
      if stop.is_set():
        self.save()
        raise Stopped(f"{len(active)} runs", self.workdir)
    self.refuse_divergence(seen, dict(before))
    self.arrays.warm = True
    seconds = (time.monotonic() - began) / len(active)
    for one in active:
      one.epoch = one.next_epoch()
      one.wall_seconds += seconds
      if warm:
        one.train_seconds += seconds
        one.timed_steps += one.step - before[one.name]

  def refuse_divergence(self, seen, step: dict[str, int]) -> None:
    """Ends the runs that had a loss that is not finite."""
    for sizes, losses in seen:
      rows = self.arrays.losses(losses)
      for place, one in enumerate(self.arrays.places):
        if one is None:
          continue
        bad = ~np.isfinite(rows[place, : sizes[place]])
        step[one.name] += int(np.argmax(bad)) if bad.any() else sizes[place]
        if bad.any():
          self.end(one, {"status": "diverged", "step": step[one.name] + 1})

  def evaluate(self, whom: list[Member]) -> None:
    """Evaluates all, for the metrics of some."""
    if not whom:
      return
    began = time.monotonic()
    found = [self.arrays.evaluate(part) for part in ("train", "test")]
    seconds = (time.monotonic() - began) / len(whom)
    for place, one in enumerate(self.arrays.places):
      if one is None or one not in whom:
        continue
      shown = [(loss[place], guess[place]) for loss, guess in found]
      row = results.row(one.step, one.epoch, one.task, *shown)
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
    for one in self.arrays.members:
      fitted = one.rows[-1]["train_accuracy"] >= one.config.fit_accuracy
      if one.epoch < one.config.epochs and not (
        one.config.stop_at_fit and fitted
      ):
        continue
      params = jax.tree.leaves(self.arrays.empty.params)
      summary = results.summarise(
        one.config,
        one.task,
        one.rows,
        jax.local_devices(),
        num_parameters=sum(x.size for x in params),
        wall_seconds=one.wall_seconds,
        images_per_second=one.images_per_second(),
      )
      if one.config.plots:
        curves.draw(one.rows, one.folder / "curves.png", one.name)
      files.write_json(one.folder / "summary.json", summary)
      self.end(one, {"status": "finished", **summary})

  def end(self, one: Member, row: Mapping[str, Any]) -> None:
    self.arrays.remove(one)
    self.finish(one.name, {**row, "seconds": one.wall_seconds})

  def save(self) -> None:
    self.checkpoints.save(
      self.dispatches,
      self.arrays.states(),
      {
        "dispatches": self.dispatches,
        "places": len(self.arrays.places),
        "runs": {
          one.name: {key: getattr(one, key) for key in one.kept}
          for one in self.arrays.members
        },
      },
    )

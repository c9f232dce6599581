"""The loop of one run or several: train, evaluate, keep, until all are over."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath

from rethinking.runtime.errors import Diverged, Stopped
from rethinking.storage.checkpoint import Checkpointer
from rethinking.training import trained
from rethinking.training.journal import Journal
from rethinking.training.slots import Slots
from rethinking.training.state import TrainState

# Called with a run, and the step at which its loss was not finite, or None.
Finish = Callable[[Journal, int | None], None]


class Loop:
  """Runs in slots, between the first one's start and the last one's end.

  A round takes every run to its next evaluation. A run that ends gives its
  slot to the next that waits.

  Args:
    slots: what trains.
    waiting: names of runs, in order.
    start: makes the journal of a name.
    folder: for checkpoints.
    finish: called as each run ends, with its journal, and with the step where
      its loss was not finite.
    alone: the only run: its checkpoints hold its state and nothing else, and
      where its loss is not finite `Diverged` is raised.
    workdir: named where the loop is stopped.
  """

  def __init__(
    self,
    slots: Slots,
    waiting: Sequence[str],
    start: Callable[[str], Journal],
    folder: epath.Path,
    finish: Finish,
    *,
    alone: bool,
    workdir: epath.Path,
  ):
    self.slots, self.start, self.workdir = slots, start, workdir
    self.waiting = list(waiting)
    self._finish, self._alone = finish, alone
    self.checkpoints = Checkpointer(folder)
    self.dispatches = 0
    self.saved: int | None = None
    self._lap = time.monotonic()

  def run(self, number: int, stop: threading.Event) -> None:
    """Trains until no run is left.

    Args:
      number: of slots, unless a checkpoint says otherwise.
      stop: save and raise `Stopped` when it is set.
    """
    self.restore(number)
    self.refill()
    while self.slots.active:
      self.train(stop)
      self.evaluate(self.slots.active)
      going_on = [one for one in self.slots.active if not one.is_over()]
      left = len(going_on) + len(self.waiting)
      # A program for another number of runs may round otherwise: saved before
      # that changes, a call that goes on has the same number at the same steps.
      if left and self._too_many(left):
        self.save()
      self.retire()
      self.refill()
      if any(one.is_due(alone=self._alone) for one in self.slots.active):
        self.save()

  # Who is there.
  def restore(self, number: int) -> None:
    """Takes up what an interrupted call saved, and fills the rest."""
    found = self.checkpoints.restore(self._like)
    states, old = {}, []
    if found is not None:
      # In the order in which they lay: the tree's is the alphabet's.
      kept = self._kept(found.step, found.extra)
      number = found.extra.get("slots", 1)
      self.dispatches = self.saved = found.step
      for name in [name for name in kept if name in self.waiting]:
        states[name] = found.state if self._alone else found.state[name]
        # Said once, not by each.
        warnings = () if old else found.warnings
        old.append(self._begin(name, kept[name], warnings))
    new = [self._begin(name) for name in self.waiting[: number - len(old)]]
    self.slots.lay_out([*old, *new], number, states)
    fresh = [one for one in self.slots.active if not one.rows]
    self.evaluate(fresh)
    self.retire()

  def _like(self, extra: Mapping[str, Any]) -> Any:
    empty = self.slots.empty
    return empty if self._alone else dict.fromkeys(extra["runs"], empty)

  def _kept(self, step: int, extra: Mapping[str, Any]) -> Mapping[str, Any]:
    return (
      {self.waiting[0]: {**extra, "step": step}}
      if self._alone
      else extra["runs"]
    )

  def _begin(self, name, kept=None, warnings=()) -> Journal:
    self.waiting.remove(name)
    one = self.start(name)
    for warning in warnings:
      one.console.warn(warning)
    one.restore(kept["step"] if kept else 0, kept)
    one.console.step(one.step)
    if self._alone:
      # It counts its time before this itself.
      self._lap = time.monotonic()
    if kept:
      one.console.say(f"Continuing from the checkpoint of step {one.step}.")
    return one

  def refill(self) -> None:
    """Gives the slots of ended runs to waiting ones."""
    while self.waiting and None in self.slots.runs:
      free = self.slots.runs.count(None)
      new = [self._begin(name) for name in self.waiting[:free]]
      self.slots.add(new)
      self.evaluate(new)
      self.retire()
    active = self.slots.active
    if active and self._too_many(len(active)):
      # With none waiting, half empty arrays would only cost time.
      self.slots.lay_out(active, len(active), self.slots.states())

  def _too_many(self, runs: int) -> bool:
    """Whether so many runs would leave half of the slots empty."""
    return 2 * runs <= len(self.slots.runs)

  # A round.
  def train(self, stop: threading.Event) -> None:
    """Takes every run to its next evaluation, reading losses late."""
    ends = {
      one.name: one.epoch_end(one.next_epoch()) for one in self.slots.active
    }
    pending = None
    self.share()
    while any(one.step < ends[one.name] for one in self.slots.active):
      warm = self.slots.compiled()
      seen = self.dispatch(ends)
      # The host reads the chunk before while an accelerator is at this one.
      self.check(pending)
      pending = (*seen, warm)
      if not warm:
        # Compiled on the way: the next one is to start outside its time.
        self.check(pending)
        pending = None
      for one in self.slots.active:
        one.console.step(one.step, images_per_second=one.images_per_second())
      if stop.is_set():
        self.check(pending)
        self.save()
        raise Stopped(self._where(), self.workdir)
    self.check(pending)
    for one in self.slots.active:
      one.epoch = one.next_epoch()

  def dispatch(self, ends: Mapping[str, int]) -> tuple[Any, ...]:
    """Takes steps in one dispatch; returns what `check` reads."""
    runs = [*self.slots.runs]
    sizes, losses = self.slots.train(ends)
    self.dispatches += 1
    steps = [0 if one is None else one.step for one in runs]
    return runs, steps, sizes, losses

  def _where(self) -> str:
    active = self.slots.active
    return f"at step {active[0].step}" if self._alone else f"{len(active)} runs"

  def check(self, pending) -> None:
    """Waits for a dispatch, counts its time, ends runs that diverged."""
    if pending is None:
      return
    runs, steps, sizes, losses, warm = pending
    found = self.slots.losses(losses)
    seconds = self.share()
    if warm:
      self.slots.dispatches.timed(max(sizes), seconds)
    for one, step, size, row in zip(runs, steps, sizes, found, strict=True):
      if one is None:
        continue
      if warm:
        one.train_seconds += seconds * (size > 0)
        one.timed_steps += size
      finite = np.isfinite(row[:size])
      if not finite.all() and one in self.slots.active:
        self.end(one, step - size + int(np.argmin(finite)) + 1)

  def share(self) -> float:
    """Divides the time since the last call among the runs; returns a share."""
    now = time.monotonic()
    active = self.slots.active
    seconds = (now - self._lap) / max(len(active), 1)
    self._lap = now
    for one in active:
      one.wall_seconds += seconds
    return seconds

  def evaluate(self, whom: Sequence[Journal]) -> None:
    """Evaluates all, for the metrics of some."""
    if not whom:
      return
    began = time.monotonic()
    parts = [*whom[0].task.parts()]
    found = {part: self.slots.evaluate(part) for part in parts}
    seconds = (time.monotonic() - began) / len(whom)
    for slot, one in enumerate(self.slots.runs):
      if one is None or one not in whom:
        continue
      seen = {
        part: jax.tree.map(lambda x, i=slot: x[i], every)
        for part, every in found.items()
      }
      if not one.evaluated(seen, seconds):
        self.end(one, one.step)
    self.learn([one for one in whom if one in self.slots.active])
    self.share()

  def learn(self, whom: Sequence[Journal]) -> None:
    """Lets evaluations steer the learning rate and choose the weights."""
    plateau = [
      one in whom and one.config.schedule == "plateau" and one.epoch > 0
      for one in self.slots.runs
    ]
    best = [
      one in whom and one.best() is one.rows[-1] for one in self.slots.runs
    ]
    if any(plateau) or any(best):
      losses = [
        one.rows[-1].get("validation_loss", 0.0) if one in whom else 0.0
        for one in self.slots.runs
      ]
      self.slots.learn(losses, plateau, best)

  def retire(self) -> None:
    """Ends the runs that are over."""
    for one in self.slots.active:
      if one.is_over():
        if self._alone:
          self.save_last(one)
        if one.config.presentations or one.keep_params:
          self.leave(one, self.slots.states()[one.name])
        self.end(one, None)

  def leave(self, one: Journal, state: TrainState) -> None:
    """Writes what of a run's last state is asked for."""
    if one.config.presentations:
      one.write_presentations(state.presentations)
    if one.keep_params:
      trained.write(one.folder, one.config, one.task, state)

  def end(self, one: Journal, diverged: int | None) -> None:
    """Empties a run's slot and says that it has ended."""
    self.share()
    self.slots.remove(one)
    if self._alone and diverged is not None:
      raise Diverged(diverged, self.saved)
    self._finish(one, diverged)

  # What an interrupted call takes up again.
  def save_last(self, one: Journal) -> None:
    """Saves a run's end: with early stopping, its best weights."""
    stopping = one.config.early_stopping
    if stopping or self.saved != one.step:
      self.save(best=bool(stopping))

  def save(self, *, best: bool = False) -> None:
    states = self.slots.states()
    for one in self.slots.active:
      # A loss is that before its update: the last update is seen only here.
      params = jax.tree.leaves(states[one.name].params)
      if not all(np.isfinite(x).all() for x in params):
        del states[one.name]
        self.end(one, one.step)
    if not states:
      return
    if best:
      states = {
        name: state.replace(**state.best) for name, state in states.items()
      }
    self.share()
    kept = {
      one.name: {**one.keep(), "step": one.step} for one in self.slots.active
    }
    if self._alone:
      [(name, tree)], step = states.items(), self.slots.active[0].step
      extra = kept[name]
      del extra["step"]
    else:
      tree, step = states, self.dispatches
      extra = {"slots": len(self.slots.runs), "runs": kept}
    self.checkpoints.save(step, tree, extra)
    self.saved = step
    for one in self.slots.active:
      one.saved_epoch = one.epoch

"""The loop of one run: train, evaluate, keep, until it is over."""

import functools
import threading
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.runtime import processes
from rethinking.runtime.console import Console
from rethinking.runtime.errors import Diverged, Stopped, UserError
from rethinking.storage import checkpoint, jsonl
from rethinking.storage.events import Events
from rethinking.training import metrics, optim, placement, programs
from rethinking.training import step as step_lib
from rethinking.training import summary as results
from rethinking.training.dispatches import Dispatches
from rethinking.training.order import Order


class Loop:
  """One run between its start and its summary.

  Args:
    config: resolved.
    workdir: held by this job.
    task: what is learned.
    devices: those of all processes.
    began: when the run did, by the monotonic clock.

  Attributes:
    steps: those of a run that goes through all its epochs.
    rows: the evaluations so far.
  """

  def __init__(self, config, workdir, task, devices, began):
    self.config, self.workdir, self.task = config, workdir, task
    self.devices = devices
    count = len(task.train.ids)
    self.epoch_end = functools.partial(
      optim.epoch_end, num_examples=count, batch_size=config.batch_size
    )
    self.steps = self.epoch_end(config.epochs)
    self.programs = programs.create(config, count, task.num_classes)
    self.state = self.programs.init(
      key=step_lib.root(config.init_seed, "init"),
      shape=programs.shape(config, task.train.images),
    )
    if config.early_stopping:
      self.state = self.state.replace(best=_weights(self.state))
    self.train_data = placement.replicate(task.train, devices)
    self.test_data = placement.replicate(task.test, devices)
    self.validation_data = None
    if task.validation is not None:
      self.validation_data = placement.replicate(task.validation, devices)
    self.key = placement.lay_key(
      step_lib.root(config.noise_seed, "noise"), devices
    )
    self.dispatches = Dispatches(config, count)
    self.order = Order(
      config.order_seed, count, config.batch_size, self.dispatches.most
    )
    # Put on the devices once: an epoch's orders, by epoch, and sizes.
    self.streams: dict[int, step_lib.Stream] = {}
    self.sizes: dict[int, jax.Array] = {}
    self.checkpoints = checkpoint.Checkpointer(workdir / "checkpoints", keep=2)
    self.lines = jsonl.JsonLines(workdir / "metrics.jsonl")
    self.board = None
    self.rows: list[dict[str, Any]] = []
    self.saved: int | None = None
    self.saved_epoch = 0
    # Clocks that an interrupted run takes up again.
    self.began = began
    self.train_seconds = 0.0
    self.timed_steps = 0

  # Where were we?
  def restore(self, console: Console) -> None:
    found = self.checkpoints.restore(self.state)
    step = 0
    if found is not None:
      for warning in found.warnings:
        console.warn(warning)
      self.state, step = found.state, found.step
      self.saved = step
      self.began -= found.extra["wall_seconds"]
      self.train_seconds = found.extra["train_seconds"]
      self.timed_steps = found.extra["timed_steps"]
      console.say(f"Continuing from the checkpoint of step {step}.")
    for warning in self.lines.warnings:
      console.warn(warning)
    # An evaluation may come after the checkpoint of its step: the state must
    # not miss what it learns from one.
    seen = -1 if found is None else found.extra.get("evaluated", step)
    self.lines.truncate(lambda row: row["step"] <= seen)
    self.rows = processes.on_first(self.lines.rows)
    if found is not None:
      self.check_rows(found)
    if self.rows:
      self.saved_epoch = self.rows[-1]["epoch"]
    self.state = placement.replicate(self.state, self.devices)
    if self.config.tensorboard and processes.is_first():
      self.board = Events(self.workdir / "tensorboard", seen)

  def check_rows(self, found: checkpoint.Restored) -> None:
    """Refuses evaluations other than those the checkpoint was saved with."""
    count, digest = found.extra["rows"], found.extra["rows_sha256"]
    if len(self.rows) < count:
      trouble = "has lost evaluations"
    elif processes.on_first(lambda: self.lines.sha256(count)) != digest:
      trouble = "is damaged: it holds other evaluations"
    else:
      return
    raise UserError(
      f"{self.lines.path} {trouble} before the checkpoint of step "
      f"{found.step}; restore it, or give another workdir."
    )

  def train(self, console: Console, stop: threading.Event) -> None:
    c = self.config
    step = int(jax.device_get(self.state.step))
    console.step(step)
    epoch = self.rows[-1]["epoch"] if self.rows else 0
    if not self.rows:
      self.evaluate(step, epoch, console)
    while self.rows[-1]["step"] < self.steps and not self.is_over():
      # Train to the next evaluation.
      epoch = min(
        epoch // c.eval_epochs * c.eval_epochs + c.eval_epochs, c.epochs
      )
      step = self.train_to(self.epoch_end(epoch), step, console, stop)
      # See what was learned.
      self.evaluate(step, epoch, console)
      # Keep it.
      every = c.checkpoint_epochs
      if epoch // every > self.saved_epoch // every:
        self.save(step)
        self.saved_epoch = epoch
    if c.early_stopping:
      self.set_state(**_copy(self.state.best))
    if c.early_stopping or self.saved != step:
      self.save(step)

  def is_over(self) -> bool:
    c, last, best = self.config, self.rows[-1], self.best()
    if best is not None and last["epoch"] - best["epoch"] >= c.early_stopping:
      return True
    return c.stop_at_fit and last["train_accuracy"] >= c.fit_accuracy

  def best(self) -> dict[str, Any] | None:
    """The evaluation whose weights are kept; None where none is chosen."""
    return metrics.best(self.rows) if self.config.early_stopping else None

  def learn(self, row: dict[str, Any]) -> None:
    """Lets an evaluation steer the learning rate and choose the weights."""
    if self.config.schedule == "plateau" and row["epoch"]:
      self.set_state(
        opt_state=optim.observe(
          self.config, self.state.opt_state, row["validation_loss"]
        )
      )
    if row is self.best():
      self.set_state(best=_weights(self.state))

  def set_state(self, **parts: Any) -> None:
    self.state = placement.replicate(self.state.replace(**parts), self.devices)

  def train_to(self, end, step, console, stop) -> int:
    """Dispatches chunks up to step `end`, reading each one's loss late."""
    pending = None
    clock = _Clock()
    while step < end:
      size = min(self.dispatches.end(step), end) - step
      # What goes between host and device is put or read by name, or it raises.
      # On a CPU, JAX before 0.12 does not see what the host reads.
      with jax.transfer_guard("disallow"):
        seen = self.dispatch(step, size)
        step += size
        # The host reads the chunk before while an accelerator is at this one.
        self.check(pending, clock)
        pending = (step, size, seen)
        if self.dispatches.most not in self.programs.compiled:
          # Compiled on the way: the next one is to start outside its time.
          self.check(pending, clock)
          pending = None
      console.step(step, images_per_second=self.images_per_second())
      if stop.is_set():
        self.check(pending, clock)
        self.save(step)
        raise Stopped(f"at step {step}", self.workdir)
    self.check(pending, clock)
    return step

  def dispatch(self, step: int, size: int) -> dict[str, jax.Array]:
    """Takes `size` steps from `step` on; returns what was seen, unread."""
    epoch = self.order.epoch(step)
    if epoch not in self.streams:
      self.streams = {epoch: self.stream(epoch)}
    if size not in self.sizes:
      self.sizes[size] = self.size(size)
    # All is on the devices already.
    with jax.transfer_guard("disallow_explicit"):
      self.state, seen = self.programs.train(
        self.dispatches.most,
        self.state,
        self.train_data,
        self.streams[epoch],
        self.sizes[size],
        self.key,
      )
    return seen

  def stream(self, epoch: int) -> step_lib.Stream:
    return placement.lay_stream(
      self.order.draw(epoch), self.config.batch_size, self.devices
    )

  def size(self, size: int) -> jax.Array:
    return placement.replicate(np.int32(size), self.devices)

  def check(self, pending, clock) -> None:
    """Waits for a chunk, counts its time and refuses a loss not finite."""
    if pending is None:
      return
    step, size, seen = pending
    finite = np.isfinite(jax.device_get(seen["loss"])[:size])
    if not finite.all():
      raise Diverged(step - size + int(np.argmin(finite)) + 1, self.saved)
    seconds = clock.lap()
    if self.dispatches.most in self.programs.compiled:
      self.train_seconds += seconds
      self.timed_steps += size
    self.programs.compiled.add(self.dispatches.most)

  def images_per_second(self) -> float | None:
    if not self.train_seconds:
      return None
    return self.timed_steps * self.config.batch_size / self.train_seconds

  def evaluate(self, step: int, epoch: int, console: Console) -> None:
    began = time.monotonic()
    size = self.config.eval_batch_size
    train = self.programs.evaluate(self.state, self.train_data, size)
    test = self.programs.evaluate(self.state, self.test_data, size)
    held_out = None
    if self.validation_data is not None:
      held_out = self.programs.evaluate(self.state, self.validation_data, size)
    row = results.row(step, epoch, self.task, train, test, held_out)
    # What all do next depends on it, so the last bit must be the same in all.
    row = processes.on_first(functools.partial(dict, row))
    losses = (row["train_loss"], row.get("validation_loss", 0.0))
    if not np.isfinite(losses).all():
      raise Diverged(step, self.saved)
    row["train_images_per_second"] = self.images_per_second()
    row["eval_seconds"] = time.monotonic() - began
    if self.config.per_example:
      results.write_examples(self.workdir, step, self.task, train, test)
    self.lines.append(row)
    self.rows.append(row)
    self.learn(row)
    if self.board is not None:
      self.board.append(
        step, {k: v for k, v in row.items() if v is not None and k != "step"}
      )
    console.evaluation(row)

  def save(self, step: int) -> None:
    # A loss is that before its update: the last update is seen only here.
    params = jax.device_get(self.state.params)
    if not all(np.isfinite(x).all() for x in jax.tree.leaves(params)):
      raise Diverged(step, self.saved)
    self.checkpoints.save(
      step,
      self.state,
      {
        "wall_seconds": time.monotonic() - self.began,
        "train_seconds": self.train_seconds,
        "timed_steps": self.timed_steps,
        "evaluated": self.rows[-1]["step"],
        "rows": len(self.rows),
        "rows_sha256": self.lines.sha256(len(self.rows)),
      },
    )
    self.saved = step

  def summary(self) -> dict[str, Any]:
    return results.summarise(
      self.config,
      self.task,
      self.rows,
      self.devices,
      num_parameters=sum(x.size for x in jax.tree.leaves(self.state.params)),
      wall_seconds=time.monotonic() - self.began,
      images_per_second=self.images_per_second(),
    )


def _copy(tree: Any) -> Any:
  """Buffers of their own: a step is given those of the state for good."""
  return jax.tree.map(jnp.copy, tree)


def _weights(state: step_lib.TrainState) -> dict[str, Any]:
  """What the best evaluation's weights are kept as."""
  return _copy({"params": state.params, "batch_stats": state.batch_stats})


class _Clock:
  """Seconds between calls."""

  def __init__(self):
    self._last = time.monotonic()

  def lap(self) -> float:
    now = time.monotonic()
    seconds, self._last = now - self._last, now
    return seconds

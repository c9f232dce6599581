"""One run: from a config to a workdir with everything that was seen."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import pathlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rethinking import (
  __version__,
  augment,
  checkpoint,
  files,
  metrics,
  models,
  optim,
  parallel,
  plots,
  problem,
  processes,
  runtime,
  writers,
)
from rethinking import config as config_lib
from rethinking import step as step_lib
from rethinking.console import Console
from rethinking.errors import UserError


class Diverged(RuntimeError):
  """The loss is no longer finite.

  Attributes:
    step: the first step whose loss was not.
  """

  def __init__(self, step: int, last_good: int | None):
    kept = (
      "no checkpoint was saved before"
      if last_good is None
      else f"the last good checkpoint is that of step {last_good}"
    )
    super().__init__(
      f"The loss at step {step} is not finite; {kept}. Try a smaller "
      "learning_rate."
    )
    self.step = step


class Stopped(RuntimeError):
  """A signal ended the run after its state was saved.

  Args:
    what: what was saved, such as "at step 12".
    workdir: where.

  Attributes:
    what: the same.
  """

  def __init__(self, what: str, workdir: epath.Path):
    super().__init__(
      f"Stopped and saved {what}; the same command with "
      f"--workdir={workdir} continues there."
    )
    self.what = what


class Programs(NamedTuple):
  """The compiled functions of a run."""

  init: Callable[..., step_lib.TrainState]
  train: Callable[..., tuple[step_lib.TrainState, dict[str, jax.Array]]]
  evaluate: Callable[..., tuple[np.ndarray, np.ndarray]]
  # Chunk lengths called before: the first call compiles, so its time says
  # nothing about speed.
  compiled: set[int]


# The fields that the programs depend on: runs that differ in others, such as
# seeds or corruption, share them without compiling again.
_PROGRAM_FIELDS = (
  "arch",
  "dropout",
  "dtype",
  "crop",
  "augment",
  "normalization",
  "batch_size",
  "epochs",
  "optimizer",
  "learning_rate",
  "schedule",
  "decay",
  "weight_decay",
  "l2",
  "l2_kernels",
)


def program_key(config: ConfigDict) -> str:
  """Returns what a config's programs depend on, as text.

  Args:
    config: resolved.
  """
  return json.dumps({name: config[name] for name in _PROGRAM_FIELDS})


@functools.lru_cache(maxsize=16)
def steps(
  fields: str, num_examples: int, num_classes: int, axis_name: str | None
) -> tuple[Callable, Callable, Callable]:
  """Returns the pure functions `init`, `train_step`, `eval_step` of a config.

  Args:
    fields: from `program_key`.
    num_examples: examples an epoch.
    num_classes: K.
    axis_name: of the pmap over shards of the batch; None outside one.
  """
  config = ConfigDict(json.loads(fields))
  optimizer = optim.create(config, num_examples)
  module = models.create(
    config.arch,
    num_classes=num_classes,
    dropout=config.dropout,
    dtype=jnp.dtype(config.dtype),
    axis_name=axis_name,
  )
  init = jax.jit(
    functools.partial(step_lib.init_state, module, optimizer),
    static_argnames="shape",
  )
  train_step = step_lib.make_train_step(
    module,
    optimizer,
    crop=config.crop,
    # Without one no draw is made, and the program is the shorter.
    augment=None
    if config.augment == "none"
    else augment.create(config.augment),
    axis_name=axis_name,
  )
  return init, train_step, step_lib.make_eval_step(module, crop=config.crop)


def programs(
  config: ConfigDict, num_examples: int, num_classes: int
) -> Programs:
  """Returns the functions that a config's runs share.

  Args:
    config: resolved.
    num_examples: examples an epoch.
    num_classes: K.
  """
  return _programs(program_key(config), num_examples, num_classes)


@functools.lru_cache(maxsize=8)
def _programs(fields: str, num_examples: int, num_classes: int) -> Programs:
  devices = parallel.all_devices()
  init, train_step, eval_step = steps(
    fields, num_examples, num_classes, parallel.AXIS
  )
  return Programs(
    init=init,
    train=parallel.train_chunk(train_step, devices),
    evaluate=parallel.evaluate(eval_step, devices),
    compiled=set(),
  )


def shape(config: ConfigDict, images: np.ndarray) -> tuple[int, int, int]:
  """Returns [H, W, C] of what a config's model sees.

  Args:
    config: resolved.
    images: [N, H, W, C], cropped already or not.
  """
  _, height, width, channels = images.shape
  return (config.crop or height, config.crop or width, channels)


class Order:
  """The stream of examples: epochs in their own orders, one after another."""

  def __init__(self, seed: int, num_examples: int, batch_size: int):
    self._num_examples = num_examples
    self._batch_size = batch_size
    self._draw = functools.lru_cache(maxsize=2)(
      functools.partial(self._epoch, step_lib.root(seed, "order"))
    )

  def _epoch(self, key: jax.Array, epoch: int) -> np.ndarray:
    return np.asarray(_epoch_order(key, epoch, self._num_examples))

  def batches(self, start: int, steps: int) -> step_lib.Batch:
    """Returns `Batch` leaves [steps, B] for the steps from `start` on."""
    first = start * self._batch_size
    position = np.arange(first, first + steps * self._batch_size)
    epoch, place = np.divmod(position, self._num_examples)
    index = np.concatenate(
      [self._draw(e)[place[epoch == e]] for e in range(epoch[0], epoch[-1] + 1)]
    )
    shape = (steps, self._batch_size)
    return step_lib.Batch(
      index.reshape(shape), epoch.astype(np.int32).reshape(shape)
    )


_epoch_order = jax.jit(step_lib.epoch_order, static_argnames="num_examples")


def run(
  config: ConfigDict, workdir: str | pathlib.Path, *, quiet: bool = False
) -> dict[str, Any]:
  """Trains one model and leaves everything that was seen in `workdir`.

  Continues where an earlier call with the same config and workdir ended, to
  the same bits as if it had never been interrupted.

  Args:
    config: from a config file or `rethinking.config.default`.
    workdir: a folder, made if it is not there; local or gs://.
    quiet: print nothing.

  Returns:
    What `summary.json` holds.

  Raises:
    UserError: for a config or a workdir that cannot be used; nothing was
      written.
    Diverged: when the loss is not finite.
    Stopped: after SIGTERM or Ctrl-C; the state is saved.
  """
  began = time.monotonic()
  config = config_lib.resolve(config)
  runtime.configure(
    compilation_cache=config.compilation_cache,
    deterministic=config.deterministic,
  )
  quiet = quiet or not processes.is_first()
  devices = parallel.all_devices()
  parallel.check_batch("batch_size", config.batch_size, len(devices))
  workdir = files.workdir(workdir)
  finished = open_workdir(workdir, config)
  if finished is not None:
    if not quiet:
      print(f"Finished already: {workdir / 'summary.json'} has the results.")
    return finished
  with processes.together():
    task = problem.load(config)
  with writers.Lock(workdir):
    # Again, now that nobody else can be writing.
    open_workdir(workdir, config)
    writers.write_json(workdir / "config.json", config_lib.plain(config))
    writers.write_json(workdir / "corruption.json", task.report)
    loop = _Loop(config, workdir, task, devices, began)
    title = f"{config.dataset} {config.variant} {config.arch}"
    with Console(loop.steps, title, quiet=quiet) as console, signals() as stop:
      loop.restore(console)
      loop.train(console, stop)
    summary = loop.summary()
    if config.plots and processes.is_first():
      plots.curves(loop.rows, workdir / "curves.png", title)
    # Last: its presence says that the run is finished.
    writers.write_json(workdir / "summary.json", summary)
    _tell(console, summary, task, workdir)
  return summary


def open_workdir(
  workdir: epath.Path, config: ConfigDict
) -> dict[str, Any] | None:
  """Checks that what is in a workdir belongs to this config.

  Args:
    workdir: the folder; it need not be there.
    config: resolved.

  Returns:
    The summary of a finished run with the same config, else None.

  Raises:
    UserError: if it holds a run of another config.
  """
  return processes.first(functools.partial(_open_workdir, workdir, config))


def _open_workdir(
  workdir: epath.Path, config: ConfigDict
) -> dict[str, Any] | None:
  kept = workdir / "config.json"
  if kept.exists():
    different = config_lib.differences(
      read_json(kept), config_lib.plain(config)
    )
    if different:
      raise UserError(
        f"{workdir} holds a run of another config ({'; '.join(different)}); "
        "give another workdir, or the config of that run."
      )
  done = workdir / "summary.json"
  return read_json(done) if done.exists() else None


def read_json(path: epath.Path) -> dict[str, Any]:
  """Reads a JSON object of a workdir.

  Args:
    path: the file.

  Raises:
    UserError: if it is not one.
  """
  try:
    return files.read_json(path)
  except ValueError as error:
    raise UserError(
      f"{path} is damaged ({error}); give another workdir, or delete this one."
    ) from error


class _Loop:
  """The state of one run between its start and its summary."""

  def __init__(self, config, workdir, task, devices, began):
    self.config, self.workdir, self.task = config, workdir, task
    self.devices = devices
    count = len(task.train.ids)
    self.epoch_end = functools.partial(
      optim.epoch_end, num_examples=count, batch_size=config.batch_size
    )
    self.steps = self.epoch_end(config.epochs)
    self.programs = programs(config, count, task.num_classes)
    self.state = self.programs.init(
      key=step_lib.root(config.init_seed, "init"),
      shape=shape(config, task.train.images),
    )
    if config.early_stopping:
      self.state = self.state.replace(best=_weights(self.state))
    self.train_data = parallel.replicate(task.train, devices)
    self.test_data = parallel.replicate(task.test, devices)
    self.validation_data = None
    if task.validation is not None:
      self.validation_data = parallel.replicate(task.validation, devices)
    self.key = parallel.replicate(
      step_lib.root(config.noise_seed, "noise"), devices
    )
    self.order = Order(config.order_seed, count, config.batch_size)
    self.chunk = config.chunk_steps or runtime.chunk_steps()
    self.checkpoints = checkpoint.Checkpointer(workdir / "checkpoints", keep=2)
    self.lines = writers.JsonLines(workdir / "metrics.jsonl")
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
    self.rows = processes.first(self.lines.rows)
    if found is not None:
      self.check_rows(found)
    if self.rows:
      self.saved_epoch = self.rows[-1]["epoch"]
    self.state = parallel.replicate(self.state, self.devices)
    if self.config.tensorboard and processes.is_first():
      self.board = writers.Events(self.workdir / "tensorboard", seen)

  def check_rows(self, found: checkpoint.Restored) -> None:
    """Refuses evaluations other than those the checkpoint was saved with."""
    count, digest = found.extra["rows"], found.extra["rows_sha256"]
    if len(self.rows) < count:
      trouble = "has lost evaluations"
    elif processes.first(lambda: self.lines.sha256(count)) != digest:
      trouble = "is damaged: it holds other evaluations"
    else:
      return
    raise UserError(
      f"{self.lines.path} {trouble} before the checkpoint of step "
      f"{found.step}; restore it, or give another workdir."
    )

  def train(self, console: Console, stop: threading.Event) -> None:
    c = self.config
    step = int(self.state.step)
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
    self.state = parallel.replicate(self.state.replace(**parts), self.devices)

  def train_to(self, end, step, console, stop) -> int:
    """Dispatches chunks up to step `end`, reading each one's loss late."""
    pending = None
    clock = _Clock()
    while step < end:
      # Chunks start at absolute multiples, so that a resumed run dispatches
      # the same programs as an undisturbed one.
      size = min(self.chunk - step % self.chunk, end - step)
      batches = self.order.batches(step, self.chunk)
      self.state, seen = self.programs.train(
        self.state,
        self.train_data,
        jax.tree.map(lambda x: parallel.own_shards(x, self.devices), batches),
        np.int32(size),
        self.key,
      )
      step += size
      # The host reads the chunk before while the device works on this one.
      self.check(pending, clock)
      pending = (step, size, seen)
      console.step(step, images_per_second=self.images_per_second())
      if stop.is_set():
        self.check(pending, clock)
        self.save(step)
        raise Stopped(f"at step {step}", self.workdir)
    self.check(pending, clock)
    return step

  def check(self, pending, clock) -> None:
    """Waits for a chunk, counts its time and refuses a loss not finite."""
    if pending is None:
      return
    step, size, seen = pending
    finite = np.isfinite(np.asarray(seen["loss"])[:size])
    if not finite.all():
      raise Diverged(step - size + int(np.argmin(finite)) + 1, self.saved)
    seconds = clock.lap()
    if self.chunk in self.programs.compiled:
      self.train_seconds += seconds
      self.timed_steps += size
    self.programs.compiled.add(self.chunk)

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
    row = evaluation(step, epoch, self.task, train, test, held_out)
    # What all do next depends on it, so the last bit must be the same in all.
    row = processes.first(functools.partial(dict, row))
    losses = (row["train_loss"], row.get("validation_loss", 0.0))
    if not np.isfinite(losses).all():
      raise Diverged(step, self.saved)
    row["train_images_per_second"] = self.images_per_second()
    row["eval_seconds"] = time.monotonic() - began
    if self.config.per_example:
      self.write_examples(step, train, test)
    self.lines.append(row)
    self.rows.append(row)
    self.learn(row)
    if self.board is not None:
      self.board.append(
        step, {k: v for k, v in row.items() if v is not None and k != "step"}
      )
    console.evaluation(row)

  def write_examples(self, step, train, test) -> None:
    """Each example's id, loss and prediction, one file an evaluation."""
    arrays = {}
    for name, data, (loss, prediction) in (
      ("train", self.task.train, train),
      ("test", self.task.test, test),
    ):
      arrays[f"{name}_id"] = data.ids
      arrays[f"{name}_label"] = data.labels
      arrays[f"{name}_loss"] = loss
      arrays[f"{name}_prediction"] = prediction
      arrays[f"{name}_correct"] = prediction == data.labels
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    folder = self.workdir / "per_example"
    folder.mkdir(exist_ok=True)
    files.replace(folder / f"step_{step:08d}.npz", buffer.getvalue())

  def save(self, step: int) -> None:
    # A loss is that before its update: the last update is seen only here.
    if not all(
      np.isfinite(x).all() for x in jax.tree.leaves(self.state.params)
    ):
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
    return summarise(
      self.config,
      self.task,
      self.rows,
      self.devices,
      num_parameters=sum(x.size for x in jax.tree.leaves(self.state.params)),
      wall_seconds=time.monotonic() - self.began,
      images_per_second=self.images_per_second(),
    )


def evaluation(
  step: int,
  epoch: int,
  task: problem.Problem,
  train: tuple[np.ndarray, np.ndarray],
  test: tuple[np.ndarray, np.ndarray],
  validation: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Any]:
  """Returns a row of metrics.jsonl.

  Args:
    step: steps taken.
    epoch: epochs completed.
    task: what is learned.
    train: loss and prediction of each train example, [N] each.
    test: the same of the test set.
    validation: the same of the validation set, where there is one.
  """
  return {
    "step": step,
    "epoch": epoch,
    **metrics.train_metrics(
      *train, np.asarray(task.train.labels), task.true_labels
    ),
    **metrics.test_metrics(*test, np.asarray(task.test.labels)),
    **(
      {}
      if validation is None
      else metrics.validation_metrics(
        *validation, np.asarray(task.validation.labels)
      )
    ),
  }


def summarise(
  config: ConfigDict,
  task: problem.Problem,
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
  last = {k: v for k, v in chosen.items() if "second" not in k}
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
    **runtime.describe(devices),
    "rethinking": __version__,
    "git_commit": _git_commit(),
    "data_fingerprint": {
      part: task.report[f"{part}_sha256"] for part in ("labels", "images")
    },
    "data_source": task.source,
  }


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


@contextlib.contextmanager
def signals() -> Iterator[threading.Event]:
  """An event that SIGTERM or Ctrl-C sets, instead of ending the process."""
  if processes.started():
    with processes.preemption() as stop:
      yield stop
    return
  stop = threading.Event()
  if threading.current_thread() is not threading.main_thread():
    yield stop
    return

  def ask(number, frame):
    del frame
    if stop.is_set() and number == signal.SIGINT:
      raise KeyboardInterrupt
    stop.set()

  old = {s: signal.signal(s, ask) for s in (signal.SIGTERM, signal.SIGINT)}
  try:
    yield stop
  finally:
    for number, handler in old.items():
      signal.signal(number, handler)


@functools.cache
def _git_commit() -> str | None:
  """The commit of this checkout; None where it is not one."""
  folder = pathlib.Path(__file__).parent
  try:
    found = subprocess.run(
      ["git", "-C", str(folder), "rev-parse", "--show-prefix", "HEAD"],
      capture_output=True,
      text=True,
      check=True,
    )
  except (OSError, subprocess.CalledProcessError):
    return None
  prefix, commit = found.stdout.split("\n")[:2]
  # In an environment inside another repository, that one's commit is not ours.
  return commit if prefix == f"{folder.name}/" else None


def _tell(console, summary, task, workdir) -> None:
  """The end of a run: a small table, and what was seen in words."""

  def percent(x):
    return "-" if x is None else f"{100 * x:.2f} %"

  console.table(
    [
      ("examples", "accuracy", "loss"),
      *(
        (name, percent(summary[a]), f"{summary[b]:.4f}")
        for name, a, b in (
          ("train, given labels", "train_accuracy", "train_loss"),
          (
            "  label unchanged",
            "train_accuracy_unchanged",
            "train_loss_unchanged",
          ),
          ("  label changed", "train_accuracy_changed", "train_loss_changed"),
          ("validation", "validation_accuracy", "validation_loss"),
          ("test, true labels", "test_accuracy", "test_loss"),
        )
        if summary.get(a) is not None
      ),
    ]
  )
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
  console.say(
    f"{sentence}. On clean test labels it is right "
    f"{percent(summary['test_accuracy'])} of the time; chance is "
    f"{percent(1 / task.num_classes)}."
  )
  console.say(
    f"{summary['steps']} steps in {summary['wall_seconds']:.1f} s. Everything "
    f"is in {workdir}."
  )

"""The main command, watched: its writes, its steps, a signal at one of them."""

import json
import logging
import os
import re
import signal
import sys
import time

import jax
import numpy as np
from jax._src import cache_key

from rethinking import main
from rethinking.runtime import backend, cli
from rethinking.training import loop
from rethinking.training import state as state_lib
from rethinking.training import task as task_lib


def watch(root: str, log: str) -> None:
  """Notes each path below `root` that Python changes."""

  def hook(event, arguments):
    if event == "open":
      path, mode, flags = arguments
      changes = (
        any(c in mode for c in "wax+")
        if isinstance(mode, str)
        else flags & (os.O_WRONLY | os.O_RDWR)
      )
    else:
      path = arguments[0] if arguments else None
      changes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir")
    # A folder that is there already is not made.
    changes = changes and not (event == "os.mkdir" and os.path.isdir(path))
    if changes and isinstance(path, str | os.PathLike):
      path = os.fspath(path)
      if path.startswith(root):
        with open(log, "a") as file:
          file.write(f"{event} {path}\n")

  sys.addaudithook(hook)


def hit(number: int, cell: str, at: int) -> None:
  """Sends this process a signal after the evaluation of step `at`."""
  whole = loop.Loop.evaluate

  def evaluate(self, whom):
    whole(self, whom)
    if whom and whom[0].step == at and cell in str(self.workdir):
      with open(os.environ["HIT_LOG"], "w") as file:
        file.write(str(time.time()))
      os.kill(os.getpid(), number)
      # All wait for this process meanwhile, so JAX can tell them.
      time.sleep(3)

  loop.Loop.evaluate = evaluate


def noting(check, log):
  """`Loop.check` that notes each step: its run, its loss, its examples."""

  def noted(self, pending):
    if pending is not None:
      [one], [step], [size], losses, _ = pending
      assert size == 1
      row = {
        "cell": self.workdir.name,
        "step": step,
        "loss": float(jax.device_get(losses)[0, 0]),
        "examples": _examples(one, step - 1),
      }
    check(self, pending)
    if pending is not None:
      with open(log, "a") as file:
        file.write(f"{json.dumps(row)}\n")

  return noted


def _examples(one, step):
  """The rows of a step's batch, by NumPy."""
  size, rows = one.config.batch_size, one.task.train.rows
  key = state_lib.root(one.config.order_seed, "order")
  epoch, place = np.divmod(step * size + np.arange(size), len(rows))
  orders = {
    e: np.asarray(state_lib.epoch_order(key, int(e), len(rows)))
    for e in np.unique(epoch)
  }
  return [int(rows[orders[e][p]]) for e, p in zip(epoch, place, strict=True)]


def note_programs(log: str) -> None:
  """Notes each program that JAX's cache has, and each that it has not."""
  whole = backend.configure

  def configure(**settings):
    whole(**settings)
    # However soon a program is compiled, it is kept.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)

  backend.configure = configure

  # JAX takes the CPUs of two processes for two kinds of machine, but TPUs and
  # GPUs of a job for one.
  cache_key._hash_accelerator_config = lambda *_: None

  class Noted(logging.Handler):
    def emit(self, record):
      text = record.getMessage().lower()
      if found := re.match(r"persistent.* (hit|miss) for .* key '(.+)'", text):
        with open(log, "a") as file:
          file.write(f"{found[1]} {found[2]}\n")

  logger = logging.getLogger("jax._src.compiler")
  logger.setLevel(logging.DEBUG)
  logger.addHandler(Noted())
  logger.propagate = False


def come_late(seconds: int) -> None:
  """Lets the others wait while this process reads its data."""
  whole = task_lib.load

  def load(config):
    time.sleep(seconds)
    return whole(config)

  task_lib.load = load


if __name__ == "__main__":
  watch(os.environ["WATCHED"], os.environ["WATCH_LOG"])
  note_programs(os.environ["PROGRAMS_LOG"])
  loop.Loop.check = noting(loop.Loop.check, os.environ["STEPS_LOG"])
  if "LATE" in os.environ:
    come_late(int(os.environ["LATE"]))
  if "HIT" in os.environ:
    name, cell_name, step_name = os.environ["HIT"].split(":")
    hit(signal.Signals[name], cell_name, int(step_name))
  cli.run(main.main)

"""What surrounds the step: start, data, checkpoints, predictions, memory."""

import functools
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax

from rethinking import config as config_lib
from rethinking import data
from rethinking.benchmark import epochs, jax_steps, runs, subprocesses, timing
from rethinking.runtime.memory import peak_bytes
from rethinking.storage import checkpoint
from rethinking.training import placement, programs, trained
from rethinking.training import run as train
from rethinking.training import state as state_lib
from rethinking.training import task as task_lib
from rethinking.training.examples import Run
from rethinking.training.slots import Slots


def start(rounds: int) -> dict[str, Any]:
  """Seconds from a fresh process to the first dispatch's end, on digits.

  That is the first step on a CPU and the first epoch elsewhere.

  Args:
    rounds: starts with a warm cache, after one with an empty one.

  Returns:
    `cold_seconds` and `warm_seconds`, and `corruptions_import_seconds`.
  """
  command = [sys.executable, "-m", "rethinking.benchmark.first_dispatch"]
  with tempfile.TemporaryDirectory() as cache:
    environment = {**os.environ, "XDG_CACHE_HOME": cache}

    def once() -> float:
      with tempfile.TemporaryDirectory() as workdir:
        began = time.time()
        printed = subprocess.check_output([*command, workdir], env=environment)
      return float(printed.split()[0]) - began

    cold = once()
    warm = [once() for _ in range(rounds)]
  import_it = [sys.executable, "-c", "import rethinking.corruptions"]
  work = functools.partial(subprocess.check_call, import_it)
  taken = timing.calls({"import": work}, rounds)
  return {
    "cold_seconds": timing.summary([cold]),
    "warm_seconds": timing.summary(warm),
    "corruptions_import_seconds": taken["import"],
  }


def load(rounds: int) -> dict[str, Any]:
  """Seconds to load a train set, decoded anew and from the cache.

  Args:
    rounds: measurements of each.
  """
  name = runs.dataset()
  functions = {
    "decoded_seconds": lambda: data.load(name, "train", cache=False),
    "cached_seconds": lambda: data.load(name, "train"),
  }
  taken = timing.calls(functions, rounds)
  return {"dataset": name, **taken}


def checkpoints(rounds: int) -> dict[str, Any]:
  """Seconds to save and to restore a run's state, small Inception with Adam.

  Args:
    rounds: measurements of each.
  """
  config = config_lib.default()
  config.crop = 0
  config = config_lib.resolve(config)
  init, _, _ = programs.steps(
    programs.key(config), jax_steps.EXAMPLES, 10, (28, 28, 3), None
  )
  state = init(key=state_lib.root(0, "init"))
  with tempfile.TemporaryDirectory() as folder:
    keeper = checkpoint.Checkpointer(folder)
    steps = iter(range(1, 10_000))
    functions = {
      "save_seconds": lambda: keeper.save(next(steps), state, {}),
      "restore_seconds": lambda: keeper.restore(state),
    }
    taken = timing.calls(functions, rounds)
  size = sum(x.nbytes for x in jax.tree.leaves(state))
  return {"bytes": size, **taken}


def predict(rounds: int) -> dict[str, Any]:
  """Seconds of a run's evaluation of the test set, and of `load`'s `predict`.

  Args:
    rounds: measurements of each.
  """
  config = runs.run_config(epochs.ARCH, 1)
  task = task_lib.load(config)
  slots = Slots(config, task, placement.all_devices())
  key = state_lib.root(0, "noise")
  slots.lay_out([Run("run", task, key, key, 0)], 1)
  with tempfile.TemporaryDirectory() as workdir:
    train.run(config, workdir, quiet=True)
    model = trained.load(workdir)
  images = data.load(config.dataset, "test").images
  functions = {
    "evaluation_seconds": lambda: slots.evaluate("test"),
    "predict_seconds": lambda: model.predict(images),
  }
  taken = timing.calls(functions, rounds, 0.3)
  return {"dataset": config.dataset, "arch": epochs.ARCH, **taken}


def memory() -> dict[str, Any]:
  """Peak resident bytes of a process that trains MLP 1x512 for two epochs."""
  return {"dataset": runs.dataset(), **subprocesses.call(_train)}


def _train() -> dict[str, Any]:
  with tempfile.TemporaryDirectory() as workdir:
    found = train.run(runs.run_config("mlp_1x512", 2), workdir, quiet=True)
  return {
    "peak_resident_bytes": peak_bytes(),
    "images_per_second": found["images_per_second"],
  }

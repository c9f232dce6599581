"""What surrounds the step: start, data, corruption, epochs, checkpoints."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax

from rethinking import checkpoint, data, programs
from rethinking import config as config_lib
from rethinking import step as step_lib
from rethinking.benchmark import jax_steps, timing

_FIRST_STEP = """
import pathlib, sys, time
import jax
from rethinking import config, parallel, train
c = config.default()
c.dataset, c.arch, c.crop, c.epochs = "digits", "digits_cnn", 0, 1
c.plots = c.tensorboard = False
seen = []
chunk = parallel.train_chunk
def watched(*arguments):
  compiled = chunk(*arguments)
  def run(*inputs):
    result = jax.block_until_ready(compiled(*inputs))
    seen.append(time.time())
    return result
  return run
parallel.train_chunk = watched
train.run(config.resolve(c), sys.argv[1], quiet=True)
print("FIRST", seen[0])
"""


def start(rounds: int) -> dict[str, Any]:
  """Seconds from a fresh process to the first dispatch's end, on digits.

  That is the first step on a CPU and the first epoch elsewhere.

  Args:
    rounds: starts with a warm cache, after one with an empty one.

  Returns:
    `cold_seconds` and `warm_seconds`, and `corruptions_import_seconds`.
  """
  with tempfile.TemporaryDirectory() as cache:
    environment = {**os.environ, "XDG_CACHE_HOME": cache}

    def once() -> float:
      with tempfile.TemporaryDirectory() as workdir:
        began = time.time()
        printed = subprocess.run(
          [sys.executable, "-c", _FIRST_STEP, workdir],
          env=environment,
          capture_output=True,
          text=True,
          check=True,
        ).stdout
      found = re.search(r"FIRST ([\d.]+)", printed)
      return float(found.group(1)) - began

    cold = once()
    warm = [once() for _ in range(rounds)]

  def import_corruptions(count: int) -> None:
    for _ in range(count):
      command = [sys.executable, "-c", "import rethinking.corruptions"]
      subprocess.run(command, check=True)

  taken = timing.interleaved({"import": import_corruptions}, rounds, 0)
  return {
    "cold_seconds": timing.summary([cold]),
    "warm_seconds": timing.summary(warm),
    "corruptions_import_seconds": taken["import"],
  }


def _repeat(function: Callable[[], Any]) -> Callable[[int], None]:
  def work(count):
    for _ in range(count):
      function()

  return work


def dataset() -> str:
  """CIFAR-10 where it is prepared, else the bundled digits."""
  folder = os.environ.get("TFDS_DATA_DIR")
  ready = folder and (pathlib.Path(folder) / "cifar10").is_dir()
  return "cifar10" if ready else "digits"


def load(rounds: int) -> dict[str, Any]:
  """Seconds to load a train set, decoded anew and from the cache.

  Args:
    rounds: measurements of each.
  """
  name = dataset()
  taken = timing.interleaved(
    {
      "decoded_seconds": _repeat(lambda: data.load(name, "train", cache=False)),
      "cached_seconds": _repeat(lambda: data.load(name, "train")),
    },
    rounds,
    0,
  )
  return {"dataset": name, **taken}


def checkpoints(rounds: int) -> dict[str, Any]:
  """Seconds to save and to restore a run's state, small Inception with Adam.

  Args:
    rounds: measurements of each.
  """
  config = config_lib.default()
  config.crop = 0
  config = config_lib.resolve(config)
  init = programs.create(config, jax_steps.EXAMPLES, 10).init
  state = init(key=step_lib.root(0, "init"), shape=(28, 28, 3))
  with tempfile.TemporaryDirectory() as folder:
    keeper = checkpoint.Checkpointer(folder, keep=2)
    steps = iter(range(1, 10_000))
    taken = timing.interleaved(
      {
        "save_seconds": _repeat(lambda: keeper.save(next(steps), state, {})),
        "restore_seconds": _repeat(lambda: keeper.restore(state)),
      },
      rounds,
      0,
    )
  size = sum(x.nbytes for x in jax.tree.leaves(state))
  return {"bytes": size, **taken}


def run_config(arch: str, epochs: int):
  """A true-labels run on `dataset()` that keeps nothing but its metrics.

  Args:
    arch: a name of models.ARCHITECTURES.
    epochs: passes over the train set.
  """
  config = config_lib.default()
  config.dataset, config.arch, config.epochs = dataset(), arch, epochs
  config.crop = 0 if config.dataset == "digits" else 28
  config.plots = config.tensorboard = False
  config.checkpoint_epochs = epochs
  return config


_MEMORY = """
import json
from rethinking import train
from rethinking.benchmark import parts
from rethinking.theory import memory
with __import__("tempfile").TemporaryDirectory() as workdir:
  found = train.run(parts.run_config("mlp_1x512", 2), workdir, quiet=True)
print(json.dumps({"peak_resident_bytes": memory.peak_bytes(),
                  "images_per_second": found["images_per_second"]}))
"""


def memory() -> dict[str, Any]:
  """Peak resident bytes of a process that trains MLP 1x512 for two epochs."""
  printed = subprocess.run(
    [sys.executable, "-c", _MEMORY], capture_output=True, text=True, check=True
  ).stdout
  return {"dataset": dataset(), **json.loads(printed.splitlines()[-1])}

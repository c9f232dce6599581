"""Jobs of two processes: how they are started, and what they leave behind."""

import collections
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

import jax

from rethinking import models
from rethinking.storage import checkpoint
from rethinking.sweeps import grid as cells_lib
from rethinking.training import optim, step

_HERE = pathlib.Path(__file__).parent
ROOT = _HERE.parent.parent
_CONFIG = """
from ml_collections import ConfigDict
from rethinking import config

def get_config():
  c = config.default()
  c.update(
    experiment="sweep", variant="figure1", dataset="digits", arch="mlp_1x512",
    subset=192, batch_size=48, epochs=6, optimizer="sgd", schedule="constant",
    learning_rate=0.05, dropout=0.2, chunk_steps=1, plots=False,
    tensorboard=False,
  )
  c.grids = ConfigDict({"g": {
    "variant": ("partial_labels",), "p": (0.4,),
    "checkpoint_epochs": (1, 2, 3, 4),
  }})
  return c
"""
# `seconds`: from what happened to one of them to the end of both; None where
# nothing did.
Ended = collections.namedtuple("Ended", "codes out err written seconds")


def by_hand():
  """Flags and variables of each process."""
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{s.getsockname()[1]}"
  return [
    ([f"--coordinator={address}", "--process_count=2", f"--process_id={i}"], {})
    for i in range(2)
  ]


def by_slurm():
  """As a Slurm job would: JAX makes the port of the job's number."""
  for job in range(4096):
    with socket.socket() as s:
      if s.connect_ex(("127.0.0.1", 61440 + job)):
        break
  variables = {
    "SLURM_JOB_ID": str(job),
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_NTASKS": "2",
  }
  return [
    ([], variables | {"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)})
    for i in range(2)
  ]


class Job:
  """A config, its workdir, and pairs of processes that work on it."""

  def __init__(self, folder):
    self.folder = folder
    self.workdir = folder / "shared"
    self.config = folder / "grid.py"
    self.config.write_text(_CONFIG)

  def run(self, name, places, hit=None, flags=(), late=None):
    """Runs both to their end.

    Args:
      name: of the logs.
      places: from `by_hand` or `by_slurm`.
      hit: number of a process and what happens to it, as worker.py reads it.
      flags: more of them, for both.
      late: seconds by which the second comes after the first.
    """
    started, logs = [], []
    hit_log = self.folder / "hit"
    # An earlier pair's.
    hit_log.unlink(missing_ok=True)
    for index, (place, variables) in enumerate(places):
      logs.append(self.folder / f"{name}{index}.writes")
      logs[-1].touch()
      environment = os.environ | variables
      environment |= {
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        # Of its own, as on a host of its own.
        "XDG_CACHE_HOME": str(self.folder / f"cache{index}"),
        "PROGRAMS_LOG": str(self.folder / f"{name}{index}.programs"),
        "WATCHED": str(self.workdir),
        "WATCH_LOG": str(logs[-1]),
        "STEPS_LOG": str(self.steps_log(index)),
      }
      if hit is not None and index == hit[0]:
        environment |= {"HIT": hit[1], "HIT_LOG": str(hit_log)}
      if late is not None and index == 1:
        environment["LATE"] = str(late)
      started.append(
        subprocess.Popen(
          [sys.executable, str(_HERE / "worker.py"), "--multihost", *place]
          + [f"--config={self.config}", f"--workdir={self.workdir}", *flags],
          env=environment,
          stdout=subprocess.PIPE,
          stderr=subprocess.PIPE,
          text=True,
        )
      )
    try:
      # Both are read one after the other: neither says enough to fill a pipe.
      texts = [process.communicate(timeout=900) for process in started]
    finally:
      for process in started:
        process.kill()
    now = time.time()
    return Ended(
      [process.returncode for process in started],
      [without_greetings(out) for out, _ in texts],
      [err for _, err in texts],
      [log.read_text().splitlines() for log in logs],
      now - float(hit_log.read_text()) if hit_log.exists() else None,
    )

  def programs(self, name, index):
    """Keys of the programs that a process read, and that it compiled."""
    lines = (self.folder / f"{name}{index}.programs").read_text().splitlines()
    words = [line.split() for line in lines]
    return tuple({n for w, n in words if w == kind} for kind in ("hit", "miss"))

  def steps_log(self, index):
    return self.folder / f"steps{index}"

  def steps(self, index, number):
    """What a process noted of a run, one row a step."""
    lines = self.steps_log(index).read_text().splitlines()
    name = self.cell(number).name
    return [row for row in map(json.loads, lines) if row["cell"] == name]

  def rows(self):
    lines = (self.workdir / "results.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]

  def cell(self, number):
    (found,) = self.workdir.glob(f"cells/*checkpoint_epochs{number}-*")
    return found

  def checkpoints(self, number):
    """The steps of a run's checkpoints."""
    return sorted(
      int(p.name) for p in (self.cell(number) / "checkpoints").iterdir()
    )

  def arrays(self, number):
    """The last state of a run."""
    like = step.init_state(
      models.create("mlp_1x512", num_classes=10),
      optim.create(next(iter(self.cells().values())), 192),
      jax.random.key(0),
      (8, 8, 1),
    )
    folder = self.cell(number) / "checkpoints"
    return checkpoint.Checkpointer(folder).restore(like).state

  def cells(self):
    return cells_lib.expand(self.parsed())

  def parsed(self):
    space = {}
    exec(compile(self.config.read_text(), "grid.py", "exec"), space)
    return space["get_config"]()


# What Gloo, which carries sums between CPUs, says on stdout; between these come
# a rank, and twice a number of ranks.
GREETING = (
  "[Gloo] Rank ",
  " is connected to ",
  " peer ranks. ",
  "Expected number of connected peer ranks is : ",
)


def without_greetings(text):
  """Drops Gloo's lines, also those that two of its threads wrote at once.

  Each writes piece by piece, so that one line may hold two greetings' words and
  the next one nothing but the end of the other.
  """
  owed, lines = 0, []
  for line in text.splitlines(True):
    if any(piece in line for piece in GREETING):
      owed += line.count(GREETING[0]) - 1
    elif owed > 0 and re.fullmatch(r"\d*\n", line):
      owed -= 1
    else:
      lines.append(line)
  return "".join(lines)

"""Two processes of two devices each, on the loopback address, as one job.

One sweep of four runs that differ only in how often they save, so that each
must give the numbers of every other: the first is left alone, the second gets
a SIGTERM, the third loses a process, and one process with one device finishes
the third and makes the fourth.
"""

import collections
import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from rethinking import (
  checkpoint,
  models,
  optim,
  parallel,
  programs,
  step,
  sweep,
)
from rethinking.lock import Lock

_HERE = pathlib.Path(__file__).parent
_ROOT = _HERE.parent.parent
_CONFIG = """
from ml_collections import ConfigDict
from rethinking import config

def get_config():
  c = config.default()
  c.update(
    experiment="sweep", variant="figure1", dataset="digits", arch="mlp_1x512",
    subset=192, batch_size=48, epochs=6, optimizer="sgd", schedule="constant",
    learning_rate=0.05, dropout=0.2, plots=False, tensorboard=False,
  )
  c.grids = ConfigDict({"g": {
    "variant": ("partial_labels",), "p": (0.4,),
    "checkpoint_epochs": (1, 2, 3, 4),
  }})
  return c
"""
Ended = collections.namedtuple("Ended", "codes out err written")


def _by_hand():
  """Flags and variables of each process."""
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{s.getsockname()[1]}"
  return [
    ([f"--coordinator={address}", "--process_count=2", f"--process_id={i}"], {})
    for i in range(2)
  ]


def _by_slurm():
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

  def run(self, name, places, hit=None):
    """Runs both to their end; `hit` goes to the second."""
    processes, logs = [], []
    for index, (flags, variables) in enumerate(places):
      logs.append(self.folder / f"{name}{index}.writes")
      logs[-1].touch()
      environment = os.environ | variables
      environment |= {
        "PYTHONPATH": str(_ROOT),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "XDG_CACHE_HOME": str(self.folder / "cache"),
        "WATCHED": str(self.workdir),
        "WATCH_LOG": str(logs[-1]),
      }
      if hit is not None and index == 1:
        environment["HIT"] = hit
      processes.append(
        subprocess.Popen(
          [sys.executable, str(_HERE / "worker.py"), "--multihost", *flags]
          + [f"--config={self.config}", f"--workdir={self.workdir}"],
          env=environment,
          stdout=subprocess.PIPE,
          stderr=subprocess.PIPE,
          text=True,
        )
      )
    try:
      # Both are read one after the other: neither says enough to fill a pipe.
      texts = [process.communicate(timeout=200) for process in processes]
    finally:
      for process in processes:
        process.kill()
    return Ended(
      [process.returncode for process in processes],
      # Gloo, which carries sums between CPUs, greets on stdout.
      ["".join(_told(out)) for out, _ in texts],
      [err for _, err in texts],
      [log.read_text().splitlines() for log in logs],
    )

  def rows(self):
    lines = (self.workdir / "results.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]

  def cell(self, number):
    (found,) = self.workdir.glob(f"cells/*checkpoint_epochs{number}-*")
    return found

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
    return sweep.cells(self.parsed())

  def parsed(self):
    space = {}
    exec(compile(self.config.read_text(), "grid.py", "exec"), space)
    return space["get_config"]()


def _told(text):
  return [s for s in text.splitlines(True) if "peer rank" not in s]


@pytest.fixture(scope="module")
def job(tmp_path_factory):
  return Job(tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="module")
def stopped(job):
  """The first run is whole; in the second, process 1 gets a SIGTERM."""
  return job.run("stopped", _by_hand(), "SIGTERM:checkpoint_epochs2:8")


@pytest.fixture(scope="module")
def broken(job, stopped):
  """The second goes on; in the third, process 1 is killed."""
  before = {
    "rows": job.rows(),
    "checkpoints": sorted(
      int(p.name) for p in (job.cell(2) / "checkpoints").iterdir()
    ),
  }
  ended = job.run("broken", _by_slurm(), "SIGKILL:checkpoint_epochs3:16")
  return before, ended


@pytest.fixture(scope="module")
def finished(job, broken):
  """One process with one device makes the rest."""
  after_kill = {
    "rows": job.rows(),
    "checkpoints": [p.name for p in (job.cell(3) / "checkpoints").iterdir()],
  }
  one = jax.devices()[:1]
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(parallel, "all_devices", lambda: one)
    programs._create.cache_clear()
    summary = sweep.run(job.parsed(), job.workdir, quiet=True)
    programs._create.cache_clear()
  return after_kill, summary


def test_sigterm_to_one_ends_both_resumable(job, stopped):
  assert stopped.codes == [75, 75], stopped
  (said,) = [s for s in stopped.err[0].splitlines() if "Stopped" in s]
  assert f"the same command with --workdir={job.workdir} continues" in said
  assert "Traceback" not in "".join(stopped.err)


def test_both_save_at_the_step_they_agree_on(broken):
  before, _ = broken
  assert len(before["rows"]) == 1
  # It was asked after step 8, where the last due checkpoint is.
  assert before["checkpoints"][0] == 8
  assert 9 <= before["checkpoints"][1] < 20


def test_only_the_first_writes_and_prints(stopped, broken):
  for ended in (stopped, broken[1]):
    assert ended.written[0]
    assert ended.written[1] == []
    assert "figure1" in ended.out[0]
    assert ended.out[1] == ""
    assert [
      s for s in ended.err[1].splitlines() if "SIGTERM caught" not in s
    ] == []


def test_orbax_wrote_in_one_process_too(job, stopped):
  names = {p.name for p in job.cell(1).rglob("*")}
  assert "ocdbt.process_0" in names
  assert "ocdbt.process_1" not in names


def test_when_one_is_killed_the_other_ends_and_says_so(broken):
  _, ended = broken
  assert ended.codes[1] == -9
  # Its own end, or that of JAX's watchdog, whichever notices first.
  assert ended.codes[0] in (1, -6), ended
  assert "another process has ended" in ended.err[0] or (
    "another task died" in ended.err[0]
  )


def test_nothing_is_lost_by_the_kill(finished):
  after_kill, summary = finished
  assert len(after_kill["rows"]) == 2
  assert "12" in after_kill["checkpoints"]
  assert summary["finished"] == summary["cells"] == 4


def test_a_stop_and_a_restart_end_in_the_same_bits(job, finished):
  first, second = job.rows()[:2]
  assert first["curve"] == second["curve"]
  assert first["process_count"] == second["process_count"] == 2
  assert first["device_count"] == 4
  for a, b in zip(
    jax.tree.leaves(job.arrays(1)), jax.tree.leaves(job.arrays(2)), strict=True
  ):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("number", [3, 4])
def test_one_process_and_two_agree(job, finished, number):
  rows = job.rows()
  two, one = rows[0], rows[number - 1]
  assert one["process_count"] == one["device_count"] == 1
  assert two["curve"]["step"] == one["curve"]["step"] == [*range(0, 25, 4)]
  for key in ("train_loss", "test_loss"):
    np.testing.assert_allclose(
      one["curve"][key], two["curve"][key], rtol=0, atol=1e-5
    )
  for key in ("train_accuracy", "test_accuracy"):
    assert one["curve"][key] == two["curve"][key]
  assert one["data_fingerprint"] == two["data_fingerprint"]
  reports = [(job.cell(n) / "corruption.json").read_text() for n in (1, number)]
  assert reports[0] == reports[1]
  a, b = job.arrays(1), job.arrays(number)
  assert int(a.step) == int(b.step) == 24
  for x, y in zip(
    jax.tree.leaves(a.params), jax.tree.leaves(b.params), strict=True
  ):
    np.testing.assert_allclose(x, y, rtol=0, atol=1e-5)


def test_what_the_first_is_refused_ends_both(tmp_path):
  job = Job(tmp_path)
  with Lock(job.workdir):
    ended = job.run("refused", _by_hand())
  assert ended.codes == [2, 2]
  (line,) = ended.err[0].splitlines()
  assert line.startswith("error: ") and f"process {os.getpid()} on" in line
  assert (ended.err[1], ended.out[1]) == ("", "")

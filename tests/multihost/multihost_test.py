"""Two processes of two devices each, on the loopback address, as one job.

One sweep of four runs that differ only in how often they save, so that each
must give the numbers of every other: the first is left alone, in the second
each process gets a SIGTERM, the third loses a process, and one process with one
device finishes the third and makes the fourth.
"""

import os
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import worker
from jobs import GREETING, ROOT, Job, by_hand, by_slurm, without_greetings

from rethinking.runtime import processes
from rethinking.storage.lock import Lock
from rethinking.sweeps import run as sweep
from rethinking.training import loop, placement, programs


@pytest.mark.parametrize(
  ("text", "left"),
  [
    ("{0}1{1}1{2}{3}1\n", ""),
    ("{0}1{1}{0}1{1}1{2}{3}1{2}{3}1\n1\n", ""),
    ("{0}{0}11{1}{1}11{2}{2}{3}{3}11\n\n", ""),
    ("{0}1{1}1{2}{3}1\n\n", "\n"),
    ("a\n{0}1{1}1{2}{3}1\nb\n", "a\nb\n"),
  ],
)
def test_greetings_are_left_out_and_nothing_else(text, left):
  assert without_greetings(text.format(*GREETING)) == left


@pytest.fixture(scope="module")
def job(tmp_path_factory):
  return Job(tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="module")
def stopped(job):
  """The first run is whole; in the second, process 1 gets a SIGTERM."""
  ended = job.run("stopped", by_hand(), (1, "SIGTERM:checkpoint_epochs2:8"))
  return ended, job.rows(), job.checkpoints(2)


@pytest.fixture(scope="module")
def stopped_again(job, stopped):
  """The second goes on; process 0 gets a SIGTERM."""
  ended = job.run("again", by_hand(), (0, "SIGTERM:checkpoint_epochs2:16"))
  return ended, job.rows(), job.checkpoints(2)


@pytest.fixture(scope="module")
def broken(job, stopped_again):
  """The second goes on; in the third, process 1 is killed."""
  return job.run("broken", by_slurm(), (1, "SIGKILL:checkpoint_epochs3:16"))


@pytest.fixture(scope="module")
def finished(job, broken):
  """One process with one device makes the rest."""
  after_kill = {
    "rows": job.rows(),
    "checkpoints": job.checkpoints(3),
  }
  one = jax.devices()[:1]
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(placement, "all_devices", lambda: one)
    log = job.steps_log("alone")
    patch.setattr(loop.Loop, "check", worker.noting(loop.Loop.check, log))
    programs.create.cache_clear()
    summary = sweep.run(job.parsed(), job.workdir, quiet=True)
    programs.create.cache_clear()
  return after_kill, summary


def test_sigterm_to_one_ends_both_resumable(job, stopped, stopped_again):
  for ended, _, _ in (stopped, stopped_again):
    assert ended.codes == [75, 75], ended
    (said,) = [s for s in ended.err[0].splitlines() if "Stopped" in s]
    assert f"the same command with --workdir={job.workdir} continues" in said
    assert "Traceback" not in "".join(ended.err)


def test_both_save_at_the_step_they_agree_on(stopped, stopped_again):
  # It was asked after steps 8 and 16, where the last due checkpoints are.
  for (_, rows, checkpoints), asked in ((stopped, 8), (stopped_again, 16)):
    assert len(rows) == 1
    assert checkpoints[-2] == asked
    assert asked < checkpoints[-1] < 24


def test_only_the_first_writes_and_prints(stopped, stopped_again, broken):
  for ended in (stopped[0], stopped_again[0], broken):
    assert ended.written[0]
    assert ended.written[1] == []
    assert "figure1" in ended.out[0]
    assert ended.out[1] == ""
    assert [
      s for s in ended.err[1].splitlines() if "SIGTERM caught" not in s
    ] == []


def test_a_restart_reads_the_programs_that_the_first_wrote(
  job, stopped, stopped_again
):
  """Each process has a cache folder of its own, as on a host of its own."""
  kept = {
    p.name.removesuffix("-cache").lower()
    for p in (job.workdir / "programs").iterdir()
  }
  (_, first), (_, second) = (job.programs("stopped", i) for i in range(2))
  # The step, and an evaluation of each part, on the devices of both.
  both = kept & first & second
  for index in range(2):
    read, compiled = job.programs("again", index)
    assert len(both & read) >= 3
    assert not both & compiled


def test_orbax_wrote_in_one_process_too(job, stopped):
  names = {p.name for p in job.cell(1).rglob("*")}
  assert "ocdbt.process_0" in names
  assert "ocdbt.process_1" not in names


def _check_survivor(ended, index):
  assert ended.seconds is not None, ended
  # Half of it for a busy machine.
  assert ended.seconds < 2 * processes.HEARTBEAT_SECONDS
  # Its own end, or that of JAX's watchdog, whichever notices first.
  assert ended.codes[index] in (1, -6), ended
  assert "another process has ended" in ended.err[index] or (
    "another task died" in ended.err[index]
    or "the leader task" in ended.err[index]
  ), ended.err[index]


def test_when_one_is_killed_the_other_ends_and_says_so(broken):
  assert broken.codes[1] == -9
  _check_survivor(broken, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_waits_for_the_others_can_be_stopped(tmp_path, number):
  job = Job(tmp_path)
  place, _ = by_hand()[0]
  # A shell's background jobs, these tests perhaps among them, ignore Ctrl-C.
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  try:
    process = subprocess.Popen(
      [sys.executable, "-m", "rethinking.main", "--multihost", *place]
      + [f"--config={job.config}", f"--workdir={job.workdir}"],
      env=os.environ | {"PYTHONPATH": str(ROOT)},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
  finally:
    signal.signal(signal.SIGINT, before)
  try:
    with socket.socket() as s:
      address = ("127.0.0.1", int(place[0].rpartition(":")[2]))
      while process.poll() is None and s.connect_ex(address):
        time.sleep(0.1)
    # It is in JAX by then, which gives up after five minutes.
    time.sleep(1)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
  finally:
    process.kill()
  assert process.returncode == 75, err
  assert out == ""
  assert err == (
    "Stopped before all processes were there; the same command in each of "
    "them continues.\n"
  )
  assert not job.workdir.exists()


@pytest.mark.slow
def test_when_the_first_is_killed_the_other_ends_and_says_so(tmp_path):
  job = Job(tmp_path)
  ended = job.run("first", by_hand(), (0, "SIGKILL:checkpoint_epochs1:8"))
  assert ended.codes[0] == -9
  _check_survivor(ended, 1)


@pytest.mark.slow
def test_one_may_come_later_than_connections_wait(tmp_path):
  # Gloo gives up after 30 seconds.
  job = Job(tmp_path)
  flags = ["--config.only=checkpoint_epochs1"]
  ended = job.run("late", by_hand(), flags=flags, late=40)
  assert ended.codes == [0, 0], ended.err


def test_nothing_is_lost_by_the_kill(finished):
  after_kill, summary = finished
  assert len(after_kill["rows"]) == 2
  assert 12 in after_kill["checkpoints"]
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


def test_the_first_20_steps_agree_with_one_process(job, finished):
  first, second = job.steps(0, 1), job.steps(1, 1)
  assert first == second
  alone = job.steps("alone", 4)
  assert [row["step"] for row in alone] == [*range(1, 25)]
  for two, one in zip(first[:20], alone[:20], strict=True):
    assert one["examples"] == two["examples"]
    assert len(one["examples"]) == 48
    assert abs(one["loss"] - two["loss"]) <= 1e-5


@pytest.mark.parametrize(("number", "begins"), [(3, 12), (4, 0)])
def test_one_process_and_two_agree(job, finished, number, begins):
  # The killed one goes on from its checkpoint with the next examples.
  alone = job.steps("alone", number)
  assert [row["step"] for row in alone] == [*range(begins + 1, 25)]
  for x, y in zip(alone, job.steps(0, 1)[begins:], strict=True):
    assert x["examples"] == y["examples"]
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
    ended = job.run("refused", by_hand())
  assert ended.codes == [2, 2]
  (line,) = ended.err[0].splitlines()
  assert line.startswith("error: ") and f"process {os.getpid()} on" in line
  assert (ended.err[1], ended.out[1]) == ("", "")

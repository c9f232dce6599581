"""Real kills, a full disk, two runs at once and wrong clocks.

Damaged files are in checkpoint_test.py (any file of a checkpoint), writers_test
and train_test (JSON lines), sweep_test (rows) and data/cache_test (images); a
kill at each operation of a save is in checkpoint_test.py. Here whole commands
are killed. `pytest -s tests/faults` shows each moment and what was found.
"""

import collections
import itertools
import json
import os
import pathlib
import random
import signal
import time

import child
import pytest

from rethinking import config as config_lib
from rethinking import train
from rethinking.errors import UserError

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_DIGITS = f"--config={_ROOT}/configs/digits.py"
_RUN = (
  f"{_DIGITS}:random_labels,subset=256,batch_size=64,arch=mlp_1x512,epochs=30,"
  "plots=false,checkpoint_epochs=1"
)
_GRID = """
from ml_collections import ConfigDict
from rethinking import config

def get_config():
  c = config.default()
  c.update(
    experiment="sweep", variant="figure1", dataset="digits", arch="mlp_1x512",
    subset=256, batch_size=64, epochs=12, checkpoint_epochs=1, plots=False,
    tensorboard=False, runs_at_once=@AT_ONCE@,
  )
  c.grids = ConfigDict({"g": {
    "variant": ("partial_labels",), "p": (0.0, 0.5, 1.0),
  }})
  return c
"""
Kept = collections.namedtuple("Kept", "rows cells finished partial")


def _plain(row):
  """A row without what depends on the clock or the machine's history."""
  return {
    key: value
    for key, value in row.items()
    if "second" not in key and key != "git_commit"
  }


def _lines(path):
  """The whole lines of a file of JSON lines; a torn last one does not count."""
  if not path.exists():
    return []
  return [json.loads(s) for s in path.read_bytes().split(b"\n")[:-1]]


def _look(workdir):
  """What a killed command left."""
  rows = _lines(workdir / "metrics.jsonl")
  cells = _lines(workdir / "results.jsonl")
  saves = [
    *workdir.glob("**/checkpoints/*"),
    *workdir.glob("lockstep/*/*"),
  ]
  finished = [p for p in saves if (p / "sha256.json").exists()]
  return Kept(rows, cells, finished, [p for p in saves if p not in finished])


class Command:
  """A command, and the way it goes when nobody disturbs it."""

  def __init__(self, folder, flag):
    self.folder, self.flag = folder, flag
    self.names = itertools.count()
    self.cache = folder / "cache"
    # Twice: the first compiles what all others find in the cache.
    self.finish(self.new())
    self.whole = self.new()
    began = time.monotonic()
    self.finish(self.whole)
    self.seconds = time.monotonic() - began

  def new(self):
    return self.folder / f"workdir{next(self.names)}"

  def start(self, workdir, **limits):
    return child.start(
      [self.flag, f"--workdir={workdir}"],
      self.log(workdir),
      self.cache,
      **limits,
    )

  def log(self, workdir):
    return workdir.with_suffix(".log")

  def finish(self, workdir):
    process = self.start(workdir)
    process.join(600)
    assert process.exitcode == 0, self.log(workdir).read_text()

  def kill(self, workdir, when):
    """Kills the command; None where it had ended before."""
    process = self.start(workdir)
    try:
      if isinstance(when, float):
        process.join(when)
      else:
        # In the midst of a save: a step's folder is there, its sums are not.
        while process.is_alive() and not _look(workdir).partial:
          time.sleep(0.001)
    finally:
      process.kill()
    process.join()
    if process.exitcode == 0:
      return None
    assert process.exitcode == -signal.SIGKILL, self.log(workdir).read_text()
    return _look(workdir)

  def check(self, kept, before):
    """Whether nothing is lost, doubled or wrong after a kill."""
    want = [_plain(row) for row in _lines(self.whole / "metrics.jsonl")]
    assert [_plain(row) for row in kept.rows] == want[: len(kept.rows)]
    names = [row["cell"] for row in kept.cells]
    assert len(names) == len(set(names))
    if before is not None:
      assert names[: len(before.cells)] == [r["cell"] for r in before.cells]
      newest = max(map(_number, before.finished), default=-1)
      if not kept.cells:
        # Checkpoints may only be followed by later ones.
        assert max(map(_number, kept.finished), default=-1) >= newest

  def compare(self, workdir):
    """Whether a disturbed workdir ended as the undisturbed one."""
    for name in ("metrics.jsonl", "results.jsonl"):
      assert [_plain(row) for row in _lines(workdir / name)] == [
        _plain(row) for row in _lines(self.whole / name)
      ]
    ends = [
      _plain(json.loads((w / "summary.json").read_text()))
      for w in (workdir, self.whole)
    ]
    assert ends[0] == ends[1]


def _number(path):
  return int(path.name) if path.name.isdecimal() else -1


def _torture(command, moments, seed):
  """Kills a command at moments, one after another, and ends what is left."""
  draw = random.Random(seed)
  workdir, before = command.new(), None
  left = list(moments)
  while left:
    # A command that goes on from a late checkpoint may end before its moment.
    when = left[0] if left[0] == "save" else left[0] * command.seconds
    kept = command.kill(workdir, when)
    if kept is None:
      print(f"{workdir.name}: had ended before {when}")
      command.compare(workdir)
      workdir, before = command.new(), None
      left[0] = "save" if left[0] == "save" else draw.random()
      continue
    moment = when if when == "save" else f"{when:.2f} s"
    print(
      f"{workdir.name}: killed at {moment}, left {len(kept.rows)} evaluations,"
      f" {len(kept.cells)} runs, checkpoints"
      f" {sorted(map(_number, kept.finished))}, {len(kept.partial)} unfinished"
    )
    command.check(kept, before)
    # It held the lock, which must not keep the next one out.
    assert not kept.rows or (workdir / ".lock").exists()
    before = kept
    left.pop(0)
  command.finish(workdir)
  command.compare(workdir)
  return workdir


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  return Command(tmp_path_factory.mktemp("run"), _RUN)


# Together, and one after another as the run above.
@pytest.fixture(
  scope="module", params=[3, pytest.param(1, marks=pytest.mark.slow)]
)
def grid(request, tmp_path_factory):
  folder = tmp_path_factory.mktemp("sweep")
  text = _GRID.replace("@AT_ONCE@", str(request.param))
  (folder / "grid.py").write_text(text)
  return Command(folder, f"--config={folder / 'grid.py'}")


def test_a_run_killed_at_any_moment_ends_as_if_it_had_not_been(run):
  _torture(run, [0.7, "save", "save"], seed=0)


def test_a_sweep_killed_at_any_moment_ends_as_if_it_had_not_been(grid):
  _torture(grid, ["save", 0.7, 0.5], seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["random_labels", "figure1,epochs=2"])
def test_the_readmes_commands_killed_20_times(tmp_path, flag):
  draw = random.Random(1)
  moments = [draw.random() for _ in range(15)] + ["save"] * 5
  draw.shuffle(moments)
  _torture(Command(tmp_path, f"{_DIGITS}:{flag}"), moments, seed=2)


def test_a_full_disk_is_said_and_the_last_checkpoint_goes_on(run):
  workdir = run.new()
  kept = run.kill(workdir, "save")
  while not kept.finished:
    kept = run.kill(workdir, "save")
  # A checkpoint's arrays are larger, an evaluation's line is not.
  process = run.start(workdir, file_size=40_000)
  process.join(200)
  text = run.log(workdir).read_text()
  assert process.exitcode == 1, text
  (line,) = [s for s in text.splitlines() if s.startswith("error: ")]
  assert "Cannot save the checkpoint" in line and "File too large" in line
  assert "the earlier ones are intact" in line
  assert "Traceback" not in text
  newest = max(map(_number, kept.finished))
  assert f"Continuing from the checkpoint of step {newest}." in text
  run.finish(workdir)
  assert f"checkpoint of step {newest}." in run.log(workdir).read_text()
  run.compare(workdir)


def test_a_second_command_in_the_same_workdir_is_refused(run):
  workdir = run.new()
  process = run.start(workdir)
  while process.is_alive() and not (workdir / "metrics.jsonl").exists():
    time.sleep(0.01)
  os.kill(process.pid, signal.SIGSTOP)
  try:
    config = config_lib.default()
    config.update(json.loads((workdir / "config.json").read_text()))
    with pytest.raises(UserError, match=f"in use by process {process.pid} on"):
      train.run(config, workdir, quiet=True)
  finally:
    os.kill(process.pid, signal.SIGCONT)
  process.join(200)
  assert process.exitcode == 0
  run.compare(workdir)


def test_clocks_and_file_times_change_nothing(run, monkeypatch):
  workdir = run.new()
  kept = run.kill(workdir, "save")
  while not kept.finished:
    kept = run.kill(workdir, "save")
  # To and fro between 1970 and 2100.
  for index, path in enumerate(sorted(workdir.rglob("*"))):
    os.utime(path, (0, 0) if index % 2 else (2**32, 2**32))
  # A day forth and back, again and again.
  real, days = time.time, itertools.cycle([0, 86_400, 0, -86_400])
  monkeypatch.setattr(time, "time", lambda: real() + next(days))
  config = config_lib.default()
  config.update(json.loads((workdir / "config.json").read_text()))
  train.run(config, workdir, quiet=True)
  rows = [_plain(row) for row in _lines(workdir / "metrics.jsonl")]
  assert rows == [_plain(row) for row in _lines(run.whole / "metrics.jsonl")]

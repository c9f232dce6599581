"""Real kills, a full disk, two runs at once and wrong clocks.

Damaged files are in checkpoint_test.py (any file of a checkpoint), writers_test
and train/refusals_test (JSON lines), sweep_test (rows) and data/cache_test
(images); a kill at each operation of a save is in checkpoint_test.py. Here
whole commands are killed. `pytest -s tests/faults` shows each moment and what
was found.
"""

import collections
import contextlib
import itertools
import json
import os
import pathlib
import random
import signal

import child
import pytest

from rethinking import config as config_lib
from rethinking.runtime.errors import UserError
from rethinking.training import metrics
from rethinking.training import run as train

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
# Killed when that share of its evaluations is there and so many seconds have
# passed, or, with `in_save`, in the midst of the next save.
Moment = collections.namedtuple("Moment", "share seconds in_save")


def _moments(count, saves, seed):
  """Random moments of a command, early ones first; `saves` of them in a save.

  The first is in its beginning, before it trains.
  """
  draw = random.Random(seed)
  shares = sorted(draw.uniform(0, 0.95) for _ in range(count - 1))
  saving = draw.sample(range(count - 1), saves)
  return [
    Moment(0.0, draw.uniform(0, 2), False),
    *(
      Moment(share, draw.uniform(0, 0.1), index in saving)
      for index, share in enumerate(shares)
    ),
  ]


def _plain(row):
  """A row without what depends on the clock or the machine's history."""
  return {
    key: value
    for key, value in row.items()
    if key not in metrics.CLOCK and key != "git_commit"
  }


def _lines(path):
  """The whole lines of a file of JSON lines; a torn last one does not count."""
  if not path.exists():
    return []
  return [json.loads(s) for s in path.read_bytes().split(b"\n")[:-1]]


def _look(workdir):
  """What a killed command left."""
  finished, partial = _saves(workdir)
  return Kept(
    _lines(workdir / "metrics.jsonl"),
    _lines(workdir / "results.jsonl"),
    finished,
    partial,
  )


def _saves(workdir):
  """The checkpoints that have their sums, and those that don't."""
  saves = [*workdir.glob("checkpoints/*")]
  saves += workdir.glob("cells/*/checkpoints/*")
  saves += workdir.glob("groups/*/*")
  finished = [p for p in saves if (p / "sha256.json").exists()]
  return finished, [p for p in saves if p not in finished]


def _evaluations(workdir):
  """How many evaluations there are, of all runs."""
  files = [
    *workdir.glob("metrics.jsonl"),
    *workdir.glob("cells/*/metrics.jsonl"),
  ]
  return sum(path.read_bytes().count(b"\n") for path in files)


class Command:
  """A command, and the way it goes when nobody disturbs it."""

  def __init__(self, folder, flag):
    self.folder, self.flag = folder, flag
    self.names = itertools.count()
    self.server = child.Server(folder / "cache")
    self.whole = self.new()
    try:
      self.finish(self.whole)
    except BaseException:
      self.close()
      raise
    self.evaluations = _evaluations(self.whole)

  def close(self):
    self.server.close()

  def new(self):
    return self.folder / f"workdir{next(self.names)}"

  def start(self, workdir, **limits):
    return self.server.start(
      [self.flag, f"--workdir={workdir}"], self.log(workdir), **limits
    )

  def log(self, workdir):
    return workdir.with_suffix(".log")

  def finish(self, workdir, **limits):
    process = self.start(workdir, **limits)
    assert process.wait(3600) == 0, self.log(workdir).read_text()

  def kill(self, workdir, moment):
    """Kills the command; returns what is left, None where it had ended."""
    process = self.start(workdir)
    while process.wait(0.005) is None:
      if _evaluations(workdir) >= moment.share * self.evaluations:
        break
    if moment.in_save:
      # A step's folder is there, its sums are not.
      while process.wait(0.001) is None and not _saves(workdir)[1]:
        pass
    elif process.code is None:
      process.wait(moment.seconds)
    if process.code is None:
      os.kill(process.pid, signal.SIGKILL)
    if process.wait(900) == 0:
      return None
    assert process.code == -signal.SIGKILL, self.log(workdir).read_text()
    return _look(workdir)

  def killed(self):
    """A workdir with checkpoints, whose command was killed."""
    workdir = self.new()
    assert self.kill(workdir, Moment(0.3, 0.1, False)).finished
    return workdir

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


def _torture(command, moments):
  """Kills a command at each moment in turn, then lets it end."""
  workdir, before = command.new(), None
  for moment in moments:
    kept = command.kill(workdir, moment)
    place = "in a save" if moment.in_save else f"{moment.seconds:.2f} s after"
    print(f"{workdir.name}: at {moment.share:.0%} {place}: ", end="")
    if kept is None:
      # The last save was over before the kill.
      print("had ended")
      continue
    print(
      f"killed, left {len(kept.rows)} evaluations, {len(kept.cells)} runs, "
      f"checkpoints {sorted(map(_number, kept.finished))}, "
      f"{len(kept.partial)} unfinished"
    )
    command.check(kept, before)
    if kept.finished and not (workdir / "summary.json").exists():
      # It held the lock, which must not keep the next one out.
      assert (workdir / ".lock").exists()
    before = kept
  command.finish(workdir)
  command.compare(workdir)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp("run")
  with contextlib.closing(Command(folder, _RUN)) as command:
    yield command


# Together, and one after another as the run above.
@pytest.fixture(
  scope="module", params=[3, pytest.param(1, marks=pytest.mark.slow)]
)
def grid(request, tmp_path_factory):
  folder = tmp_path_factory.mktemp("sweep")
  text = _GRID.replace("@AT_ONCE@", str(request.param))
  (folder / "grid.py").write_text(text)
  flag = f"--config={folder / 'grid.py'}"
  with contextlib.closing(Command(folder, flag)) as command:
    yield command


def test_a_run_killed_at_any_moment_ends_as_if_it_had_not_been(run):
  _torture(run, _moments(4, saves=2, seed=0))


def test_a_sweep_killed_at_any_moment_ends_as_if_it_had_not_been(grid):
  _torture(grid, _moments(4, saves=1, seed=1))


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["random_labels", "figure1"])
def test_the_readmes_commands_killed_20_times(tmp_path, flag):
  with contextlib.closing(Command(tmp_path, f"{_DIGITS}:{flag}")) as command:
    _torture(command, _moments(20, saves=5, seed=2))


def test_a_full_disk_is_said_and_the_last_checkpoint_goes_on(run):
  workdir = run.killed()
  # A checkpoint's arrays are larger, an evaluation's line is not.
  process = run.start(workdir, file_size=40_000)
  code = process.wait(900)
  text = run.log(workdir).read_text()
  assert code == 1, text
  (line,) = [s for s in text.splitlines() if s.startswith("error: ")]
  assert "Cannot save the checkpoint" in line and "File too large" in line
  assert "the earlier ones are intact" in line
  newest = max(map(_number, _look(workdir).finished))
  assert f"Continuing from the checkpoint of step {newest}." in text
  run.finish(workdir)
  assert f"checkpoint of step {newest}." in run.log(workdir).read_text()
  run.compare(workdir)


def test_a_second_command_in_the_same_workdir_is_refused(run):
  workdir = run.new()
  process = run.start(workdir)
  while process.wait(0.01) is None:
    if (workdir / "metrics.jsonl").exists():
      break
  os.kill(process.pid, signal.SIGSTOP)
  try:
    config = config_lib.default()
    config.update(json.loads((workdir / "config.json").read_text()))
    with pytest.raises(UserError, match=f"in use by process {process.pid} on"):
      train.run(config, workdir, quiet=True)
  finally:
    os.kill(process.pid, signal.SIGCONT)
  assert process.wait(900) == 0
  run.compare(workdir)


def test_clocks_and_file_times_change_nothing(run):
  workdir = run.killed()
  # To and fro between 1970 and 2100.
  for index, path in enumerate(sorted(workdir.rglob("*"))):
    os.utime(path, (0, 0) if index % 2 else (2**32, 2**32))
  # A day forth and back, again and again.
  run.finish(workdir, clock_jumps=(0, 86_400, 0, -86_400))
  run.compare(workdir)

"""Damage, crashes and full disks cost at most the newest checkpoint."""

import errno
import resource
import shutil
import signal
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from states import files_of, restore, same, saved, state_of

from rethinking.runtime.errors import UserError
from rethinking.storage import checkpoint


@pytest.fixture
def folder(tmp_path):
  return saved(tmp_path / "checkpoints")


def flip(data):
  middle = len(data) // 2
  return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
  "change",
  [flip, lambda data: data[:-1], lambda data: b"", None],
  ids=["bit flipped", "truncated", "zero length", "missing"],
)
def test_damage_to_any_file_is_named_and_the_one_before_is_used(
  folder, change, capfd
):
  names = [path.relative_to(folder / "20") for path in files_of(folder / "20")]
  assert len(names) > 5
  for name in names:
    path = folder / "20" / name
    data = path.read_bytes()
    if change is None:
      path.unlink()
    elif data != change(data):
      path.write_bytes(change(data))
    else:
      continue
    found = restore(folder)
    path.write_bytes(data)
    assert (found.step, found.extra) == (10, {"step": 10}), name
    assert same(found.state, state_of(10))
    (warning,) = found.warnings
    assert "step 20" in warning
    if change is None and str(name) == "sha256.json":
      assert "was not finished" in warning
    elif str(name) != "sha256.json" or change is not flip:
      # A flipped bit in a sum accuses the file that it is of.
      assert str(name) in warning
  assert restore(folder).step == 20
  # Nothing on the terminal but what the caller prints.
  assert capfd.readouterr() == ("", "")


def test_only_damaged_ones_are_refused(folder):
  for step in ("10", "20"):
    (folder / step / "state" / "manifest.ocdbt").write_bytes(b"")
  with pytest.raises(UserError, match=r"No checkpoint .*steps \[10, 20\]"):
    restore(folder)


def test_only_unfinished_ones_are_none(folder):
  for step in ("10", "20"):
    (folder / step / "sha256.json").unlink()
  assert restore(folder) is None


def test_a_damaged_one_is_not_counted_among_those_kept(folder):
  (folder / "20" / "state" / "manifest.ocdbt").write_bytes(b"")
  checkpoints = checkpoint.Checkpointer(folder)
  assert checkpoints.restore(state_of(0)).step == 10
  checkpoints.save(30, state_of(30), {})
  assert sorted(int(p.name) for p in folder.iterdir()) == [10, 30]


def test_a_run_that_went_back_saves_the_same_steps_again(folder):
  (folder / "20" / "state" / "manifest.ocdbt").write_bytes(b"")
  checkpoints = checkpoint.Checkpointer(folder)
  assert checkpoints.restore(state_of(0)).step == 10
  checkpoints.save(15, state_of(15), {})
  assert sorted(int(p.name) for p in folder.iterdir()) == [10, 15]
  checkpoints.save(20, state_of(20), {})
  assert restore(folder).step == 20
  assert restore(folder).warnings == ()


# A hook can't be removed, so one stands for all tests.
_watch = None


def _hook(event, arguments):
  if _watch is not None and event.partition(".")[0] in (
    "open",
    "os",
    "shutil",
  ):
    _watch()


sys.addaudithook(_hook)


def test_a_crash_at_any_moment_of_a_save_loses_nothing(folder, tmp_path):
  # A copy taken at an operation is what a kill -9 at that moment leaves.
  copies = []
  busy = False

  def copy():
    nonlocal busy
    if busy:
      return
    busy = True
    target = tmp_path / f"copy_{len(copies)}"
    try:
      shutil.copytree(folder, target)
      copies.append(target)
    except (shutil.Error, FileNotFoundError):
      # Another thread moved a file meanwhile; the next moment will do.
      shutil.rmtree(target, ignore_errors=True)
    busy = False

  checkpoints = checkpoint.Checkpointer(folder)
  global _watch
  _watch = copy
  try:
    checkpoints.save(30, state_of(30), {})
  finally:
    _watch = None
  contents, steps = set(), []
  for moment in copies:
    content = tuple(
      (str(p.relative_to(moment)), p.stat().st_size) for p in files_of(moment)
    )
    if content not in contents:
      contents.add(content)
      found = restore(moment)
      assert same(found.state, state_of(found.step))
      steps.append(found.step)
  assert len(steps) > 10
  assert steps == sorted(steps)
  assert set(steps) == {20, 30}


CRASH = """
import os, signal, sys
import jax.numpy as jnp
from rethinking.storage import checkpoint
def kill(*_):
  os.kill(os.getpid(), signal.SIGKILL)
checkpoints = checkpoint.Checkpointer(sys.argv[1])
checkpoints.save(1, {"a": jnp.ones(3)}, {})
checkpoint.checksums.write = kill
checkpoints.save(2, {"a": jnp.zeros(3)}, {})
"""


def test_a_checkpoint_killed_before_its_checksums_is_ignored(tmp_path):
  child = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path)])
  assert child.returncode == -signal.SIGKILL
  assert (tmp_path / "2" / "state").is_dir()
  found = checkpoint.Checkpointer(tmp_path).restore({"a": jnp.ones(3)})
  assert found.step == 1
  assert "step 2" in found.warnings[0]


@pytest.fixture
def no_space():
  """No file may grow past 50 kB, as on a disk that is full."""
  handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
  yield
  resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_an_error_in_a_line(folder, no_space, caplog):
  noise = np.random.default_rng(0).bytes(400_000)
  checkpoints = checkpoint.Checkpointer(folder)
  with pytest.raises(checkpoint.SaveError) as caught:
    checkpoints.save(30, {"a": np.frombuffer(noise, np.uint8)}, {})
  text = str(caught.value)
  assert "\n" not in text
  assert text.startswith("Cannot save the checkpoint of step 30")
  assert "File too large" in text
  # Orbax's own account of it, a traceback, is not.
  assert caplog.records == []
  # What was written of it is gone, and the next one can be saved.
  assert sorted(p.name for p in folder.iterdir()) == ["10", "20"]
  assert same(checkpoints.restore(state_of(0)).state, state_of(20))
  checkpoints.save(40, state_of(40), {})
  assert restore(folder).step == 40


def test_a_disk_full_at_the_checksums_keeps_the_one_before(folder, monkeypatch):
  def full(folder):
    raise OSError(errno.ENOSPC, "No space left on device")

  checkpoints = checkpoint.Checkpointer(folder)
  monkeypatch.setattr(checkpoint.checksums, "write", full)
  with pytest.raises(checkpoint.SaveError, match="No space left"):
    checkpoints.save(30, state_of(30), {})
  assert restore(folder).step == 20


def test_a_folder_that_is_still_written_to_does_not_hide_the_reason(
  folder, no_space, monkeypatch
):
  """Orbax's threads may go on for a moment after one of them has failed."""
  checkpoints = checkpoint.Checkpointer(folder)
  noise = np.random.default_rng(0).bytes(400_000)
  tries = []
  whole = type(checkpoints._folder).rmtree

  def rmtree(path, **options):
    tries.append(path.name)
    if len(tries) < 3:
      raise OSError(errno.ENOTEMPTY, "Directory not empty")
    whole(path, **options)

  monkeypatch.setattr(type(checkpoints._folder), "rmtree", rmtree)
  with pytest.raises(checkpoint.SaveError, match="File too large"):
    checkpoints.save(30, {"a": np.frombuffer(noise, np.uint8)}, {})
  assert len(tries) == 3
  assert sorted(p.name for p in folder.iterdir()) == ["10", "20"]

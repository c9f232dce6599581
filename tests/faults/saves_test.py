"""Saves that are no saves, full disks, and links where files are written."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys

import damage
import numpy as np
import pytest
from refusals import alarm, full_disk_of, refused

from rethinking import report
from rethinking.exports.write import write as export
from rethinking.report import committed
from rethinking.runtime.errors import UserError
from rethinking.storage import checkpoint, events, files, jsonl, lock
from rethinking.sweeps import run as sweep
from rethinking.training import run as train

_RESULTS = pathlib.Path(__file__).parents[2] / "configs" / "results"
_STATE = {"w": np.arange(20.0)}


@pytest.fixture
def checkpoints(tmp_path):
  """Checkpoints of steps 10 and 20; their folder."""
  folder = tmp_path / "checkpoints"
  saver = checkpoint.Checkpointer(folder)
  for step in (10, 20):
    saver.save(step, _STATE, {"step": step})
  return folder


def _outside(path):
  shutil.move(path, path.parents[1] / "outside")
  path.symlink_to(path.parents[1] / "outside")


def _loop(path):
  shutil.rmtree(path)
  path.symlink_to(path)


def _inner_loop(path):
  shutil.rmtree(path / "state")
  (path / "state").symlink_to(path)


def _copied(path):
  shutil.rmtree(path)
  path.symlink_to(path.with_name("10"))


def _file(path):
  shutil.rmtree(path)
  path.write_text("")


def _no_files(path):
  shutil.rmtree(path)
  os.mkfifo(path)


@pytest.mark.parametrize(
  "change", [_outside, _loop, _inner_loop, _copied, _file, _no_files]
)
def test_what_is_no_checkpoint_is_passed_over(checkpoints, change):
  change(checkpoints / "20")
  with alarm(60):
    saver = checkpoint.Checkpointer(checkpoints)
    found = saver.restore(_STATE)
    assert found.step == 10 and len(found.warnings) == 1
    assert "step 20" in found.warnings[0]
    saver.save(20, _STATE, {"step": 20})
  assert saver.restore(_STATE).step == 20
  outside = checkpoints.parent / "outside"
  assert change is not _outside or (outside / "sha256.json").exists()


def test_a_checkpoint_under_another_number_is_refused(checkpoints):
  shutil.rmtree(checkpoints / "20")
  shutil.copytree(checkpoints / "10", checkpoints / "20")
  saver = checkpoint.Checkpointer(checkpoints)
  refused(lambda: saver.restore(_STATE), "step 20", "is that of step 10")


# Writing.


@pytest.fixture
def full_disk():
  with full_disk_of(10_000):
    yield


def test_a_full_disk_names_the_file(tmp_path, full_disk):
  for write in (
    lambda path: files.replace(path, bytes(20_000)),
    lambda path: files.append(path, bytes(20_000)),
    lambda path: files.save(path, lambda f: np.save(f, np.zeros(20_000))),
    lambda path: jsonl.JsonLines(path).append({"a": "b" * 20_000}),
  ):
    with pytest.raises(OSError, match="'.*/the_file'"):
      write(tmp_path / "the_file")


def test_commands_that_write_name_the_file(tmp_path):
  config = damage.run(pixel_noise="shuffled_pixels")
  out = tmp_path / "o"
  # What it compiles is kept, and half of it would be, too.
  export(config, tmp_path / "before")
  words = "must be a folder that you may write to"
  with full_disk_of(10_000):
    refused(lambda: export(config, out), words, "images.npy", "in part")
  csv = _RESULTS / "figure1_digits.csv"
  with full_disk_of(100):
    refused(lambda: committed.redraw([csv], out), words, "1_digits/table.md")


def test_a_run_of_which_nothing_can_be_drawn_is_refused(tmp_path):
  train.run(damage.run(), tmp_path, quiet=True)
  words = "you may write to, got .* where nothing was drawn; try"
  with full_disk_of(100), pytest.warns(UserWarning, match="cannot be drawn"):
    with pytest.raises(UserError, match=words):
      report.redraw(tmp_path)


_SAVE = """
import resource, sys
import numpy as np
from rethinking.storage import checkpoint
saver = checkpoint.Checkpointer(sys.argv[1])
state = {k: np.random.default_rng(0).normal(size=20_000) for k in "abcd"}
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
for _ in range(4):
  try:
    saver.save(1, state, {})
  except checkpoint.SaveError as error:
    print(error)
"""


def test_a_full_disk_in_a_checkpoint_is_one_line(tmp_path):
  done = subprocess.run(
    [sys.executable, "-c", _SAVE, str(tmp_path / "c")],
    capture_output=True,
    text=True,
  )
  assert done.stderr == ""
  lines = done.stdout.splitlines()
  assert len(lines) == 4, done.stdout
  # On a busy machine what the first save left may be in a later one's way.
  assert "File too large" in lines[0]
  for line in lines:
    assert line.startswith("Cannot save the checkpoint of step 1 in "), line
    assert line.endswith("; the earlier ones are intact."), line


@pytest.mark.parametrize("target", ["file", "nothing", "folder"])
def test_no_link_is_followed_when_writing(tmp_path, target):
  other, folder = tmp_path / "other", tmp_path / "w"
  folder.mkdir()
  if target == "file":
    other.write_text("precious")
  elif target == "folder":
    other.mkdir()
  temporary = f".b.{socket.gethostname()}.{os.getpid()}.tmp"
  for name in (".lock", "a.jsonl", temporary, "b"):
    (folder / name).symlink_to(other)
  words = "a link, not a file"
  said = ("a folder, got a link",) if target == "folder" else (words, ".lock")
  refused(lambda: lock.Lock(folder).__enter__(), *said)
  with pytest.raises(OSError, match=words):
    files.append(folder / "a.jsonl", b"{}\n")
  files.replace(folder / "b", b"new")
  assert (folder / "b").read_bytes() == b"new"
  assert not (folder / "b").is_symlink()
  if target == "file":
    assert other.read_text() == "precious"
  assert other.exists() == (target != "nothing")


@pytest.mark.parametrize(
  "name", ["groups", "cells/mlp_1x512-true_labels/checkpoints", "tensorboard"]
)
def test_nothing_is_written_through_a_folder_that_is_a_link(tmp_path, name):
  link, other = tmp_path / "w" / name, tmp_path / "other"
  link.parent.mkdir(parents=True)
  other.mkdir()
  (other / "1").mkdir()
  link.symlink_to(other)
  with pytest.raises(UserError, match="must be a folder, got a link") as found:
    sweep.run(damage.sweep(), tmp_path / "w", quiet=True)
  assert f"'{link}'" in str(found.value)
  assert [*other.rglob("*")] == [other / "1"] and link.is_symlink()
  assert [x.name for x in (tmp_path / "w").iterdir()] == [name.split("/")[0]]


def test_a_workdir_may_be_a_link(tmp_path):
  (tmp_path / "disk").mkdir()
  (tmp_path / "w").symlink_to(tmp_path / "disk")
  assert sweep.run(damage.sweep(), tmp_path / "w", quiet=True)["cells"] == 3
  assert (tmp_path / "disk" / "summary.json").exists()


@pytest.mark.parametrize("kind", ["FIFO", "folder"])
def test_what_is_no_file_is_not_written_to(tmp_path, kind):
  (tmp_path / ".lock").write_text("")
  (tmp_path / "a").write_text("")
  for name in (".lock", "a"):
    damage.DAMAGE[kind](tmp_path / name)
  refused(lambda: lock.Lock(tmp_path).__enter__(), ".lock")
  with alarm(20), pytest.raises(OSError, match="/a'"):
    files.append(tmp_path / "a", b"{}\n")


def test_event_files_are_no_links(tmp_path):
  other = tmp_path / "other"
  other.write_text("precious")
  (tmp_path / "events.out.tfevents.0.rethinking").symlink_to(other)
  events.Events(tmp_path).append(1, {"a": 2.0})
  assert other.read_text() == "precious"

import os
import signal
import subprocess
import sys

import pytest

from rethinking.runtime.errors import UserError
from rethinking.storage import lock

HOLD = """
import sys
from rethinking.storage.lock import Lock
with Lock(sys.argv[1]):
  print("held", flush=True)
  sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
  process = subprocess.Popen(
    [sys.executable, "-c", HOLD, str(tmp_path)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  )
  assert process.stdout.readline() == "held\n"
  yield process
  process.kill()
  process.communicate()


def test_a_second_process_is_refused_by_the_pid_of_the_first(tmp_path, holder):
  with pytest.raises(UserError, match=rf"process {holder.pid} on .*wait"):
    with lock.Lock(tmp_path):
      pass


def test_a_second_lock_of_the_same_process_is_refused(tmp_path):
  with lock.Lock(tmp_path), pytest.raises(UserError, match=str(os.getpid())):
    lock.Lock(tmp_path).__enter__()


def test_a_dead_process_lock_is_taken_over(tmp_path, holder):
  holder.send_signal(signal.SIGKILL)
  holder.wait()
  assert (tmp_path / ".lock").exists()
  with lock.Lock(tmp_path):
    assert f"process {os.getpid()} on" in (tmp_path / ".lock").read_text()


def test_a_dead_process_whose_number_another_has_now_holds_nothing(tmp_path):
  (tmp_path / ".lock").write_text(f"process {os.getppid()} on somewhere\n")
  with lock.Lock(tmp_path):
    assert f"process {os.getpid()} on" in (tmp_path / ".lock").read_text()


def test_nothing_stays_after_the_end_and_it_can_be_taken_again(tmp_path):
  for _ in range(2):
    with lock.Lock(tmp_path / "made" / "here"):
      pass
  assert list((tmp_path / "made" / "here").iterdir()) == []


def test_a_removed_file_is_not_the_lock(tmp_path, monkeypatch):
  # Between the opening of the file and its lock, the holder ends and removes
  # it, and another process makes it anew.
  held = lock.Lock(tmp_path)
  flock = lock.fcntl.flock

  def late(file, operation):
    monkeypatch.setattr(lock.fcntl, "flock", flock)
    (tmp_path / ".lock").unlink()
    held.__enter__()
    flock(file, operation)

  monkeypatch.setattr(lock.fcntl, "flock", late)
  with pytest.raises(UserError, match="in use"):
    lock.Lock(tmp_path).__enter__()
  held.__exit__(None, None, None)


def test_a_workdir_that_cannot_be_written_is_refused_in_a_line(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(
    UserError, match="workdir must be a folder that you may write to, got .*try"
  ):
    lock.Lock(tmp_path / "file" / "workdir").__enter__()


def test_object_stores_have_no_lock():
  with lock.Lock("gs://bucket/run"), lock.Lock("gs://bucket/run"):
    pass

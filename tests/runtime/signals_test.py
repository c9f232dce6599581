"""What a signal does before, in and after the part of a run that saves."""

import json
import os
import signal
import threading

import pytest

from rethinking import config as config_lib
from rethinking.runtime import processes, signals
from rethinking.runtime.errors import Stopped
from rethinking.theory import config as theory_config
from rethinking.theory import folder
from rethinking.training import metrics
from rethinking.training import run as train
from rethinking.training import task as task_lib


@pytest.fixture
def command():
  """As in a command that has begun; all is as before at its end."""
  before = {number: signal.getsignal(number) for number in signals.ENDING}
  # A shell's background job ignores it, and the tests may be one.
  signal.signal(signal.SIGINT, signal.default_int_handler)
  signal.signal(signal.SIGHUP, signal.SIG_DFL)
  signals.end_at_once()
  yield
  for number, handler in before.items():
    signal.signal(number, handler)
  signals._early.clear()


def _rows(workdir):
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  return [metrics.without_clock(json.loads(line)) for line in lines]


def _swallowed(number):
  """A signal in a callback that lets no exception out."""
  with pytest.raises(KeyboardInterrupt):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", signals.ENDING)
def test_a_signal_swallowed_by_a_callback_is_handled_later(command, number):
  _swallowed(number)
  with signals.deferred() as stop:
    assert stop.is_set()
  # The next command in this process was asked nothing.
  signals.end_at_once()
  with signals.deferred() as stop:
    assert not stop.is_set()


def test_a_signal_swallowed_before_the_wait_ends_it(command):
  _swallowed(signal.SIGTERM)
  ended = threading.Event()
  with signals.on_signal(ended.set):
    assert ended.is_set()


def test_a_signal_swallowed_in_one_of_several_processes_stops_all(
  command, monkeypatch
):
  received = []
  # As JAX, which has SIGTERM then.
  signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
  monkeypatch.setattr(processes, "started", lambda: True)
  _swallowed(signal.SIGINT)
  for _ in range(2):
    with signals.deferred():
      assert received == [signal.SIGTERM]


def test_a_signal_swallowed_before_an_experiment_ends_it(command, tmp_path):
  config = theory_config.expressivity("digits")
  config.compilation_cache = False

  def run():
    return folder.run_once(
      config,
      tmp_path,
      prepare=lambda config: None,
      experiment=lambda *_: {"fitted": 1},
      quiet=True,
    )

  _swallowed(signal.SIGTERM)
  with pytest.raises(KeyboardInterrupt):
    run()
  assert not (tmp_path / "config.json").exists()
  signals.end_at_once()
  assert run()["fitted"] == 1


def test_a_run_stopped_by_a_swallowed_signal_saves_and_resumes(
  command, tmp_path, monkeypatch
):
  config = config_lib.default()
  config.update(
    dataset="digits", variant="true_labels", arch="mlp_1x512", subset=128,
    batch_size=32, epochs=2, plots=False, tensorboard=False, chunk_steps=1,
    compilation_cache=False,
  )  # fmt: skip
  load = task_lib.load

  def swallowing(config):
    _swallowed(signal.SIGTERM)
    return load(config)

  with monkeypatch.context() as patch:
    patch.setattr(task_lib, "load", swallowing)
    with pytest.raises(Stopped, match="at step 1;"):
      train.run(config, tmp_path / "a", quiet=True)
  signals.end_at_once()
  train.run(config, tmp_path / "a", quiet=True)
  train.run(config, tmp_path / "b", quiet=True)
  assert _rows(tmp_path / "a") == _rows(tmp_path / "b")


@pytest.mark.parametrize("number", signals.ENDING)
def test_a_signal_during_a_wait_is_handled_by_another_thread(command, number):
  ended = threading.Event()
  # As in a wait in C, where the command's own handler would not run.
  old = signal.signal(number, lambda *_: None)
  try:
    with signals.on_signal(ended.set):
      assert not ended.is_set()
      os.kill(os.getpid(), number)
      assert ended.wait(60)
  finally:
    signal.signal(number, old)
  # Nobody listens any more.
  ended.clear()
  _swallowed(number)
  assert not ended.is_set()
  assert signal.set_wakeup_fd(-1) == -1


def test_what_nohup_starts_goes_on_when_the_terminal_hangs_up(command):
  signal.signal(signal.SIGHUP, signal.SIG_IGN)
  signals.end_at_once()
  with signals.deferred() as stop:
    os.kill(os.getpid(), signal.SIGHUP)
    assert not stop.is_set()
  assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

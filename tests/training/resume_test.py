"""A run that was stopped or crashed goes on to the same bits."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from rethinking.training import loop, summary
from rethinking.training import run as train

from . import runs


@pytest.mark.parametrize("epoch", [1, 4])
def test_a_crash_and_a_restart_end_in_the_same_bits(
  undisturbed, tmp_path, monkeypatch, epoch
):
  workdir, _ = undisturbed
  whole = loop.Loop.save

  def crash(self, **best):
    if self.slots.active[0].epoch == epoch + 1:
      raise RuntimeError("power cut")
    whole(self, **best)

  with monkeypatch.context() as patch:
    patch.setattr(loop.Loop, "save", crash)
    with pytest.raises(RuntimeError, match="power cut"):
      train.run(runs.config(), tmp_path, quiet=True)
  # The row of the epoch that was not saved is there, and goes.
  assert runs.rows(tmp_path)[-1]["epoch"] == epoch + 1
  train.run(runs.config(), tmp_path, quiet=True)
  runs.assert_same(tmp_path, workdir, runs.config())


@pytest.mark.parametrize(
  "arch",
  ["mlp_1x512", pytest.param("keras_cifar_cnn", marks=pytest.mark.slow)],
)
def test_a_stop_at_any_step_and_a_restart_end_in_the_same_bits(
  tmp_path, monkeypatch, arch
):
  config = runs.config(
    arch=arch, subset=64, batch_size=32, epochs=2, dropout=None
  )
  whole = tmp_path / "whole"
  train.run(config, whole, quiet=True)
  # BatchNorm's statistics must survive too; the last step is a case of its own.
  for last in (1, 4):
    workdir = tmp_path / f"stopped{last}"
    message = f"at step {last}.*{workdir}"
    with runs.stopped_after(monkeypatch, last, message):
      train.run(config, workdir, quiet=True)
    summary = train.run(config, workdir, quiet=True)
    assert (summary["epoch"], summary["steps"]) == (2, 4)
    assert runs.rows(workdir) == runs.rows(whole)


@pytest.mark.parametrize("last", [3, 16])
def test_an_augmented_run_resumes_to_the_same_bits(tmp_path, monkeypatch, last):
  config = runs.config(augment="keras_mnist", normalization="global", epochs=3)
  train.run(config, tmp_path / "whole", quiet=True)
  with runs.stopped_after(monkeypatch, last):
    train.run(config, tmp_path / "stopped", quiet=True)
  train.run(config, tmp_path / "stopped", quiet=True)
  runs.assert_same(tmp_path / "stopped", tmp_path / "whole", config)


def test_a_redrawn_run_resumes_to_the_same_bits(tmp_path, monkeypatch):
  config = runs.config(redraw="epoch", pixel_noise="random_pixels", epochs=4)
  train.run(config, tmp_path / "whole", quiet=True)
  with runs.stopped_after(monkeypatch, 9):
    train.run(config, tmp_path / "stopped", quiet=True)
  train.run(config, tmp_path / "stopped", quiet=True)
  runs.assert_same(tmp_path / "stopped", tmp_path / "whole", config)
  fixed = runs.config(pixel_noise="random_pixels", epochs=4)
  train.run(fixed, tmp_path / "fixed", quiet=True)
  losses = [
    [row["train_loss"] for row in runs.rows(tmp_path / name)]
    for name in ("whole", "fixed")
  ]
  assert losses[0][-1] != losses[1][-1]


def test_checkpoints_come_at_the_evaluation_after_they_are_due(
  tmp_path, monkeypatch
):
  saved = []
  whole = loop.Loop.save

  def save(self, **best):
    saved.append(self.slots.active[0].epoch)
    whole(self, **best)

  monkeypatch.setattr(loop.Loop, "save", save)
  train.run(
    runs.config(subset=48, epochs=12, eval_epochs=5, checkpoint_epochs=2),
    tmp_path,
    quiet=True,
  )
  assert saved == [5, 10, 12]


def test_a_damaged_newest_checkpoint_falls_back(
  undisturbed, tmp_path, monkeypatch, capsys
):
  workdir, _ = undisturbed

  def crash(self, *_):
    raise RuntimeError("power cut")

  with monkeypatch.context() as patch:
    patch.setattr(summary, "finish", crash)
    with pytest.raises(RuntimeError, match="power cut"):
      train.run(runs.config(), tmp_path, quiet=True)
  newest = runs.newest(tmp_path)
  largest = max(
    (f for f in newest.rglob("*") if f.is_file()),
    key=lambda f: f.stat().st_size,
  )
  data = bytearray(largest.read_bytes())
  data[len(data) // 2] ^= 1
  largest.write_bytes(data)
  train.run(runs.config(), tmp_path)
  assert f"warning: The checkpoint of step {newest.name}" in (
    capsys.readouterr().out
  )
  assert runs.rows(tmp_path) == runs.rows(workdir)


def test_a_finished_run_says_so_and_changes_nothing(undisturbed, capsys):
  workdir, summary = undisturbed
  before = {p: p.stat().st_mtime_ns for p in workdir.rglob("*")}
  assert train.run(runs.config(), workdir) == summary
  assert "Finished already" in capsys.readouterr().out
  assert {p: p.stat().st_mtime_ns for p in workdir.rglob("*")} == before


def test_a_run_of_before_the_test_set_was_noted_goes_on(tmp_path, monkeypatch):
  with runs.stopped_after(monkeypatch, 7):
    train.run(runs.config(), tmp_path, quiet=True)
  path = tmp_path / "corruption.json"
  whole = json.loads(path.read_text())
  old = {k: v for k, v in whole.items() if not k.startswith("test_")}
  assert len(whole) == len(old) + 2
  path.write_text(json.dumps(old))
  train.run(runs.config(), tmp_path, quiet=True)
  assert json.loads(path.read_text()) == whole


_ROOT = pathlib.Path(__file__).parents[2]


def _command(workdir, *extra):
  return [
    sys.executable,
    "-m",
    "rethinking.main",
    "--config=configs/digits.py:random_labels,subset=512,arch=mlp_1x512,"
    "epochs=40,checkpoint_epochs=2,plots=false,tensorboard=false",
    f"--workdir={workdir}",
    *extra,
  ]


def _start_and(number, workdir, cache):
  """Runs the command and sends a signal when it has evaluated ten times."""
  environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
  process = subprocess.Popen(
    _command(workdir),
    cwd=_ROOT,
    env=environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  metrics = workdir / "metrics.jsonl"
  for _ in range(600):
    if metrics.exists() and len(metrics.read_bytes().splitlines()) > 10:
      break
    time.sleep(0.1)
  process.send_signal(number)
  out, err = process.communicate(timeout=60)
  return process.returncode, out, err


def test_kill_9_and_sigterm_then_the_same_command_again(tmp_path):
  cache = tmp_path / "cache"
  environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
  whole = tmp_path / "whole"
  subprocess.run(
    _command(whole), cwd=_ROOT, env=environment, check=True, capture_output=True
  )
  broken = tmp_path / "broken"
  code, _, _ = _start_and(signal.SIGKILL, broken, cache)
  assert code == -signal.SIGKILL
  assert not (broken / "summary.json").exists()
  stopped = tmp_path / "stopped"
  code, _, err = _start_and(signal.SIGTERM, stopped, cache)
  assert code == 75
  assert f"the same command with --workdir={stopped} continues" in err
  assert "Traceback" not in err
  for workdir in (broken, stopped):
    subprocess.run(
      _command(workdir),
      cwd=_ROOT,
      env=environment,
      check=True,
      capture_output=True,
    )
    assert runs.rows(workdir) == runs.rows(whole)

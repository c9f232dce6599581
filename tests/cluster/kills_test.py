"""Shares that are killed, as commands, at moments of chance."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest
from sharing_test import _DRAWN, _rows, _text

_ROOT = pathlib.Path(__file__).parents[2]
_KILLS = 3


def _command(workdir, *flags):
  return subprocess.Popen(
    [
      sys.executable,
      "-m",
      "rethinking.main",
      "--config=configs/digits.py:figure1",
      f"--workdir={workdir}",
      "--config.epochs=3",
      "--config.checkpoint_epochs=1",
      "--config.subset=500",
      "--config.only=mlp",
      *flags,
    ],
    cwd=_ROOT,
    env={**os.environ, "JAX_PLATFORMS": "cpu"},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


@pytest.mark.slow
def test_three_shares_killed_three_times_each_leave_what_one_leaves(tmp_path):
  began = time.monotonic()
  whole = _command(tmp_path / "whole")
  assert whole.communicate()[0] and whole.returncode == 0
  each = time.monotonic() - began
  draw = random.Random(0)
  for _ in range(_KILLS):
    running = [
      _command(tmp_path / "w", f"--shard={index}/3") for index in range(3)
    ]
    for one in sorted(running, key=lambda _: draw.random()):
      time.sleep(draw.uniform(0.1, 0.6) * each)
      one.send_signal(signal.SIGKILL)
      one.communicate()
  running = [
    _command(tmp_path / "w", f"--shard={index}/3") for index in range(3)
  ]
  for one in running:
    said, _ = one.communicate()
    assert one.returncode == 0, said
  assert _rows(tmp_path / "w") == _rows(tmp_path / "whole")
  for name in _DRAWN:
    assert _text(tmp_path / "w" / name) == _text(tmp_path / "whole" / name)
  assert not (tmp_path / "w" / "shares").exists()

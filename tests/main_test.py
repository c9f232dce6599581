"""The command line as a user meets it: one line for each mistake."""

import os
import pathlib
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).parent.parent


def _run(*flags):
  return subprocess.run(
    [sys.executable, "-m", "rethinking.main", *flags],
    cwd=_ROOT,
    env={**os.environ, "JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
  )


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    ([], "--config is missing"),
    (["--config=configs/nothing.py:x"], "no config file 'configs/nothing.py'"),
    (["--config=configs/digits.py:foo"], "Unknown variant 'foo'; choose"),
    (
      ["--config=configs/digits.py:true_labels", "--config.foo=1"],
      "foo",
    ),
    (
      ["--config=configs/digits.py:true_labels", "--config.epochs=few"],
      "epochs",
    ),
    (
      ["--config=configs/digits.py:true_labels,epochs=-3", "--workdir=nowhere"],
      "epochs is -3; it must be at least 1",
    ),
    (["--config=configs/digits.py:true_labels", "--foo=1"], "foo"),
    (["--config=configs/digits.py:true_labels,seed=none"], "seed=none"),
    (["--config=", "--workdir=x"], "no config file ''"),
    (
      ["--config=configs/digits.py:true_labels", "--config.experiment=foo"],
      "Unknown experiment 'foo'; choose one of",
    ),
    (
      [
        "--config=configs/digits.py:true_labels",
        "--config.variant=random_labels",
      ],
      "--config.variant would change nothing but the name",
    ),
    (
      ["--config=configs/digits.py:true_labels", "--process_id=0"],
      "--process_id goes with --multihost",
    ),
    (
      ["--config=configs/digits.py:true_labels", "--multihost"],
      "--multihost needs --workdir",
    ),
    (
      ["--config=configs/digits.py:kernel", "--multihost", "--workdir=nowhere"],
      "'kernel' runs in one process",
    ),
    (
      [
        "--config=configs/digits.py:true_labels",
        "--multihost",
        "--workdir=nowhere",
      ],
      "--multihost found no cluster",
    ),
  ],
)
def test_a_mistake_is_one_line_and_code_2(flags, message):
  found = _run(*flags)
  assert found.returncode == 2
  assert found.stderr.startswith("error: ") and message in found.stderr
  assert len(found.stderr.strip().splitlines()) == 1
  assert not (_ROOT / "nowhere").exists()


def test_help_explains():
  found = _run("--help")
  assert found.returncode == 0
  assert "--workdir" in found.stdout and "--config" in found.stdout
  assert "Exit codes" in found.stdout

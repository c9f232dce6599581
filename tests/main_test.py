"""The command line as a user meets it: one line for each mistake."""

import os
import pathlib
import signal
import subprocess
import sys
import types

import pytest

from rethinking import config as config_lib
from rethinking import data, main, models
from rethinking.config import experiments, fields
from rethinking.runtime import cli, processes
from rethinking.training import run as train

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
    ([], "--config must be given, got none; try"),
    (
      ["--config=configs/nothing.py:x"],
      "must be a config file, got 'configs/nothing.py', which",
    ),
    (["--config=configs/digits.py:foo"], "got 'foo'; try one of these"),
    (
      ["--config=configs/digits.py:true_labels", "--config.foo=1"],
      "field must be one of ['arch', ",
    ),
    (
      ["--config=configs/digits.py:true_labels", "--config.epochs=few"],
      "epochs",
    ),
    (
      ["--config=configs/digits.py:true_labels,epochs=-3", "--workdir=nowhere"],
      "epochs must be at least 1, got -3",
    ),
    (["--config=configs/digits.py:true_labels", "--foo=1"], "foo"),
    (["--config=configs/digits.py:true_labels,seed=none"], "got 'none'; try 1"),
    (["--config=", "--workdir=x"], "must be a config file, got '', which"),
    (
      ["--config=configs/digits.py:true_labels", "--workdir="],
      "--workdir must be a folder, got ''",
    ),
    (
      ["--config=configs/digits.py:true_labels", "--config.experiment=foo"],
      "experiment must be one of [",
    ),
    (
      [
        "--config=configs/digits.py:true_labels",
        "--config.variant=random_labels",
      ],
      "config's path, got --config.variant, which changes the name",
    ),
    (
      ["--config=configs/digits.py:true_labels", "--process_id=0"],
      "--process_id must be with --multihost",
    ),
    (
      ["--config=configs/digits.py:true_labels", "--multihost"],
      "--multihost must have a --workdir",
    ),
    (
      ["--config=configs/digits.py:kernel", "--multihost", "--workdir=nowhere"],
      "must be left out of 'kernel', which runs in one process",
    ),
    (
      [
        "--config=configs/digits.py:true_labels",
        "--multihost",
        "--workdir=nowhere",
      ],
      "--multihost must be in a cluster",
    ),
    (
      ["--config=configs/digits.py:levels", "--plan"],
      "--plan must be with --shard",
    ),
    (
      ["--config=configs/digits.py:levels", "--shard=0/2"],
      "--shard must have a --workdir",
    ),
    (
      ["--config=configs/digits.py:levels", "--shard=2/2", "--workdir=nowhere"],
      "--shard must be I/N with I from 0 to N - 1, got '2/2'",
    ),
    (
      ["--config=configs/digits.py:levels", "--shard=auto"],
      "--shard=auto must be in a Slurm array",
    ),
    (
      ["--config=configs/digits.py:true_labels", "--shard=0/2"],
      "experiment must be sweep here, got train",
    ),
    (
      ["--config=configs/digits.py:levels", "--shard=0/2", "--multihost"]
      + ["--workdir=nowhere"],
      "--shard must be without --multihost, got both",
    ),
  ],
)
def test_a_mistake_is_one_line_and_code_2(flags, message):
  found = _run(*flags)
  assert found.returncode == 2
  assert found.stderr.startswith("error: ") and message in found.stderr
  assert len(found.stderr.strip().splitlines()) == 1
  assert not (_ROOT / "nowhere").exists()


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("x = 1\ndef get_config(\n", "fails in line 2 (SyntaxError: '(' was never"),
    ("\nimport nosuch\n", "fails in line 2 (ModuleNotFoundError: No module"),
    ("def get_config():\n  return 1 / 0\n", "fails in line 2 (ZeroDivisionEr"),
    (
      "def get_config():\n  return 3\n",
      "must return a ConfigDict, got a int; try",
    ),
    ("x = 1\n", "must have get_config(), got"),
    (
      "from ml_collections import ConfigDict\n"
      "def get_config():\n  return ConfigDict({'experiment': 'train'})\n",
      "got one without ['arch', 'augment', ",
    ),
  ],
)
def test_a_config_file_that_cannot_be_used_is_one_line(tmp_path, text, message):
  path = tmp_path / "mine.py"
  path.write_text(text)
  found = _run(f"--config={path}", f"--workdir={tmp_path / 'w'}")
  assert found.returncode == 2
  assert found.stderr.startswith("error: ") and message in found.stderr
  assert len(found.stderr.strip().splitlines()) == 1
  assert not (tmp_path / "w").exists()


def test_help_explains():
  found = _run("--help")
  assert found.returncode == 0
  assert "--workdir" in found.stdout and "--config" in found.stdout
  assert "Exit codes" in found.stdout
  _, _, listed = found.stdout.partition("Experiments")
  assert max(map(len, listed.splitlines())) <= 80
  rows = [*config_lib.VARIANTS, *models.ARCHITECTURES, *data.NAMES]
  rows += [f"{row.name}=" for row in fields.TABLE]
  rows += experiments.EXPERIMENTS
  for row in rows:
    assert f"\n  {row}" in found.stdout


def test_beside_its_clone_it_is_found_and_so_are_its_configs(tmp_path):
  (tmp_path / "rethinking" / "rethinking").mkdir(parents=True)
  found = subprocess.run(
    [sys.executable, "-m", "rethinking.main"]
    + ["--config=configs/digits.py:foo"],
    cwd=tmp_path,
    capture_output=True,
    text=True,
  )
  assert "No module named" not in found.stderr
  assert "must be a config file" not in found.stderr
  assert "foo" in found.stderr and found.returncode == 2, found.stderr


def test_help_waits_for_neither_jax_nor_flax():
  code = (
    "import runpy, sys, time\n"
    "try:\n  runpy.run_module('rethinking.main', run_name='__main__')\n"
    "except SystemExit:\n  pass\n"
    "print({'jax', 'flax'} & {*sys.modules}, file=sys.stderr)\n"
    "print(time.process_time(), file=sys.stderr)\n"
  )
  found = subprocess.run(
    [sys.executable, "-c", code, "--help"],
    cwd=_ROOT,
    capture_output=True,
    text=True,
  )
  heavy, seconds = found.stderr.splitlines()
  assert heavy == "set()" and float(seconds) < 1


@pytest.mark.parametrize("several", [True, False])
def test_ctrl_c_in_one_of_several_does_not_wait_for_the_others(
  tmp_path, monkeypatch, capsys, several
):
  def interrupted(*_):
    raise KeyboardInterrupt

  def exit_now(code):
    raise SystemExit(code)

  monkeypatch.setattr(train, "run", interrupted)
  monkeypatch.setattr(processes, "several", lambda: several)
  monkeypatch.setattr(processes, "exit_now", exit_now)
  names = "MULTIHOST COORDINATOR PROCESS_COUNT PROCESS_ID PRED_PROBS SHARD PLAN"
  for name in names.split():
    monkeypatch.setattr(main, f"_{name}", types.SimpleNamespace(value=None))
  workdir = types.SimpleNamespace(value=str(tmp_path))
  monkeypatch.setattr(main, "_WORKDIR", workdir)
  if several:
    with pytest.raises(SystemExit) as ended:
      main.main(config_lib.default())
    assert ended.value.code == cli.STOPPED
  else:
    assert main.main(config_lib.default()) == cli.STOPPED
  said = "Stopped before anything was saved; the same command begins anew.\n"
  assert capsys.readouterr().err == said


@pytest.mark.parametrize(
  ("command", "number"),
  [
    ("main", "SIGINT"),
    ("main", "SIGHUP"),
    ("export", "SIGINT"),
    ("report", "SIGTERM"),
    ("data", "SIGINT"),
    ("benchmark", "SIGINT"),
  ],
)
def test_a_signal_while_a_command_imports_is_one_line(
  tmp_path, command, number
):
  # What each of them imports before its flags are read.
  for name in ("absl", "etils", "numpy"):
    (tmp_path / f"{name}.py").write_text(
      f"import os, signal\nos.kill(os.getpid(), signal.{number})\n"
    )
  found = _module(f"rethinking.{command}", tmp_path)
  said = "Stopped before it began; nothing was changed.\n"
  assert (found.returncode, found.stderr) == (75, said)


def test_ctrl_c_of_another_program_is_its_own(tmp_path):
  # Its package is imported while Python looks for the module to run.
  (tmp_path / "my_rethinking").mkdir()
  (tmp_path / "my_rethinking" / "__init__.py").write_text("import rethinking\n")
  (tmp_path / "my_rethinking" / "train.py").write_text(
    "import signal\n"
    "own = signal.getsignal(signal.SIGINT)\n"
    "assert own is signal.default_int_handler\n"
  )
  found = _module("my_rethinking.train", tmp_path)
  assert found.returncode == 0, found.stderr


def _module(name, path):
  """Runs a module with what is in a folder before what is installed."""
  # A job in the background ignores Ctrl-C, and so would what it starts.
  old = signal.signal(signal.SIGINT, signal.default_int_handler)
  try:
    return subprocess.run(
      [sys.executable, "-m", name],
      env={**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{_ROOT}"},
      cwd=path,
      capture_output=True,
      text=True,
    )
  finally:
    signal.signal(signal.SIGINT, old)

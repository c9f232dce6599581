"""What CI runs."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
  ("fails", "code"), [("", 0), ("test", 1), ("check", 1), ("format", 1)]
)
def test_ci_runs_everything_and_fails_if_anything_does(tmp_path, fails, code):
  tree = tmp_path / "tree"
  (tree / ".ci").mkdir(parents=True)
  (tree / ".venv" / "bin").mkdir(parents=True)
  shutil.copy(ROOT / ".ci" / "run", tree / ".ci")
  fake = (
    '#!/bin/bash\necho "ran $* in $PWD, data ${TFDS_DATA_DIR-none}"\n'
    f'[[ " $* " != *" {fails or "nothing"} "* ]]\n'
  )
  for name in ("launch.sh", ".venv/bin/python"):
    (tree / name).write_text(fake)
    (tree / name).chmod(0o755)
  result = subprocess.run(
    ["bash", str(tree / ".ci" / "run")],
    env={"PATH": os.environ["PATH"]},
    capture_output=True,
    text=True,
  )
  assert result.returncode == code
  ran = [s for s in result.stdout.splitlines() if s.startswith("ran ")]
  assert ran == [
    f"ran {what} in {tree}, data none"
    for what in ("test", "-m ruff check .", "-m ruff format --check .")
  ]

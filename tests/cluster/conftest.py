"""The sections of `launch.sh --help` whose recipes are tried."""

import os
import pathlib
import subprocess

import pytest

_ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
  """What it says, by title."""
  found = subprocess.run(
    ["bash", "launch.sh", "--help"],
    cwd=_ROOT,
    # No environment: the flags of the job are not asked for.
    env={**os.environ, "LAUNCH_VENV": "no-such-venv"},
    capture_output=True,
    text=True,
    check=True,
  )
  parts = [part.partition("\n") for part in found.stdout.split("\n\n")]
  return {title: text + "\n" for title, _, text in parts}

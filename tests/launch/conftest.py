"""A machine without Python, one with it, and one with a cloud behind it."""

import contextlib
import os
import pathlib
import signal
from collections.abc import Iterator

import fakes
import pytest


@pytest.fixture
def bare(tmp_path: pathlib.Path) -> Iterator[fakes.Machine]:
  machine = fakes.Machine(tmp_path)
  yield machine
  for process in machine.started:
    # What a failed test left running shares the launcher's process group.
    with contextlib.suppress(ProcessLookupError):
      os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def machine(bare: fakes.Machine) -> fakes.Machine:
  bare.add("python3", fakes.PYTHON)
  return bare


@pytest.fixture
def cloud(machine: fakes.Machine) -> fakes.Machine:
  machine.add("gcloud", fakes.GCLOUD)
  machine.add("curl", fakes.CURL)
  for worker in "01":
    (machine.folder / "workers" / worker).mkdir(parents=True)
  return machine

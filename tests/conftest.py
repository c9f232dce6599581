"""Every test runs strictly: four devices, no silent broadcasting.

The variables are read when JAX starts its backends, so they are set before
anything here imports it.
"""

import contextlib
import ctypes
import os
import pathlib
import sys
import weakref
from collections.abc import Iterator

import hypothesis
import pytest

# The same examples on every machine, and no clock: compiling takes its time.
hypothesis.settings.register_profile(
  "rethinking", max_examples=40, deadline=None, derandomize=True, database=None
)
hypothesis.settings.load_profile("rethinking")

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
# Four devices meet in a step. XLA ends the process where one of them comes 40
# seconds late, as on a machine that is busy with something else.
os.environ["XLA_FLAGS"] = (
  os.environ.get("XLA_FLAGS", "")
  + " --xla_force_host_platform_device_count=4"
  + " --xla_cpu_collective_call_terminate_timeout_seconds=600"
).strip()

import jax  # noqa: E402

from rethinking.runtime import backend  # noqa: E402

# What every command sets first: in whichever order tests run, they see the
# programs that users see.
backend.configure(compilation_cache=False)


def pytest_addoption(parser: pytest.Parser) -> None:
  """--golden=write keeps what tests/golden finds as its values."""
  parser.addoption("--golden", choices=("compare", "write"), default="compare")


@pytest.fixture(scope="module", autouse=True)
def _forget_programs() -> Iterator[None]:
  """Compiled programs of one file are of no use to the next, but stay."""
  yield
  jax.clear_caches()
  # The package asks glibc to keep what is freed.
  with contextlib.suppress(AttributeError):
    ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(autouse=True)
def _forget_data(monkeypatch: pytest.MonkeyPatch) -> None:
  """A test may load other data by a name that an earlier one still holds."""
  if task := sys.modules.get("rethinking.training.task"):
    monkeypatch.setattr(task, "_DATASETS", weakref.WeakValueDictionary())


@pytest.fixture(scope="session")
def tfds_dir() -> pathlib.Path:
  """The prepared MNIST and CIFAR-10, or a skip that says how to get them."""
  folder = os.environ.get("TFDS_DATA_DIR")
  if not folder or not (pathlib.Path(folder) / "cifar10").is_dir():
    pytest.skip(
      "no prepared MNIST and CIFAR-10: run `python -m rethinking.data mnist"
      " cifar10` once and point TFDS_DATA_DIR at the folder it names"
    )
  return pathlib.Path(folder)

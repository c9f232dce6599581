"""What is set before JAX starts, and what comes too late."""

import json
import os
import platform
import resource
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from rethinking.ops import switch
from rethinking.runtime import backend, xla_flags
from rethinking.runtime.errors import UserError

_FLAG = "--xla_gpu_deterministic_ops=true"

_takes_flags = pytest.mark.skipif(
  xla_flags.accepted() != xla_flags.CPU_FLAGS,
  reason="this jaxlib does not take the CPU's flags",
)


def _printed(code, **environment):
  """The words that some code prints in a fresh process."""
  given = {"XLA_FLAGS", "GLIBC_TUNABLES", *backend._USERS}
  plain = {k: v for k, v in os.environ.items() if k not in given}
  found = subprocess.run(
    [
      sys.executable,
      "-c",
      f"import os\nfrom rethinking.runtime import backend\n{code}",
    ],
    env={**plain, **environment},
    capture_output=True,
    text=True,
    check=True,
  )
  return found.stdout.split()


def _flags(code, **environment):
  """XLA_FLAGS after some code in a fresh process."""
  code = f"{code}\nprint(os.environ.get('XLA_FLAGS', ''))"
  return _printed(code, **environment)


@_takes_flags
def test_the_flags_of_the_user_stay():
  configure = "backend.configure(compilation_cache=False)"
  own, *others = xla_flags.CPU_FLAGS
  assert _flags(configure, JAX_PLATFORMS="cpu") == [own, *others]
  name = own.partition("=")[0]
  given = f"{name}=-reduce --xla_cpu_enable_fast_math=false"
  assert _flags(configure, JAX_PLATFORMS="cpu", XLA_FLAGS=given) == [
    *given.split(),
    *others,
  ]
  assert _flags(configure, JAX_PLATFORMS="cuda") == []


_FAULTS = """
backend.configure(compilation_cache=False)
import jax, jax.numpy as jnp, resource

step = jax.jit(lambda x: jnp.cumsum(jnp.sort(x, 1), 0))
x = jnp.ones((1024, 4096))

def faults(count):
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  for _ in range(count):
    step(x).block_until_ready()
  return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(5)
print(faults(10), jax.config.values["jax_cpu_enable_async_dispatch"])
"""


def _glibc() -> tuple[int, ...]:
  name, version = platform.libc_ver()
  return tuple(map(int, version.split("."))) if name == "glibc" else ()


@pytest.mark.skipif(
  _glibc() < (2, 35), reason="memory is kept from glibc 2.35 on"
)
def test_steps_reuse_the_memory_of_the_last_one():
  """Ten would have the system clear ten outputs of 16 MiB, and more."""
  faults, in_thread_of_its_own = _printed(_FAULTS, JAX_PLATFORMS="cpu")
  assert int(faults) < 10 * 2**24 // resource.getpagesize()
  assert in_thread_of_its_own == "False"


@pytest.mark.parametrize(
  "given",
  [
    pytest.param(
      {"GLIBC_TUNABLES": "glibc.malloc.check=0"}, marks=pytest.mark.slow
    ),
    pytest.param({"MALLOC_TOP_PAD_": "0"}, marks=pytest.mark.slow),
    {"JAX_CPU_ENABLE_ASYNC_DISPATCH": "1"},
  ],
  ids=str,
)
def test_the_users_settings_of_memory_stay(given):
  *_, in_thread_of_its_own = _printed(_FAULTS, JAX_PLATFORMS="cpu", **given)
  assert in_thread_of_its_own == "True"


def test_memory_is_not_touched_once_jax_has_started(monkeypatch):
  jax.devices()
  monkeypatch.setattr(backend.ctypes, "CDLL", lambda _: pytest.fail("touched"))
  for name in ("GLIBC_TUNABLES", *backend._USERS):
    monkeypatch.delenv(name, raising=False)
  backend.configure(compilation_cache=False)


@_takes_flags
def test_what_is_materialized_stays_apart_in_the_program():
  """A flag sees to it; without, XLA fuses across."""

  def transposed(x):
    return switch.materialized(2 * x + 1).T

  text = jax.jit(transposed).lower(jnp.ones((4, 3))).compile().as_text()
  assert " opt-barrier(" in text


def test_deterministic_sets_its_flag_or_is_refused(monkeypatch):
  assert _flags(
    "backend.configure(deterministic=True, compilation_cache=False)",
    JAX_PLATFORMS="cuda",
  ) == [_FLAG]
  # Once JAX has started; on a CPU there is nothing to set.
  jax.devices()
  backend.configure(deterministic=True, compilation_cache=False)
  monkeypatch.setattr(backend, "_cpu_only", lambda: False)
  with pytest.raises(UserError, match="must be set before JAX"):
    backend.configure(deterministic=True, compilation_cache=False)
  monkeypatch.setenv("XLA_FLAGS", _FLAG)
  backend.configure(deterministic=True, compilation_cache=False)


def test_the_description_is_json():
  found = json.loads(json.dumps(backend.describe(jax.devices())))
  assert found["platform"] == "cpu" and found["device_count"] == 4
  assert found["versions"]["jax"] == jax.__version__


@pytest.mark.parametrize(
  "name",
  ["nvidia7", "nvidiactl", "dxg", "kfd", "accel3", "vfio/12"],
)
def test_an_accelerator_is_one_whatever_its_number(monkeypatch, tmp_path, name):
  jax_platforms = jax.config.jax_platforms
  monkeypatch.delenv("JAX_PLATFORMS", raising=False)
  files = [f"{tmp_path}{pattern}" for pattern in backend._DEVICE_FILES]
  monkeypatch.setattr(backend, "_DEVICE_FILES", files)
  # As on a machine whose kernel could pass devices on, and passes on none.
  (tmp_path / "dev" / "vfio").mkdir(parents=True)
  (tmp_path / "dev" / "vfio" / "vfio").touch()
  (tmp_path / "dev" / "accel").mkdir()
  jax.config.update("jax_platforms", None)
  try:
    assert backend._cpu_only()
    (tmp_path / "dev" / name).touch()
    assert not backend._cpu_only()
  finally:
    jax.config.update("jax_platforms", jax_platforms)


def test_the_driver_is_what_its_file_says(monkeypatch, tmp_path):
  path = tmp_path / "version"
  monkeypatch.setattr(backend, "_NVIDIA_DRIVER", path)
  assert backend.describe(jax.devices())["driver"] is None
  path.write_text(
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  "
    "Release Build  (builder@host)\nGCC version:  gcc version 12.3.0\n"
  )
  assert backend.describe(jax.devices())["driver"] == "580.95.05"


def test_packages_of_accelerators_are_among_the_versions(monkeypatch):
  monkeypatch.setattr(backend, "_PLUGINS", ("pytest", "no-such-package"))
  versions = backend.describe(jax.devices())["versions"]
  assert versions["pytest"] == pytest.__version__
  assert "no-such-package" not in versions

"""What is set before JAX starts, and what comes too late."""

import json
import os
import platform
import subprocess
import sys

import jax
import jax.numpy as jnp
import jaxlib
import pytest

from rethinking import runtime
from rethinking.errors import UserError
from rethinking.models import linear

_FLAG = "--xla_gpu_deterministic_ops=true"


_tried = pytest.mark.skipif(
  not jaxlib.__version__.startswith(runtime._TRIED_JAXLIB),
  reason="XLA flags are set for the versions that they were tried on",
)


def _printed(code, **environment):
  """The words that some code prints in a fresh process."""
  plain = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
  found = subprocess.run(
    [
      sys.executable,
      "-c",
      f"import os\nfrom rethinking import runtime\n{code}",
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


@_tried
def test_the_flags_of_the_user_stay():
  configure = "runtime.configure(compilation_cache=False)"
  own, *others = runtime._CPU_FLAGS
  assert _flags(configure, JAX_PLATFORMS="cpu") == [own, *others]
  name = own.partition("=")[0]
  given = f"{name}=-reduce --xla_cpu_enable_fast_math=false"
  assert _flags(configure, JAX_PLATFORMS="cpu", XLA_FLAGS=given) == [
    *given.split(),
    *others,
  ]
  assert _flags(configure, JAX_PLATFORMS="cuda") == []


def test_a_jaxlib_not_tried_gets_no_flags(monkeypatch):
  monkeypatch.setattr(jaxlib, "__version__", "0.9.9")
  monkeypatch.setenv("XLA_FLAGS", "")
  runtime.configure(compilation_cache=False)
  assert os.environ["XLA_FLAGS"] == ""


_FAULTS = """
runtime.configure(compilation_cache=False)
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


@pytest.mark.skipif(
  platform.libc_ver()[0] != "glibc", reason="memory is kept where glibc is"
)
@pytest.mark.parametrize(
  ("given", "kept"),
  [
    ({}, True),
    ({"GLIBC_TUNABLES": "glibc.malloc.check=0"}, False),
    ({"JAX_CPU_ENABLE_ASYNC_DISPATCH": "1"}, False),
  ],
  ids=["default", "tunables", "dispatch"],
)
def test_steps_take_up_the_memory_of_the_last_one(given, kept):
  """Pages that the system clears anew in ten; one's output alone has 4,096."""
  faults, another_thread = _printed(_FAULTS, JAX_PLATFORMS="cpu", **given)
  assert (int(faults) < 10 * 4096) == kept
  assert (another_thread == "False") == kept


@_tried
def test_what_is_materialized_stays_apart_in_the_program():
  """A flag sees to it; without, XLA fuses across."""

  def transposed(x):
    return linear.materialized(2 * x + 1).T

  text = jax.jit(transposed).lower(jnp.ones((4, 3))).compile().as_text()
  assert " opt-barrier(" in text


def test_deterministic_sets_its_flag_or_is_refused(monkeypatch):
  assert _flags(
    "runtime.configure(deterministic=True, compilation_cache=False)",
    JAX_PLATFORMS="cuda",
  ) == [_FLAG]
  # Once JAX has started; on a CPU there is nothing to set.
  jax.devices()
  runtime.configure(deterministic=True, compilation_cache=False)
  monkeypatch.setattr(runtime, "_cpu_only", lambda: False)
  with pytest.raises(UserError, match="comes too late"):
    runtime.configure(deterministic=True, compilation_cache=False)
  monkeypatch.setenv("XLA_FLAGS", _FLAG)
  runtime.configure(deterministic=True, compilation_cache=False)


def test_the_description_is_json():
  found = json.loads(json.dumps(runtime.describe(jax.devices())))
  assert found["platform"] == "cpu" and found["device_count"] == 4
  assert found["versions"]["jax"] == jax.__version__

"""Starts JAX on this machine: flags, memory, program cache, description."""

import contextlib
import ctypes
import glob
import importlib.metadata
import os
import pathlib
import platform
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jaxlib
import numpy as np
from etils import epath
from jax.experimental.compilation_cache import compilation_cache

from rethinking.runtime import paths, processes, xla_flags
from rethinking.runtime.errors import UserError

_DETERMINISTIC = "--xla_gpu_deterministic_ops=true"

# Parameters of glibc's mallopt (malloc.h), and their new values in bytes.
_TRIM_THRESHOLD = (-1, 2**31 - 1)
_MMAP_THRESHOLD = (-3, 2**30)
# Of NVIDIA's GPUs, on WSL2 too; AMD's; TPUs. A container may see some of them.
_DEVICE_FILES = (
  "/dev/nvidiactl",
  "/dev/nvidia[0-9]*",
  "/dev/dxg",
  "/dev/kfd",
  "/dev/accel[0-9]*",
  "/dev/vfio/[0-9]*",
)
_NVIDIA_DRIVER = pathlib.Path("/proc/driver/nvidia/version")
# What compiles for and runs on accelerators, where it is installed.
_PLUGINS = ("libtpu", "jax-cuda12-plugin", "jax-cuda13-plugin")
# By these users say how memory is kept, or where programs run.
_USERS = {
  "JAX_CPU_ENABLE_ASYNC_DISPATCH",
  "MALLOC_MMAP_MAX_",
  "MALLOC_MMAP_THRESHOLD_",
  "MALLOC_TOP_PAD_",
  "MALLOC_TRIM_THRESHOLD_",
}


def configure(
  *, compilation_cache: bool = True, deterministic: bool = False
) -> None:
  """Sets what helps on this platform; best before JAX's first computation.

  XLA reads its flags when JAX starts its devices; called later, as in a
  notebook, this changes nothing but the cache. A flag that XLA_FLAGS names
  already is left as the user set it. On a CPU the whole process also keeps the
  memory that it frees, up to 2 GiB, for the next step's arrays, and JAX runs
  programs in the thread that calls them.

  Args:
    compilation_cache: keep compiled programs in the user's cache folder.
    deterministic: the same bits in every run on a GPU too.

  Raises:
    UserError: for `deterministic` where it comes too late to be kept.
  """
  given = os.environ.get("XLA_FLAGS", "").split()
  wanted = ()
  if _cpu_only():
    _keep_memory()
    wanted = () if _started() else xla_flags.accepted()
  elif deterministic:
    wanted = (_DETERMINISTIC,)
    if _DETERMINISTIC not in given and _started():
      raise UserError(
        "deterministic must be set before JAX's devices are started, got True "
        f"after; try XLA_FLAGS={_DETERMINISTIC} before Python, or this "
        "call first."
      )
  named = {flag.partition("=")[0] for flag in given}
  new = [flag for flag in wanted if flag.partition("=")[0] not in named]
  if new:
    os.environ["XLA_FLAGS"] = " ".join([*given, *new])
  if compilation_cache:
    _use_compilation_cache()


def devices() -> list[jax.Device]:
  """Returns JAX's devices; starts them.

  Raises:
    UserError: where the platform that the user chose cannot be started, and
      where JAX is set to what no run can be made with.
  """
  _check_settings()
  try:
    return jax.devices()
  # JAX asserts where a platform that it knows has no device.
  except (AssertionError, RuntimeError) as error:
    chosen = jax.config.jax_platforms
    if not chosen:
      raise
    reason = str(error).partition("\n")[0].partition(". (")[0]
    raise UserError(
      f"JAX_PLATFORMS must name a platform of this machine, got {chosen!r} "
      f"({reason or 'it has no device'}); try JAX_PLATFORMS=cpu."
    ) from error


# Settings that runs are made with, and what another value would do. A guard
# against moving arrays may be as strict as to write a log. A run looks at its
# losses itself, and says which step's was not finite.
_LOGS = ("allow", "log", "log_explicit", None)
_SETTINGS = (
  ("threefry_partitionable", (True,), "changes every draw"),
  ("numpy_dtype_promotion", ("standard",), "refuses mixed types"),
  ("disable_jit", (False,), "runs no whole programs"),
  ("debug_key_reuse", (False,), "refuses a key of several draws"),
  ("debug_nans", (False,), "hides that a loss diverged"),
  ("debug_infs", (False,), "hides that a loss diverged"),
  *(
    (f"transfer_guard{way}", (*_LOGS, *more), "stops it")
    for way, *more in (
      ("",),
      ("_host_to_device",),
      ("_device_to_device",),
      # What the host reads is named.
      ("_device_to_host", "disallow"),
    )
  ),
)


def _check_settings() -> None:
  for name, allowed, effect in _SETTINGS:
    value = getattr(jax.config, f"jax_{name}", allowed[0])
    if value not in allowed:
      raise UserError(
        f"jax_{name} must be {allowed[0]} in a run, got "
        f"{value!s}, which {effect}; try without JAX_{name.upper()}."
      )


def numerics() -> dict[str, Any]:
  """Returns JAX's settings that numbers depend on: falsy by default."""
  names = ("jax_enable_x64", "jax_default_matmul_precision")
  return {name: getattr(jax.config, name) for name in names}


def _keep_memory() -> None:
  """Keeps freed memory in the process, where the C library is glibc.

  XLA allocates a step's arrays anew each time. glibc gives such large blocks
  back to the system at once, which then clears their pages for the next step.
  Only the main thread's heap can keep them, so XLA is to run programs in the
  thread that calls them; the CPU gains
  nothing by asynchronous dispatch, where host and device are the same cores.
  Several devices, and runs in threads of their own, keep less.

  What the user said of glibc's memory or of JAX's dispatch stays, whatever it
  is.
  """
  if _USERS & set(os.environ):
    return
  if "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", ""):
    return
  # JAX reads how to dispatch when it starts; one setting alone is of no use.
  if platform.libc_ver()[0] != "glibc" or _started():
    return
  mallopt = ctypes.CDLL(None).mallopt
  # Before 2.35 glibc refuses a threshold this high.
  if mallopt(*_MMAP_THRESHOLD) and mallopt(*_TRIM_THRESHOLD):
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def _started() -> bool:
  """Whether JAX has started its devices, which is when it reads settings."""
  count = jax.config.jax_num_cpu_devices
  try:
    # JAX refuses to change this one once they are started.
    jax.config.update("jax_num_cpu_devices", count + 1)
    jax.config.update("jax_num_cpu_devices", count)
  except RuntimeError:
    return True
  return False


def _cpu_only() -> bool:
  """Whether JAX will find nothing but the CPU; does not start it."""
  platforms = jax.config.jax_platforms or os.environ.get("JAX_PLATFORMS", "")
  if platforms:
    return platforms == "cpu"
  return not any(map(glob.glob, _DEVICE_FILES))


def _own_cache() -> pathlib.Path:
  return paths.cache_folder() / "xla"


@contextlib.contextmanager
def shared_programs(folder: epath.Path) -> Iterator[None]:
  """Keeps a job's compiled programs where all its processes find them.

  Of several processes JAX lets the first one alone write them, and the user's
  cache folder is another one on each host: in it the others would find nothing
  when the job starts again. They read what is in this one. It changes nothing
  for a single process, without a cache, for a folder that the user chose, and
  within itself. Whoever may write there decides what code runs here.

  Args:
    folder: shared by the processes, local or gs://; made.
  """
  own = str(_own_cache())
  mine = processes.several() and jax.config.jax_compilation_cache_dir == own
  # All call it, though a host may have no cache.
  processes.on_first(
    lambda: folder.mkdir(parents=True, exist_ok=True) if mine else None
  )
  if not mine:
    yield
    return
  beside = jax.config.jax_persistent_cache_enable_xla_caches
  # What XLA for GPUs keeps beside JAX's files it cannot put into a bucket.
  _keep_programs_in(str(folder), "none" if "://" in str(folder) else beside)
  try:
    yield
  finally:
    _keep_programs_in(own, beside)


def _keep_programs_in(folder: str, beside: str) -> None:
  jax.config.update("jax_compilation_cache_dir", folder)
  jax.config.update("jax_persistent_cache_enable_xla_caches", beside)
  # JAX opens a folder at its first program and keeps to it.
  compilation_cache.reset_cache()


def _use_compilation_cache() -> None:
  if jax.config.jax_compilation_cache_dir is not None:
    return
  try:
    folder = paths.private_folder("xla")
  except OSError as error:
    warnings.warn(f"No cache of compiled programs: {error}.", stacklevel=3)
    return
  jax.config.update("jax_compilation_cache_dir", str(folder))
  # Small programs too: a run compiles a dozen of them.
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def plugins() -> dict[str, str]:
  """Returns the versions of the accelerators' packages that are installed."""
  found = {}
  for name in _PLUGINS:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      found[name] = importlib.metadata.version(name)
  return found


def describe(devices: Sequence[jax.Device]) -> dict[str, Any]:
  """Returns what a run ran on, for its summary.

  Args:
    devices: those used.

  Returns:
    `device`, `device_count`, `process_count`, `platform`, `processor`,
    `cpu_count`, `python`, `versions`, `platform_version` (of CUDA or libtpu,
    as XLA says it), `driver` (NVIDIA's, or None), `xla_flags`, `libtpu_flags`,
    and what `numerics` returns, JSON-able.
  """
  import flax
  import optax

  return {
    "device": devices[0].device_kind,
    "device_count": len(devices),
    "process_count": len({d.process_index for d in devices}),
    "platform": devices[0].platform,
    "processor": _processor(),
    "cpu_count": os.cpu_count(),
    "python": platform.python_version(),
    "versions": {
      m.__name__: m.__version__ for m in (jax, jaxlib, flax, optax, np)
    }
    | plugins(),
    "platform_version": devices[0].client.platform_version,
    "driver": _driver(),
    "xla_flags": os.environ.get("XLA_FLAGS", ""),
    **numerics(),
    "libtpu_flags": os.environ.get("LIBTPU_INIT_ARGS", ""),
  }


def _driver() -> str | None:
  """The version of NVIDIA's driver, as its first line has it."""
  try:
    found = re.search(r"\b\d+(\.\d+)+", _NVIDIA_DRIVER.read_text())
  except OSError:
    return None
  return found and found[0]


def _processor() -> str:
  try:
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
  except OSError:
    return platform.processor()
  names = [x.partition(":")[2].strip() for x in lines if "model name" in x]
  return names[0] if names else platform.processor()

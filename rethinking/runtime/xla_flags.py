"""XLA's flags for a CPU: which of them the installed jaxlib takes.

An unknown flag in XLA_FLAGS aborts the process, and which ones a jaxlib knows
is written nowhere. So a child process tries them, once for each jaxlib, and the
answer is remembered in the user's cache folder.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import warnings

import jaxlib

from rethinking.runtime import paths

# What each does is in configs/results/benchmark.md.
CPU_FLAGS = (
  # No single convolutions by XLA's CPU library; products stay with it.
  "--xla_cpu_experimental_ynn_fusion_type="
  "-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION",
  # Barriers stay in the program until XLA has fused: models say with them
  # what is to be in memory (ops.switch.materialized). Small loops are compiled
  # as others are: the compiler for small ones of jaxlib 0.12 knows no barriers.
  "--xla_disable_hlo_passes=cse_barrier_expander,small-while-loop-hoisting",
)

# Compiles for real: XLA reads its flags late, and some of them later still.
_TRIAL = "import jax; jax.jit(lambda x: x + 1)(1.0).block_until_ready()"
_TRIAL_SECONDS = 60
_LARGEST_ANSWER = 2**16  # Bytes.


def accepted() -> tuple[str, ...]:
  """Returns those of `CPU_FLAGS` that the installed jaxlib takes.

  The first call for a jaxlib starts a process or more, each for a second or
  two; later ones read what it found. Where no process can be started, or it
  takes a minute, none is taken and the next call tries again.
  """
  path = paths.cache_folder() / "xla_flags" / f"{jaxlib.__version__}.json"
  known = _read(path)
  if known is None:
    try:
      known = _try()
    except (OSError, subprocess.TimeoutExpired) as error:
      warnings.warn(
        f"No XLA flags are set: whether jaxlib {jaxlib.__version__} takes them "
        f"could not be tried ({error}).",
        RuntimeWarning,
        stacklevel=2,
      )
      return ()
    _write(path, known)
  return tuple(flag for flag in CPU_FLAGS if known[flag])


def _try() -> dict[str, bool]:
  """Whether each flag is taken; all at once, which is the common case."""
  if _runs(CPU_FLAGS):
    return dict.fromkeys(CPU_FLAGS, True)
  if not _runs(()):
    raise OSError("JAX does not start in a process of its own")
  return {flag: _runs((flag,)) for flag in CPU_FLAGS}


def _runs(flags: tuple[str, ...]) -> bool:
  """Whether JAX computes in a process that has these flags alone."""
  given = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join(flags)}
  trial = subprocess.run(
    [sys.executable, "-c", _TRIAL],
    env=os.environ | given,
    stdin=subprocess.DEVNULL,
    capture_output=True,
    timeout=_TRIAL_SECONDS,
  )
  return trial.returncode == 0


def _read(path: pathlib.Path) -> dict[str, bool] | None:
  """What is remembered; None unless it answers for each of the flags."""
  try:
    # It would wait for whoever writes into a FIFO.
    if not path.is_file():
      return None
    paths.private_folder(path.parent.name)
    with path.open("rb") as file:
      known = json.loads(file.read(_LARGEST_ANSWER))
    whole = all(isinstance(known[flag], bool) for flag in CPU_FLAGS)
  except (OSError, ValueError, LookupError, TypeError, RecursionError):
    return None
  return known if whole else None


def _write(path: pathlib.Path, known: dict[str, bool]) -> None:
  """Remembers an answer, unless the folder cannot be written."""
  unfinished = path.with_suffix(f".{os.getpid()}")
  with contextlib.suppress(OSError):
    paths.private_folder(path.parent.name)
    # A link of that name is another's file.
    unfinished.unlink(missing_ok=True)
    with unfinished.open("x") as file:
      json.dump(known, file)
    unfinished.replace(path)

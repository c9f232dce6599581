"""Vectorized runs, against the same runs one after another."""

from collections.abc import Callable
from typing import Any

import jax

from rethinking.benchmark import jax_steps, timing

# Architecture, image, runs. A CPU gets no convolutions, which with a kernel for
# each run, or in a loop, are too slow there to be measured.
_ON_CPU = (("mlp_1x512", (8, 8, 1), 18), ("mlp_1x512", (28, 28, 3), 6))
_ON_ACCELERATORS = (
  ("mlp_1x512", (28, 28, 3), 88),
  ("alexnet", (28, 28, 3), 8),
  ("inception", (28, 28, 3), 8),
)
_BATCH = 128
# Steps of each run in a dispatch.
_STEPS = 100


def measure(rounds: int, seconds: float) -> dict[str, Any]:
  """Returns what `compare` does, of all that is measured on this platform.

  Args:
    rounds: measurements of each contender.
    seconds: roughly how long one takes.
  """
  cpu = jax.default_backend() == "cpu"
  result: dict[str, Any] = {}
  for about in _ON_CPU if cpu else _ON_ACCELERATORS:
    result |= compare(*about, rounds, seconds)
  return result


def compare(
  arch: str,
  shape: tuple[int, int, int],
  runs: int,
  rounds: int,
  seconds: float,
) -> dict[str, Any]:
  """Returns run-steps per second, and how much faster vectorized runs are.

  Args:
    arch: a name of models.ARCHITECTURES.
    shape: [H, W, C] of an image.
    runs: how many train together.
    rounds: measurements of each contender.
    seconds: roughly how long one takes.
  """
  # As a run takes them on a CPU.
  chunk = None if jax.default_backend() == "cpu" else _STEPS
  contenders = {
    "one after another": _steps(arch, shape, 1, chunk),
    "together": _steps(arch, shape, runs, _STEPS),
  }
  taken = timing.interleaved(contenders, rounds, seconds)
  name = f"{runs} x {arch} on {'x'.join(map(str, shape))}"
  result: dict[str, Any] = {}
  medians = []
  for (who, found), number in zip(taken.items(), (1, runs), strict=True):
    rates = timing.rates(found, _STEPS * number)
    result[f"{name}, {who} (run-steps/s)"] = rates
    medians.append(rates["median"])
  alone, together = medians
  ratio = round(together / alone, 2)
  return result | {f"{name}, together over one after another": ratio}


def _steps(
  arch: str, shape: tuple[int, int, int], runs: int, chunk_steps: int | None
) -> Callable[[int], None]:
  """Takes `_STEPS` steps of every run, `count` times."""
  steps, _ = jax_steps.contenders(
    arch, shape, _BATCH, chunk_steps=chunk_steps, runs=runs
  )
  return lambda count: steps(count * _STEPS)

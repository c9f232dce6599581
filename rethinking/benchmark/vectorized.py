"""Vectorized runs, against the same runs one after another."""

from collections.abc import Callable
from typing import Any

import jax

from rethinking import config as config_lib
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
  """Returns run-steps per second, and how much faster vectorized runs are.

  Args:
    rounds: measurements of each contender.
    seconds: roughly how long one takes.
  """
  cpu = jax.default_backend() == "cpu"
  result: dict[str, Any] = {}
  for arch, shape, runs in _ON_CPU if cpu else _ON_ACCELERATORS:
    taken = timing.interleaved(_contenders(arch, shape, runs), rounds, seconds)
    name = f"{runs} x {arch} on {'x'.join(map(str, shape))}"
    medians = {}
    for who, found in taken.items():
      steps = _STEPS * (1 if who == "one after another" else runs)
      rates = timing.rates(found, steps)
      result[f"{name}, {who} (run-steps/s)"] = rates
      medians[who] = rates["median"]
    alone = medians.pop("one after another")
    result[f"{name}, together over one after another"] = round(
      max(medians.values()) / alone, 2
    )
  return result


def _contenders(
  arch: str, shape: tuple[int, int, int], runs: int
) -> dict[str, Callable[[int], None]]:
  return {
    "one after another": _single(arch, shape),
    "together": _vectorized(arch, shape, runs),
  }


def _single(arch: str, shape: tuple[int, int, int]) -> Callable[[int], None]:
  """Takes `_STEPS` steps of one run, `count` times."""
  # As a run takes them on a CPU.
  cpu = jax.default_backend() == "cpu"
  steps, _ = jax_steps.contenders(
    arch, shape, _BATCH, chunk_steps=None if cpu else _STEPS
  )
  return lambda count: steps(count * _STEPS)


def _vectorized(
  arch: str, shape: tuple[int, int, int], runs: int
) -> Callable[[int], None]:
  """Takes `_STEPS` steps of every run, `count` times."""
  config = config_lib.default()
  config.update(arch=arch, batch_size=_BATCH, crop=0, chunk_steps=_STEPS)
  config = config_lib.resolve(config)
  _, steps = jax_steps.held(config, jax_steps.random_task(shape), runs)
  return lambda count: steps(count * _STEPS)

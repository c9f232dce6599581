"""The first losses of each model here, against those of a CPU."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from rethinking import models
from rethinking.benchmark import jax_steps, subprocesses
from rethinking.runtime import backend

# Of a step over all devices, and steps: a CPU takes them in seconds.
_BATCH, _STEPS = 32, 5


def compare(archs: Sequence[str]) -> dict[str, Any]:
  """Returns how far losses are from a CPU's, the largest difference of each.

  Relative, of the first steps with Adam on random images and labels, float32:
  with full products, and with the platform's own.

  Args:
    archs: names of models.ARCHITECTURES.
  """
  found = {}
  with subprocesses.pool() as executor:
    # The CPU is at it meanwhile.
    theirs = executor.submit(_on_cpu, tuple(archs))
    for arch in archs:
      for precision in ("highest", None):
        name = f"{arch}, {precision or 'own'} precision"
        found[name] = losses(arch, precision)
    theirs = theirs.result()
  return {
    name: float(np.max(np.abs(ours / theirs[name.partition(",")[0]] - 1)))
    for name, ours in found.items()
  }


def _on_cpu(archs: Sequence[str]) -> dict[str, np.ndarray]:
  jax.config.update("jax_platforms", "cpu")
  backend.configure()
  return {arch: losses(arch, "highest") for arch in archs}


def losses(arch: str, precision: str | None) -> np.ndarray:
  """Returns the losses of the first steps, [steps].

  Args:
    arch: a name of models.ARCHITECTURES.
    precision: of products, as the config's field has it.
  """
  shape = models.ARCHITECTURES[arch].image
  slots, [run] = jax_steps.lay_out(
    arch, shape, _BATCH, dropout=0.0, matmul_precision=precision
  )
  found = []
  while run.step < _STEPS:
    sizes, seen = slots.train({run.name: _STEPS})
    found += [*slots.losses(seen)[0, : sizes[0]]]
  return np.array(found)

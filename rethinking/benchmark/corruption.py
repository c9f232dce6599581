"""Seconds that each corruption takes, of a set and in a step, and memory."""

import functools
import pathlib
import tempfile
from typing import Any

import numpy as np

from rethinking import corruptions
from rethinking.benchmark import jax_steps, subprocesses, timing
from rethinking.runtime.memory import peak_bytes

_CLASSES = 10
_EXAMPLES = 50_000
_LEVEL = 0.4
# In the step, where the cost of noise shows most.
_ARCH = "mlp_1x512"
# Of a measurement, about.
_SECONDS = 0.5


def measure(rounds: int) -> dict[str, Any]:
  """Returns seconds for 50,000 examples by corruption, after compilation.

  Args:
    rounds: measurements of each.
  """
  whole = jax_steps.random_data((32, 32, 3), _EXAMPLES)
  whole["given_labels"] = whole["labels"]
  labels = {name: whole[name] for name in ("labels", "ids", "given_labels")}
  result = {}
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "labels.npz"
    np.savez(path, given=labels["labels"])
    # Of the options without a default, by name.
    values = {"map": "cifar10", "path": str(path), "array": "given"}
    values["matrix"] = corruptions.uniform_matrix(0.5, _CLASSES)
    for name, row in corruptions.DEFINITIONS.items():
      options = {k: values[k] for k in row.options.keys() & values.keys()}
      if row.has_level:
        options["level"] = _LEVEL
      one = corruptions.Corruption.create(name, **options)
      data = whole if "images" in row.needs else labels
      work = functools.partial(_apply, one, data)
      result[f"{name} (s)"] = timing.calls({name: work}, rounds)[name]
      if row.prepare:
        result |= _in_step(one, rounds)
  rise = subprocesses.call(_peak_rise)
  result["random_pixels, memory above the images (MB)"] = round(rise / 1e6)
  return result


def _in_step(one: corruptions.Corruption, rounds: int) -> dict[str, Any]:
  """How much longer a step and an evaluation of MLP 1x512 take with it."""
  pairs = {
    who: jax_steps.contenders(_ARCH, (28, 28, 3), 128, corruptions=noise)
    for who, noise in {"clean": (), "noisy": (one,)}.items()
  }
  result = {}
  kinds = ("training", "evaluation")
  for index, kind in enumerate(kinds if one.target == "images" else kinds[:1]):
    taken = timing.interleaved(
      {who: pair[index] for who, pair in pairs.items()}, rounds, _SECONDS
    )
    ratios = np.divide(taken["noisy"]["all"], taken["clean"]["all"])
    name = f"{one.name}, {_ARCH}'s {kind} over clean (ratio)"
    result[name] = timing.summary(ratios.tolist())
  return result


def _apply(one: corruptions.Corruption, given: dict[str, np.ndarray]) -> None:
  corruptions.apply([one], seed=0, num_classes=_CLASSES, **given)


def _peak_rise() -> int:
  """Bytes by which corrupting images raises the peak of a fresh process."""
  given = jax_steps.random_data((32, 32, 3), _EXAMPLES)
  before = peak_bytes()
  _apply(corruptions.Corruption.create("random_pixels"), given)
  return peak_bytes() - before

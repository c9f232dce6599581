"""Seconds that each corruption takes, and the memory of the largest."""

import functools
import pathlib
import tempfile
from typing import Any

import numpy as np

from rethinking import corruptions
from rethinking.benchmark import jax_steps, subprocesses, timing
from rethinking.runtime.memory import peak_bytes

_CLASSES = 10
_LEVEL = 0.4


def examples() -> dict[str, np.ndarray]:
  """Returns 50,000 random examples as `corruptions.apply` takes them."""
  images, labels, ids, _ = jax_steps.random_data((32, 32, 3), 50_000)
  return {"images": images, "labels": labels, "ids": ids}


def measure(rounds: int) -> dict[str, Any]:
  """Returns seconds for 50,000 examples by corruption, after compilation.

  Args:
    rounds: measurements of each.
  """
  whole = examples()
  labels = {name: whole[name] for name in ("labels", "ids")}
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
  rise = subprocesses.call(_peak_rise)
  result["random_pixels, memory above the images (MB)"] = round(rise / 1e6)
  return result


def _apply(one: corruptions.Corruption, given: dict[str, np.ndarray]) -> None:
  corruptions.apply([one], seed=0, num_classes=_CLASSES, **given)


def _peak_rise() -> int:
  """Bytes by which corrupting images raises the peak of a fresh process."""
  given = examples()
  before = peak_bytes()
  _apply(corruptions.Corruption.create("random_pixels"), given)
  return peak_bytes() - before

"""Seconds that each corruption takes, and the memory of the largest."""

import functools
import pathlib
import tempfile
from typing import Any

import numpy as np

from rethinking import corruptions
from rethinking.benchmark import subprocesses, timing
from rethinking.runtime.memory import peak_bytes

EXAMPLES = 50_000
_CLASSES = 10


def examples(*, images: bool) -> dict[str, Any]:
  """Returns 50,000 random examples as `corruptions.apply` takes them.

  Args:
    images: whether 32 x 32 x 3 images are among them.
  """
  rng = np.random.default_rng(0)
  given = {
    "labels": rng.integers(0, _CLASSES, EXAMPLES).astype(np.int32),
    "ids": np.arange(EXAMPLES, dtype=np.uint32),
  }
  if images:
    given["images"] = rng.integers(0, 256, (EXAMPLES, 32, 32, 3), np.uint8)
  return given


def measure(rounds: int) -> dict[str, Any]:
  """Returns seconds for 50,000 examples by corruption, after compilation.

  Args:
    rounds: measurements of each.
  """
  matrix = 0.5 * np.eye(_CLASSES) + 0.5 / _CLASSES
  labels, whole = examples(images=False), examples(images=True)
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "labels.npz"
    np.savez(path, given=labels["labels"])
    options: dict[str, dict[str, Any]] = {
      "uniform": {"level": 0.4},
      "symmetric": {"level": 0.4},
      "pair_flip": {"level": 0.4},
      "asymmetric": {"level": 0.4, "map": "cifar10"},
      "transition": {"matrix": tuple(map(tuple, matrix.tolist()))},
      "permutation": {"level": 0.4},
      "human": {"path": str(path), "array": "given"},
      "instance": {"level": 0.4},
      "shuffled_pixels": {},
      "random_pixels": {},
      "gaussian_pixels": {},
      "partial_shuffle": {"level": 0.4},
      "gaussian_noise": {"level": 0.1},
      "occlusion": {"level": 0.5},
    }
    result = {}
    for name, given in options.items():
      one = corruptions.Corruption.create(name, **given)
      needs_images = one.target == "images" or name == "instance"

      data = whole if needs_images else labels
      work = functools.partial(_apply, one, data)
      result[f"{name} (s)"] = timing.calls({name: work}, rounds)[name]
  rise = subprocesses.call(_peak_rise)
  result["random_pixels, memory above the images (MB)"] = round(rise / 1e6)
  return result


def _apply(one: corruptions.Corruption, given: dict[str, Any]) -> None:
  corruptions.apply([one], seed=0, num_classes=_CLASSES, **given)


def _peak_rise() -> int:
  """Bytes by which corrupting images raises the peak of a fresh process."""
  given = examples(images=True)
  before = peak_bytes()
  _apply(corruptions.Corruption.create("random_pixels"), given)
  return peak_bytes() - before

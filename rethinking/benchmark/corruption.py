"""Seconds that each corruption takes, and the memory of the largest."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

from rethinking import corruptions
from rethinking.benchmark import timing

EXAMPLES = 50_000
_CLASSES = 10

_PEAK = """
import json
from rethinking import corruptions
from rethinking.benchmark import corruption
from rethinking.theory import memory
given = corruption.examples(images=True)
before = memory.peak_bytes()
c = corruptions.Corruption.create("random_pixels")
corruptions.apply([c], seed=0, num_classes=10, **given)
print(json.dumps({"rise": memory.peak_bytes() - before}))
"""


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

      def work(count, one=one, data=whole if needs_images else labels):
        for _ in range(count):
          corruptions.apply([one], seed=0, num_classes=_CLASSES, **data)

      result[f"{name} (s)"] = timing.interleaved({name: work}, rounds, 0)[name]
  printed = subprocess.run(
    [sys.executable, "-c", _PEAK], capture_output=True, text=True, check=True
  ).stdout
  memory = json.loads(printed.splitlines()[-1])
  result["random_pixels, memory above the images (MB)"] = round(
    memory["rise"] / 1e6
  )
  return result

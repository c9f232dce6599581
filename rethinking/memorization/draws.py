"""Random words of one purpose, and the checks that the room shares."""

import zlib
from typing import Any

import numpy as np

from rethinking.corruptions.checks import as_array, check_integer
from rethinking.runtime.errors import UserError


def words(shape: tuple[int, ...], seed: int, *names: str | int) -> np.ndarray:
  """Returns random 64-bit words of one purpose.

  The raw output of Philox keyed by a SeedSequence. NumPy promises both streams
  (NEP 19), unlike the methods of its Generator, so that words are the same on
  any platform and version, as the corruptions' are; and nothing is compiled
  for another shape, of which a design has several.

  Args:
    shape: of the result.
    seed: in [0, 2**32).
    *names: of the purpose: strings (by their CRC-32) or integers in
      [0, 2**32). Each has draws of its own.

  Returns:
    uint64, of the shape.

  >>> words((2,), 0, "order", 1).tolist()
  [9895091060744703308, 141414612546633424]
  """
  seed = check_integer(seed, "seed", 0, 2**32 - 1)
  numbers = [zlib.crc32(n.encode()) if isinstance(n, str) else n for n in names]
  bits = np.random.Philox(np.random.SeedSequence(seed, spawn_key=numbers))
  return bits.random_raw(int(np.prod(shape))).reshape(shape)


def check_masks(masks: Any) -> np.ndarray:
  """Returns masks as bool [K, n], refusing anything else."""
  masks = as_array(masks, "masks")
  if masks.dtype != bool or masks.ndim != 2 or not masks.size:
    raise UserError(
      f"masks must be bool [K, n], a row a run, got {masks.dtype} "
      f"{list(masks.shape)}; try masks.astype(bool), or unpack."
    )
  return masks


def check_shape(
  value: Any, name: str, shape: tuple[int, ...] | None = None
) -> np.ndarray:
  """Returns numbers of a shape, None: any, refusing anything else."""
  value = as_array(value, name)
  if value.dtype.kind not in "biuf":
    raise UserError(
      f"{name} must be numbers, got {value.dtype}; try {name}.astype(float)."
    )
  if shape is not None and value.shape != shape:
    raise UserError(
      f"{name} must have shape {list(shape)}, got {list(value.shape)}; try one "
      "row a run, one column an example, as in masks."
    )
  return value


def check_blocks(runs: int, permutations: int) -> int:
  """Returns T, the runs of each permutation, refusing what does not divide."""
  permutations = check_integer(permutations, "permutations", 1, 2**32 - 1)
  if runs % permutations:
    raise UserError(
      f"permutations must divide the {runs} runs, got {permutations}; try the "
      "number that they were designed with."
    )
  return runs // permutations

"""Feature maps for kernel fits, and the raw pixels as one.

A map is cut into blocks of columns that are computed one at a time, so that a
map of any width can be summed into a Gram matrix without being held.
"""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np


@dataclasses.dataclass(frozen=True)
class Features:
  """A feature map fitted to a train set.

  Attributes:
    widths: columns of each block.
    block: `block(k, images)` takes uint8 `[N, H, W, C]` to float32
      `[N, widths[k]]`.
  """

  widths: tuple[int, ...]
  block: Callable[[int, np.ndarray], np.ndarray]

  @property
  def width(self) -> int:
    """Columns over all blocks."""
    return sum(self.widths)


def raw(shape: tuple[int, int, int]) -> Features:
  """Pixels in [0, 1]: `x / 255`, flattened.

  Args:
    shape: `[H, W, C]` of an image.

  Returns:
    One block of `H W C` columns.
  """

  def block(k: int, images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)

  return Features((int(np.prod(shape)),), block)


def in_batches(
  function: Callable[[np.ndarray], jax.Array],
  images: np.ndarray,
  width: int,
  size: int,
) -> np.ndarray:
  """Computes features a few images at a time, in one compiled program.

  Args:
    function: uint8 `[size, H, W, C]` to `[size, width]`.
    images: uint8 `[N, H, W, C]`.
    width: columns.
    size: images a dispatch.

  Returns:
    float32 `[N, width]`.
  """
  out = np.empty((len(images), width), np.float32)
  for start in range(0, len(images), size):
    part = images[start : start + size]
    count = len(part)
    # The last batch is filled up, so that nothing is compiled again.
    part = np.pad(part, ((0, size - count), *[(0, 0)] * 3), "edge")
    out[start : start + count] = np.asarray(function(part))[:count]
  return out

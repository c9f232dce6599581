"""What memory a fit needs."""

import bisect
from collections.abc import Callable

from rethinking.runtime.errors import UserError

# Python, JAX and what they hold before any matrix exists.
_BASE_BYTES = 0.7e9


class TooLargeError(UserError):
  """The matrix does not fit the memory there is."""


def device_bytes(n: int, itemsize: int) -> float:
  """Estimates what `solvers.by_device` takes on its device.

  Args:
    n: train examples.
    itemsize: bytes per entry of the matrix.
  """
  # The matrix, the factor and a workspace.
  return 2.5 * itemsize * n * n


def estimate_bytes(
  n: int,
  m: int,
  *,
  width: int,
  tile: int,
  itemsize: int,
  summed: bool,
  solver: str,
  columns: int,
  pixels: int,
) -> float:
  """Estimates the peak resident size of a fit.

  Args:
    n: train examples.
    m: test examples.
    width: columns of the features held at once.
    tile: rows per tile.
    itemsize: bytes per entry of the matrix.
    summed: whether the features come in blocks, which need the test rows of
      the matrix held as well.
    solver: 'tiles' holds the lower triangle; 'device' the whole matrix, its
      factor and a workspace, 'accelerator' those elsewhere; 'eigen' the matrix
      and its eigenvectors in float64; 'primal' no matrix but that of the
      `width` weights.
    columns: of the targets.
    pixels: bytes per image.

  Returns:
    Bytes: the matrix, features, images, scratch tiles and outputs.
  """
  tile = min(tile, n)
  lower = itemsize * n * (n + tile) / 2
  matrix = {
    "tiles": lower,
    "device": device_bytes(n, itemsize),
    "accelerator": 0,
    "eigen": 3 * 8 * n * n + 8 * n * m,
    "primal": 3 * 8 * width * width,
  }[solver]
  if solver == "primal":
    tile = 0
    itemsize += 8
  elif summed:
    # Its tiles are summed here first, then freed.
    matrix = max(matrix, lower)
  held = (n + m) * (width * (itemsize + (4 if itemsize > 4 else 0)) + pixels)
  scratch = 6 * itemsize * tile * tile + 2 * itemsize * m * tile
  outputs = 8 * columns * (4 * n + m)
  rows = itemsize * n * m if summed else 0
  return _BASE_BYTES + matrix + held + scratch + outputs + rows


def check(
  n: int, available: float, estimate: Callable[[int], float], otherwise: str
) -> float:
  """Refuses a fit that the memory cannot hold, before it starts.

  Args:
    n: train examples.
    available: bytes.
    estimate: bytes that a number of examples needs; never falls with it.
    otherwise: what else can be set, for the message.

  Returns:
    The estimate of n, bytes.

  Raises:
    TooLargeError: names the estimate and the largest n that fits.
  """
  needed = estimate(n)
  if needed <= available:
    return needed
  most = bisect.bisect_right(range(n), available, key=estimate) - 1
  advice = (
    f"the largest n that fits is {most}: set subset={most}"
    if most >= 2
    else "no n fits"
  )
  raise TooLargeError(
    f"A kernel fit of n = {n} needs about {needed / 1e9:.1f} GB, and"
    f" {available / 1e9:.1f} GB may be used; {advice}, or give {otherwise}."
  )

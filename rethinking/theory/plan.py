"""Which features, solver and memory a kernel config comes to."""

import bisect
import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from rethinking.corruptions.keys import root_key
from rethinking.runtime.errors import UserError
from rethinking.runtime.memory import available_bytes
from rethinking.theory import features as features_lib
from rethinking.theory import gabor, gram, random_conv, solvers

# Python, JAX and what they hold before any matrix exists.
_BASE_BYTES = 0.7e9


class TooLargeError(UserError):
  """The matrix does not fit the memory there is."""


def features(config: ConfigDict, images: np.ndarray) -> features_lib.Features:
  """The feature map that a config names.

  Args:
    config: resolved.
    images: the train set, uint8 `[n, H, W, C]`.

  Returns:
    The map, fitted to the images where it is one that is.
  """
  shape = images.shape[1:]
  if config.features == "gabor":
    names = ("scales", "orientations", "wavelength", "pool")
    return gabor.gabor(shape, **{name: config[name] for name in names})
  if config.features == "random_conv":
    names = ("filters", "patch", "stride", "grid", "threshold")
    options = {name: config[name] for name in names}
    key = root_key(config.seed)
    return random_conv.random_conv(key, images, **options)
  return features_lib.raw(shape)


def solver(config: ConfigDict, maps: features_lib.Features, n: int) -> str:
  """The solver that suits a config and its data.

  Args:
    config: resolved.
    maps: the features.
    n: train examples.

  Returns:
    'primal' for a linear kernel with fewer weights than examples, 'eigen' for
    several ridges of a small matrix, else 'device' or 'tiles'.
  """
  held = len(maps.widths) == 1
  if held and config.kernel == "linear" and maps.width < n:
    return "primal"
  if len(config.ridges) > 1 and n <= solvers.EIGEN_LIMIT:
    return "eigen"
  if config.solver != "auto":
    return config.solver
  itemsize = np.dtype(config.precision).itemsize
  fits = device_bytes(n, itemsize) <= solvers.device_limit()
  return "device" if fits else "tiles"


class Data(NamedTuple):
  """What is fitted.

  Attributes:
    maps: the features.
    images: uint8 `[n, H, W, C]`.
    test: uint8 `[m, H, W, C]`.
    targets: float64 `[n, c]`.
  """

  maps: features_lib.Features
  images: np.ndarray
  test: np.ndarray
  targets: np.ndarray


def check_memory(config: ConfigDict, data: Data) -> float:
  """Refuses a fit that the memory cannot hold, before it starts.

  Args:
    config: resolved.
    data: what is to be fitted.

  Returns:
    The estimate of what this machine must hold, bytes.

  Raises:
    TooLargeError: names the estimate and the largest n that fits.
  """
  maps, images, test, targets = data
  n = len(images)
  chosen = solver(config, maps, n)
  itemsize = np.dtype(config.precision).itemsize
  accelerated = chosen == "device" and jax.default_backend() != "cpu"
  limit = solvers.device_limit()
  if accelerated and limit:
    need = functools.partial(device_bytes, itemsize=itemsize)
    _check(n, limit, need, "solver=tiles")
  available = available_bytes()
  if config.memory_gb is not None:
    available = config.memory_gb * 1e9
  estimate = functools.partial(
    estimate_bytes,
    m=len(test),
    width=max(maps.widths),
    tile=config.tile,
    itemsize=itemsize,
    summed=len(maps.widths) > 1,
    solver="accelerator" if accelerated else chosen,
    columns=targets.shape[1],
    pixels=images[0].nbytes,
  )
  return _check(n, available, estimate, "more memory_gb")


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


def _check(
  n: int, available: float, estimate: Callable[[int], float], otherwise: str
) -> float:
  """Refuses n examples that need more bytes than are available.

  `estimate` never falls with the number of examples; `otherwise` is what else
  can be set.
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


def fits(
  config: ConfigDict, data: Data
) -> Iterator[tuple[float | None, solvers.Fit]]:
  """Fits each ridge, by the factorisation that suits the data.

  Args:
    config: resolved.
    data: what is fitted.

  Yields:
    gamma, None where no kernel matrix is made, and one fit for each ridge.

  Raises:
    NotPositiveDefiniteError: the matrix is singular in its precision.
  """
  dtype = np.dtype(config.precision)
  maps, images, test, targets = data
  ridges, tile = config.ridges, config.tile
  chosen = solver(config, maps, len(images))
  with contextlib.ExitStack() as stack:
    if len(maps.widths) == 1:
      x, z = (
        maps.block(0, part).astype(dtype, copy=False) for part in (images, test)
      )
      if chosen == "primal":
        for fit in solvers.by_primal(x, z, targets, ridges):
          yield None, fit
        return
      source = gram.Held(x, z, config.kernel, config.gamma, tile)
    else:
      file = stack.enter_context(tempfile.TemporaryFile())
      source = gram.Summed(
        maps, images, test, config.kernel, config.gamma, tile, file, dtype
      )
    if chosen == "eigen":
      for fit in solvers.by_eigen(source, targets, ridges):
        yield source.gamma, fit
      return
    solve = solvers.by_device if chosen == "device" else solvers.by_tiles
    for ridge in ridges:
      fit = solve(source, targets, ridge, config.max_refinements)
      yield source.gamma, fit

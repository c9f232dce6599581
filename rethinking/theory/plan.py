"""Which features, solver and memory a kernel config comes to."""

import contextlib
import functools
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from rethinking.runtime.memory import available_bytes
from rethinking.theory import features as features_lib
from rethinking.theory import (
  gabor,
  gram,
  memory,
  random_conv,
  solvers,
  spectral,
)
from rethinking.training import step as step_lib


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
    return gabor.gabor(
      shape,
      scales=config.scales,
      orientations=config.orientations,
      wavelength=config.wavelength,
      pool=config.pool,
    )
  if config.features == "random_conv":
    return random_conv.random_conv(
      jax.random.key(config.seed, impl=step_lib.KEYS),
      images,
      filters=config.filters,
      side=config.patch,
      stride=config.stride,
      grid=config.grid,
      threshold=config.threshold,
    )
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
  if len(config.ridges) > 1 and n <= spectral.EIGEN_LIMIT:
    return "eigen"
  if config.solver != "auto":
    return config.solver
  itemsize = np.dtype(config.precision).itemsize
  fits = memory.device_bytes(n, itemsize) <= solvers.device_limit()
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
    need = functools.partial(memory.device_bytes, itemsize=itemsize)
    memory.check(n, limit, need, "solver=tiles")
  available = available_bytes()
  if config.memory_gb is not None:
    available = config.memory_gb * 1e9
  estimate = functools.partial(
    memory.estimate_bytes,
    m=len(test),
    width=max(maps.widths),
    tile=config.tile,
    itemsize=itemsize,
    summed=len(maps.widths) > 1,
    solver="accelerator" if accelerated else chosen,
    columns=targets.shape[1],
    pixels=images[0].nbytes,
  )
  return memory.check(n, available, estimate, "more memory_gb")


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
        for fit in spectral.by_primal(x, z, targets, ridges):
          yield None, fit
        return
      source = gram.Held(x, z, config.kernel, config.gamma, tile)
    else:
      file = stack.enter_context(tempfile.TemporaryFile())
      source = gram.Summed(
        maps, images, test, config.kernel, config.gamma, tile, file, dtype
      )
    if chosen == "eigen":
      for fit in spectral.by_eigen(source, targets, ridges):
        yield source.gamma, fit
      return
    solve = solvers.by_device if chosen == "device" else solvers.by_tiles
    for ridge in ridges:
      fit = solve(source, targets, ridge, config.max_refinements)
      yield source.gamma, fit

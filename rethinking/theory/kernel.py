"""Minimum-norm kernel fits: zero train error without any training.

  python -m rethinking.main --config=configs/mnist.py:kernel

`f(x) = sum_i alpha_i k(x_i, x)` with `K alpha = Y` passes through every label
and is the smallest such function in the kernel's space. The targets are one-hot
rows in {0, 1}; any other encoding `a Y + b` (such as -1 and 1, or centred
columns) adds the same function to every class, so the predicted class, the
largest output, is the same and only the norm differs. Norms are given for
{0, 1} and for {-1, 1}.

Reference: Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 5 and table 3.
"""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rethinking import train, writers
from rethinking.errors import UserError
from rethinking.theory import config as config_lib
from rethinking.theory import features as features_lib
from rethinking.theory import gram, memory, pictures, solvers, tables
from rethinking.theory import task as task_lib

# Python, JAX and what they hold before any matrix exists.
_BASE_BYTES = 0.7e9


class TooLargeError(UserError):
  """The matrix does not fit the memory there is."""


def memory_bytes(
  n: int,
  m: int,
  *,
  width: int,
  tile: int,
  itemsize: int,
  summed: bool,
  columns: int,
  pixels: int,
) -> float:
  """Estimates the peak resident size of a fit by tiles.

  Args:
    n: train examples.
    m: test examples.
    width: columns of the features held at once.
    tile: rows per tile.
    itemsize: bytes per entry of the matrix.
    summed: whether the features come in blocks, which need the test rows of
      the matrix held as well.
    columns: of the targets.
    pixels: bytes per image.

  Returns:
    Bytes: the lower tiles, features, images, scratch tiles and outputs.
  """
  tile = min(tile, n)
  lower = itemsize * n * (n + tile) / 2
  held = (n + m) * (width * (itemsize + (4 if itemsize > 4 else 0)) + pixels)
  scratch = 6 * itemsize * tile * tile + 2 * itemsize * m * tile
  outputs = 8 * columns * (4 * n + m)
  rows = itemsize * n * m if summed else 0
  return _BASE_BYTES + lower + held + scratch + outputs + rows


def check_memory(n: int, available: float, **sizes: Any) -> float:
  """Refuses a fit that the memory cannot hold, before it starts.

  Args:
    n: train examples.
    available: bytes.
    **sizes: the other arguments of `memory_bytes`.

  Returns:
    The estimate, bytes.

  Raises:
    TooLargeError: names the estimate and the largest n that fits.
  """
  estimate = memory_bytes(n, **sizes)
  if estimate <= available:
    return estimate
  low, high = 0, n
  while high - low > 1:
    middle = (low + high) // 2
    if memory_bytes(middle, **sizes) <= available:
      low = middle
    else:
      high = middle
  advice = (
    f"the largest n that fits is {low}: set subset={low}"
    if low >= 2
    else "no n fits"
  )
  raise TooLargeError(
    f"A kernel fit of n = {n} needs about {estimate / 1e9:.1f} GB, and"
    f" {available / 1e9:.1f} GB may be used; {advice}, or give more memory_gb."
  )


def run(
  config: ConfigDict, workdir: str | pathlib.Path, *, quiet: bool = False
) -> dict[str, Any]:
  """Fits every ridge to the labels of every noise level.

  Leaves config.json, table.csv, table.md, kernel.png and .svg, and
  summary.json in `workdir`; a finished workdir is not fitted again.

  Args:
    config: from `rethinking.theory.config.kernel`.
    workdir: a folder, made if it is not there.
    quiet: print nothing.

  Returns:
    What `summary.json` holds: the first ridge at the first level, every fit
    in `fits`.

  Raises:
    UserError: for a config that cannot be run: an unknown name, too large an n
      for memory, repeated images with different labels, a singular matrix.
  """
  began = time.monotonic()
  config = config_lib.resolve(config)
  workdir = epath.Path(workdir)
  task = task_lib.load(config)
  levels = tuple(config.levels) or (config.p,)
  labels, flips = zip(
    *(task_lib.labels_at(config, task, level) for level in levels), strict=True
  )
  rows = np.arange(len(task.train.ids))
  if min(config.ridges) == 0:
    rows = task_lib.distinct(task.train.images, labels, task.train.ids)
  images = task.train.images[rows]
  labels = [given[rows] for given in labels]
  # Each level's classes, and the constant 1 for other encodings.
  one_hot = [np.eye(task.num_classes)[given] for given in labels]
  targets = np.concatenate([*one_hot, np.ones((len(rows), 1))], 1)
  maps = _features(config, images)
  estimate = check_memory(
    len(rows),
    memory.available_bytes()
    if config.memory_gb is None
    else config.memory_gb * 1e9,
    m=len(task.test.ids),
    width=max(maps.widths),
    tile=config.tile,
    itemsize=np.dtype(config.precision).itemsize,
    summed=len(maps.widths) > 1,
    columns=targets.shape[1],
    pixels=int(np.prod(images.shape[1:])),
  )
  finished = train.open_workdir(workdir, config)
  if finished is not None:
    return finished
  workdir.mkdir(parents=True, exist_ok=True)
  writers.write_json(workdir / "config.json", config.to_dict())
  writers.write_json(workdir / "corruption.json", task.report)
  say = (lambda text: None) if quiet else print
  say(
    f"{len(rows)} examples, {maps.width} features, {config.kernel} kernel:"
    f" about {estimate / 1e9:.1f} GB."
  )
  truth = np.asarray(task.test.labels)
  fits = []
  with contextlib.ExitStack() as stack:
    start = time.monotonic()
    for gamma, fit in _fits(config, maps, images, task, targets, stack):
      seconds = time.monotonic() - start
      for k, level in enumerate(levels):
        fits.append(
          {
            "level": level,
            "flip_rate": flips[k],
            "gamma": gamma,
            **_measure(fit, k, labels[k], truth, task.num_classes),
            "seconds": seconds,
          }
        )
        say(
          f"ridge {fit.ridge:g}, level {level:g}: train error"
          f" {100 * fits[-1]['train_error']:.2f} %, test error"
          f" {100 * fits[-1]['test_error']:.2f} %, norm"
          f" {fits[-1]['norm']:.1f}, {seconds:.1f} s."
        )
      start = time.monotonic()
  summary = {
    **fits[0],
    "n": len(rows),
    "repeats_left_out": len(task.train.ids) - len(rows),
    "num_test": len(task.test.ids),
    "kernel": config.kernel,
    "features": config.features,
    "num_features": maps.width,
    "precision": config.precision,
    "estimated_bytes": estimate,
    "peak_bytes": memory.peak_bytes(),
    "wall_seconds": time.monotonic() - began,
    "backend": jax.default_backend(),
    "data_source": task.source,
    "fits": fits,
  }
  percent = [
    {
      **row,
      "train_error_percent": 100 * row["train_error"],
      "test_error_percent": 100 * row["test_error"],
    }
    for row in fits
  ]
  tables.write(workdir, percent, _COLUMNS)
  if config.plots:
    pictures.kernel(fits, workdir, f"{config.dataset} {config.kernel}")
  writers.write_json(workdir / "summary.json", summary)
  return summary


_COLUMNS = {
  "level": ("noise level", "{:g}"),
  "ridge": ("ridge", "{:g}"),
  "train_error_percent": ("train error %", "{:.2f}"),
  "test_error_percent": ("test error %", "{:.2f}"),
  "norm": ("norm, {0, 1}", "{:.1f}"),
  "norm_plus_minus_one": ("norm, {-1, 1}", "{:.1f}"),
  "condition": ("condition at least", "{:.1e}"),
  "residual": ("largest residual", "{:.1e}"),
}


def _features(config: ConfigDict, images: np.ndarray) -> features_lib.Features:
  shape = images.shape[1:]
  if config.features == "gabor":
    return features_lib.gabor(
      shape,
      scales=config.scales,
      orientations=config.orientations,
      wavelength=config.wavelength,
      pool=config.pool,
    )
  if config.features == "random_conv":
    return features_lib.random_conv(
      jax.random.key(config.seed, impl="threefry2x32"),
      images,
      filters=config.filters,
      side=config.patch,
      stride=config.stride,
      grid=config.grid,
      threshold=config.threshold,
    )
  return features_lib.raw(shape)


def _fits(
  config, maps, images, task, targets, stack
) -> Iterator[tuple[float | None, solvers.Fit]]:
  """Each ridge's fit, by the factorisation that suits the problem."""
  dtype = np.dtype(config.precision)
  n, ridges, tile = len(images), config.ridges, config.tile
  if len(maps.widths) == 1:
    x, z = (
      maps.block(0, part).astype(dtype, copy=False)
      for part in (images, task.test.images)
    )
    if config.kernel == "linear" and maps.width < n:
      for fit in solvers.by_primal(x, z, targets, ridges):
        yield None, fit
      return
    source = gram.Held(x, z, config.kernel, config.gamma, tile)
  else:
    file = stack.enter_context(tempfile.TemporaryFile())
    source = gram.Summed(
      maps,
      images,
      task.test.images,
      config.kernel,
      config.gamma,
      tile,
      file,
      dtype,
    )
  if len(ridges) > 1 and n <= solvers.EIGEN_LIMIT:
    for fit in solvers.by_eigen(source, targets, ridges, tile):
      yield source.gamma, fit
    return
  on_device = config.solver == "device" or (
    config.solver == "auto" and solvers.check_device(n, dtype.itemsize)
  )
  solve = solvers.by_device if on_device else solvers.by_tiles
  for ridge in ridges:
    fit = solve(source, targets, ridge, tile, config.max_refinements)
    yield source.gamma, fit


def _measure(
  fit: solvers.Fit, k: int, given: np.ndarray, truth: np.ndarray, classes: int
) -> dict[str, Any]:
  """One row of the table: level k of a fit."""
  mine = slice(k * classes, (k + 1) * classes)
  train = np.argmax(fit.train[:, mine], 1)
  test = np.argmax(fit.test[:, mine], 1)
  squared = np.diag(fit.inner)[mine]
  # The function of the targets 2 y - 1 is 2 f - f_1, f_1 that of constant 1.
  signed = 4 * squared - 4 * fit.inner[mine, -1] + fit.inner[-1, -1]
  train_accuracy = float(np.mean(train == given))
  test_accuracy = float(np.mean(test == truth))
  return {
    "ridge": fit.ridge,
    "train_accuracy": train_accuracy,
    "test_accuracy": test_accuracy,
    "train_error": 1 - train_accuracy,
    "test_error": 1 - test_accuracy,
    "norm": float(np.sqrt(squared.sum())),
    "norm_per_class": np.sqrt(np.maximum(squared, 0)).tolist(),
    "norm_plus_minus_one": float(np.sqrt(np.maximum(signed, 0).sum())),
    "condition": fit.condition,
    "residual": fit.residual,
    "relative_residual": fit.relative_residual,
    "refinements": fit.refinements,
    "rank": fit.rank,
    "solver": fit.solver,
    "stage_seconds": dict(fit.seconds),
  }

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

import dataclasses
import pathlib
import time
from typing import Any

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rethinking.runtime.memory import peak_bytes
from rethinking.storage import files, tables
from rethinking.theory import features as features_lib
from rethinking.theory import folder, pictures, plan, solvers, task
from rethinking.training.examples import Task


def run(
  config: ConfigDict, workdir: str | pathlib.Path, *, quiet: bool = False
) -> dict[str, Any]:
  """Fits every ridge to the labels of every noise level.

  Leaves config.json, table.csv, table.md, ridge.png and noise.png where
  there are several of them (.svg beside), and summary.json in `workdir`; a
  finished workdir is not fitted again.

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
  return folder.run_once(config, workdir, _prepare, _run, quiet=quiet)


def _prepare(config: ConfigDict) -> _Data:
  problem = task.load(config)
  levels = tuple(config.levels) or (config.p,)
  labels, flips = zip(
    *(task.labels_at(config, problem, level) for level in levels), strict=True
  )
  rows = np.arange(len(problem.train.ids))
  maps = plan.features(config, problem.train.images)
  # Only a fit through every target needs each image once: a linear map with
  # fewer weights than examples is a least-squares fit.
  if (
    min(config.ridges) == 0 and plan.solver(config, maps, len(rows)) != "primal"
  ):
    rows = task.distinct(problem.train.images, labels, problem.train.ids)
  images = problem.train.images[rows]
  labels = [given[rows] for given in labels]
  one_hot = [np.eye(problem.num_classes)[given] for given in labels]
  targets = np.concatenate([*one_hot, np.ones((len(rows), 1))], 1)
  estimate = plan.check_memory(
    config, maps, images, problem.test.images, targets
  )
  return _Data(problem, images, levels, labels, flips, targets, maps, estimate)


@dataclasses.dataclass(frozen=True)
class _Data:
  """The problem with the repeats left out.

  Attributes:
    problem: as loaded.
    images: uint8 `[n, H, W, C]`.
    levels: noise levels.
    labels: given labels `[n]` of each level.
    flips: share of wrong labels of each level.
    targets: `[n, levels K + 1]`: one-hot rows of each level, and the constant
      1 that other encodings need.
    maps: the features.
    estimate: bytes that the fit takes.
  """

  problem: Task
  images: np.ndarray
  levels: tuple[float, ...]
  labels: list[np.ndarray]
  flips: tuple[float, ...]
  targets: np.ndarray
  maps: features_lib.Features
  estimate: float


def _run(
  config: ConfigDict, workdir: epath.Path, data: _Data, say: folder.Say
) -> dict[str, Any]:
  """Fits, measures and draws; returns the summary."""
  problem, images, maps = data.problem, data.images, data.maps
  files.write_json(workdir / "corruption.json", problem.report)
  say(
    f"{len(images)} examples, {maps.width} features, {config.kernel} kernel:"
    f" about {data.estimate / 1e9:.1f} GB."
  )
  truth = np.asarray(problem.test.labels)
  fits = []
  start = time.monotonic()
  for gamma, fit in plan.fits(
    config, maps, images, problem.test.images, data.targets
  ):
    seconds = time.monotonic() - start
    for k, level in enumerate(data.levels):
      fits.append(
        {
          "level": level,
          "flip_rate": data.flips[k],
          "gamma": gamma,
          **_measure(fit, k, data.labels[k], truth, problem.num_classes),
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
    "n": len(images),
    "repeats_left_out": len(problem.train.ids) - len(images),
    "num_test": len(problem.test.ids),
    "kernel": config.kernel,
    "features": config.features,
    "num_features": maps.width,
    "precision": config.precision,
    "estimated_bytes": data.estimate,
    "peak_bytes": peak_bytes(),
    "backend": jax.default_backend(),
    "data_source": problem.source,
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
  return {
    "ridge": fit.ridge,
    "train_accuracy": float(np.mean(train == given)),
    "test_accuracy": float(np.mean(test == truth)),
    "train_error": float(np.mean(train != given)),
    "test_error": float(np.mean(test != truth)),
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

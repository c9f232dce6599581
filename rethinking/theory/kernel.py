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

import dataclasses
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rethinking.config import experiments
from rethinking.runtime.memory import peak_bytes
from rethinking.storage import files, plots, tables
from rethinking.theory import folder, pictures, plan, solvers
from rethinking.theory import task as task_lib
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
  experiments.check(config, "kernel")
  return folder.run_once(config, workdir, _prepare, _run, quiet=quiet)


@dataclasses.dataclass(frozen=True)
class _Prepared:
  """The task with the repeats left out.

  Attributes:
    task: as loaded.
    levels: each noise level with its given labels `[n]` and the share of them
      that is wrong.
    data: what is fitted; its targets are `[n, levels K + 1]`.
    estimate: bytes that the fit takes.
  """

  task: Task
  levels: list[tuple[float, np.ndarray, float]]
  data: plan.Data
  estimate: float


def _prepare(config: ConfigDict) -> _Prepared:
  task = task_lib.load(config)
  train = task.train
  levels = [
    (level, *task_lib.labels_at(config, task, level))
    for level in tuple(config.levels) or (config.p,)
  ]
  rows = np.arange(len(train.ids))
  maps = plan.features(config, train.images)
  # Only a fit through every target needs each image once: a linear map with
  # fewer weights than examples is a least-squares fit.
  if (
    min(config.ridges) == 0 and plan.solver(config, maps, len(rows)) != "primal"
  ):
    given = [labels for _, labels, _ in levels]
    rows = task_lib.distinct(train.images, given, train.ids)
  levels = [(level, labels[rows], flips) for level, labels, flips in levels]
  one_hot = [np.eye(task.num_classes)[labels] for _, labels, _ in levels]
  # Other encodings need the constant 1.
  targets = np.concatenate([*one_hot, np.ones((len(rows), 1))], 1)
  data = plan.Data(maps, train.images[rows], task.test.images, targets)
  return _Prepared(task, levels, data, plan.check_memory(config, data))


def _run(
  config: ConfigDict, workdir: epath.Path, found: _Prepared, say: folder.Say
) -> dict[str, Any]:
  """Fits, measures and draws; returns the summary."""
  task, n, width = found.task, len(found.data.images), found.data.maps.width
  files.write_json(workdir / "corruption.json", task.report)
  say(
    f"{n} examples, {width} features, {config.kernel} kernel:"
    f" about {found.estimate / 1e9:.1f} GB."
  )
  fits = []
  start = time.monotonic()
  for gamma, fit in plan.fits(config, found.data):
    seconds = time.monotonic() - start
    for k, (level, labels, flips) in enumerate(found.levels):
      row = {
        "level": level,
        "flip_rate": flips,
        "gamma": gamma,
        **_measure(fit, k, labels, task.test.labels, task.num_classes),
        "seconds": seconds,
      }
      fits.append(row)
      say(
        f"ridge {fit.ridge:g}, level {level:g}: train error"
        f" {100 * row['train_error']:.2f} %, test error"
        f" {100 * row['test_error']:.2f} %, norm"
        f" {row['norm']:.1f}, {seconds:.1f} s."
      )
    start = time.monotonic()
  summary = {
    **fits[0],
    "n": n,
    "repeats_left_out": len(task.train.ids) - n,
    "num_test": len(task.test.ids),
    "kernel": config.kernel,
    "features": config.features,
    "num_features": width,
    "precision": config.precision,
    "estimated_bytes": found.estimate,
    "peak_bytes": peak_bytes(),
    "backend": jax.default_backend(),
    "data_source": task.source,
    "fits": fits,
  }
  percent = [
    {
      **row,
      **{f"{k}_percent": 100 * row[k] for k in ("train_error", "test_error")},
      **{name: config[name] for name in _ABOUT},
    }
    for row in fits
  ]
  draw(percent, workdir, config.plots)
  return summary


def draw(
  rows: Sequence[Mapping[str, Any]], folder: epath.Path, drawn: bool = True
) -> list[str]:
  """Writes table.csv, table.md and the pictures of fits.

  Args:
    rows: of table.csv, at least one.
    folder: exists.
    drawn: whether there are pictures.

  Returns:
    The names of the files.
  """
  written = tables.write(folder, rows, _COLUMNS, _ABOUT)
  if drawn:
    dataset, kernel = (rows[0][name] for name in _ABOUT)
    title = f"{dataset}: minimum-norm fit, {kernel} kernel"
    with plots.drawing("kernel.png"):
      written += pictures.kernel(rows, folder, title)
  return written


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
# What table.csv has beside them.
_ABOUT = ("dataset", "kernel")


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

"""A lower bound of a learner's empirical Rademacher complexity.

  python -m rethinking.main --config=configs/mnist.py:rademacher

  R_n(H) = E_sigma sup_{h in H} (1/n) sum_i sigma_i h(x_i),  sigma_i = +-1

The supremum is out of reach; a trained h is one member of H, so its mean
correlation with the signs is a lower bound in expectation: for every sigma,
`corr(sigma, h_trained) <= sup_h corr(sigma, h)`. h is the sign of the
difference of two trained logits, hence `corr = 2 accuracy - 1`. Initially it
is near 0; at 1 the learner shatters the sample and R_n is 1 itself.

Reference: Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 1.2; Bartlett,
Mendelson (2002), definition 2.
"""

import dataclasses
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from etils import epath
from ml_collections import ConfigDict

from rethinking import config as training_config
from rethinking import models
from rethinking.config import experiments
from rethinking.corruptions.keys import root_key
from rethinking.runtime.errors import UserError
from rethinking.storage import plots, tables
from rethinking.theory import folder, pictures
from rethinking.theory import task as task_lib
from rethinking.training import state as state_lib
from rethinking.training.examples import Run, Split, Task
from rethinking.training.slots import Slots

_COLUMNS = {
  "n": ("n", "{:,d}"),
  "step": ("steps", "{:,d}"),
  "correlation": ("mean correlation (lower bound)", "{:.3f}"),
  "low": ("interval from", "{:.3f}"),
  "high": ("to", "{:.3f}"),
}
# What table.csv has beside them.
_ABOUT = ("dataset", "arch", "draws")


def run(
  config: ConfigDict, workdir: str | pathlib.Path, *, quiet: bool = False
) -> dict[str, Any]:
  """Trains a learner on random signs, for each n and several draws.

  Leaves config.json, table.csv, table.md, rademacher.png and .svg, and
  summary.json in `workdir`. Pixel corruptions apply; labels are not used.

  Args:
    config: from `rethinking.theory.config.rademacher`.
    workdir: a folder, made if it is not there.
    quiet: print nothing.

  Returns:
    What `summary.json` holds: the last step of the largest n, every n and step
    in `estimates`. There is no test accuracy: signs have none but 1/2.

  Raises:
    UserError: for a config that cannot be run.
  """
  experiments.check(config, "rademacher")
  return folder.run_once(config, workdir, _prepare, _run, quiet=quiet)


def _prepare(config: ConfigDict) -> Task:
  task = task_lib.load(config)
  most, total = max(config.sizes), len(task.train.ids)
  if most > total:
    raise UserError(
      f"sizes must be at most {total}, the examples that there are, got "
      f"{most}; try {total}."
    )
  return task


def _run(
  config: ConfigDict, workdir: epath.Path, task: Task, say: folder.Say
) -> dict[str, Any]:
  """Trains, correlates and draws; returns the summary."""
  rows = []
  for n in sorted(config.sizes):
    start = time.monotonic()
    signs = draw_signs(config.seed, config.draws, n)
    for step, found in correlations(config, task, signs).items():
      mean, low, high = interval(found, config.confidence)
      row = {
        "n": n,
        "step": step,
        "correlation": mean,
        "low": low,
        "high": high,
      }
      rows.append(row | {"draws": found.tolist()})
    say(
      f"n = {n}: correlation {rows[-1]['correlation']:.3f} after"
      f" {rows[-1]['step']} steps, {time.monotonic() - start:.1f} s."
    )
  last = rows[-1]
  summary = {
    "train_accuracy": (1 + last["correlation"]) / 2,
    "test_accuracy": None,
    **{k: last[k] for k in ("n", "step", "correlation", "low", "high")},
    "is_lower_bound": True,
    "confidence": config.confidence,
    "num_draws": config.draws,
    "arch": config.arch,
    "data_source": task.source,
    "estimates": rows,
  }
  about = {name: config[name] for name in _ABOUT}
  draw([row | about for row in rows], workdir, config.plots)
  return summary


def draw(
  rows: Sequence[Mapping[str, Any]], folder: epath.Path, drawn: bool = True
) -> list[str]:
  """Writes table.csv, table.md and the picture of correlations.

  Args:
    rows: of table.csv, at least one.
    folder: exists.
    drawn: whether there is a picture.

  Returns:
    The names of the files.
  """
  written = tables.write(folder, rows, _COLUMNS, _ABOUT)
  if drawn:
    dataset, arch, draws = (rows[0][name] for name in _ABOUT)
    title = (
      f"{dataset} {arch}: lower bound of the Rademacher complexity, "
      f"{draws} draws"
    )
    with plots.drawing("rademacher.png"):
      written += pictures.rademacher(rows, folder, title)
  return written


def draw_signs(seed: int, draws: int, n: int) -> np.ndarray:
  """Independent fair signs; those of a smaller n are a prefix.

  Args:
    seed: in [0, 2**32).
    draws: number of rows.
    n: signs a row.

  Returns:
    int32 `[draws, n]` of -1 and 1.
  """
  key = jax.random.fold_in(root_key(seed), 7)

  def one(draw: int, position: jax.Array) -> jax.Array:
    base = jax.random.fold_in(key, draw)
    return jax.random.bits(jax.random.fold_in(base, position), (), "uint8") & 1

  over = jax.vmap(jax.vmap(one, (None, 0)), (0, None))
  bits = jax.jit(over)(jnp.arange(draws), jnp.arange(n))
  return 2 * np.asarray(bits, np.int32) - 1


def interval(
  values: np.ndarray, confidence: float
) -> tuple[float, float, float]:
  """Mean over draws with Student's t interval, cut to [-1, 1].

  mean +- t_{(1 + confidence) / 2, R - 1} s / sqrt(R), for R draws of sample
  standard deviation s. Signs and initial weights vary between draws; the
  sample of examples does not.

  Args:
    values: one correlation per draw, `[R]`, R >= 2.
    confidence: in (0, 1).

  Returns:
    Mean, lower and upper end.
  """
  mean = float(np.mean(values))
  scale = float(np.std(values, ddof=1)) / np.sqrt(len(values))
  half = float(scipy.stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * scale
  return mean, max(mean - half, -1.0), min(mean + half, 1.0)


def correlations(
  config: ConfigDict, task: Task, signs: np.ndarray
) -> dict[int, np.ndarray]:
  """Trains one learner per draw and correlates it with its signs.

  Args:
    config: resolved.
    task: whose first n train examples are learned; labels are not read.
    signs: `[R, n]`, -1 or 1.

  Returns:
    For each of the config's eval_steps, ascending, `(1/n) sum_i sigma_i h(x_i)`
    of each draw, `[R]`.
  """
  # The CPU runs convolutions with a batch of weights more than ten times
  # slower; products of matrices not.
  together = config.vectorise
  if together is None:
    together = models.ARCHITECTURES[config.arch].dense
  size = len(signs) if together else 1
  parts = [
    _train(config, task, signs[k : k + size], k)
    for k in range(0, len(signs), size)
  ]
  return {step: np.concatenate([p[step] for p in parts]) for step in parts[0]}


def _train(
  config: ConfigDict, task: Task, signs: np.ndarray, first: int
) -> dict[int, np.ndarray]:
  """Trains the draws of all rows of `signs` in one program."""
  n = signs.shape[1]
  read = sorted(set(config.eval_steps))
  c = training_config.default()
  c.update(arch=config.arch, dropout=config.dropout, schedule="constant")
  c.update(learning_rate=config.learning_rate, crop=0)
  c.batch_size = min(config.batch_size, n)
  # Enough for all steps.
  c.update(epochs=max(read[-1] * c.batch_size // n, 1), eval_epochs=2**20)
  c = training_config.resolve(c)
  runs = []
  for k, row in enumerate(signs, first):
    # Draw k has the same weights and masks whether alone or with others.
    init, noise = (
      jax.random.fold_in(state_lib.root(config.seed, name), k)
      for name in ("init", "noise")
    )
    own = dataclasses.replace(
      task, train=_signed(task.train, n, row), num_classes=2
    )
    runs.append(Run(str(k), own, init, noise, config.seed))
  slots = Slots(c, runs[0].task, jax.devices()[:1])
  slots.lay_out(runs, len(runs))
  found = {}
  for step in read:
    ends = {one.name: step for one in runs}
    while runs[0].step < step:
      slots.train(ends)
    seen = slots.evaluate("train")
    correct = seen.prediction == seen.given
    found[step] = np.mean(np.where(correct, 1, -1), axis=1)
  return found


def _signed(split: Split, n: int, signs: np.ndarray) -> Split:
  """The first n examples, whose given labels are the signs, 0 and 1."""
  [none] = [one for one in split.noise if one.target == "labels"]
  given = dataclasses.replace(
    none,
    form=None,
    parameters={},
    num_classes=2,
    given=np.pad((signs + 1) // 2, (0, len(split.whole) - n)).astype(np.int32),
  )
  return dataclasses.replace(split, rows=split.rows[:n], noise=(given,))

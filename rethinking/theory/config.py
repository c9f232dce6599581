"""Configs of the three theory experiments, every field with its meaning."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking.config import checks, experiments, fields, records
from rethinking.config.fields import (
  ABOVE_0,
  AT_LEAST_0,
  AT_LEAST_1,
  BELOW_1,
  RATE,
  Field,
  Range,
)
from rethinking.runtime.errors import UserError
from rethinking.theory import kernels


def _each(
  words: str, holds: Callable[[Any], bool], example: str, least: int = 1
) -> Range:
  """At least so many numbers, each of which holds."""

  def all_hold(values: Sequence[Any]) -> bool:
    # key=value makes characters of a tuple's text.
    numbers = all(isinstance(value, int | float) for value in values)
    return len(values) >= least and numbers and all(map(holds, values))

  return Range(words, all_hold, example)


_AT_LEAST_2 = Range("at least 2", lambda x: x >= 2, "2")
_RATES = _each(
  "rates in [0, 1]", RATE.holds, "--config.levels='(0.0, 0.5)'", least=0
)
_PENALTIES = _each(
  "one or more penalties of at least 0",
  AT_LEAST_0.holds,
  "--config.ridges='(0.0, 1.0)'",
)
_SIZES = _each(
  "one or more numbers of examples, each at least 2",
  _AT_LEAST_2.holds,
  "--config.sizes='(100, 300)'",
)
_TILE = Range(
  "at least 1 and below 46,341: LAPACK is 32-bit",
  lambda x: x >= 1 and x**2 < 2**31,
  "4000",
)

# What a training run has, too.
_COMMON = tuple(
  row._replace(allowed=_AT_LEAST_2) if row.name == "subset" else row
  for row in fields.TABLE
  if "common" in row.flags
)


def _rows(*rows: tuple[Any, ...]) -> tuple[Field, ...]:
  """Fields without flags, of name, default, sentence and what is allowed."""
  return tuple(Field(name, default, "", *more) for name, default, *more in rows)


# fmt: off
_ROWS = {
  "kernel": _rows(
    ("kernel", "gaussian", "The kernel.", tuple(kernels.KERNELS)),
    ("gamma", float,
     "Of the Gaussian (1 / squared pixel units) and Laplace kernels; none: "
     "from the mean distance between two examples.", ABOVE_0),
    ("features", "raw",
     "What it is applied to.", ("raw", "gabor", "random_conv")),
    ("scales", 2, "gabor: octaves.", AT_LEAST_1),
    ("orientations", 8, "gabor: angles in [0, pi).", AT_LEAST_1),
    ("wavelength", 4.0,
     "gabor: the shortest, pixels.",
     Range("above 2 pixels", lambda x: x > 2, "4.0")),
    ("pool", 4, "gabor: pixels between averaging windows.", AT_LEAST_1),
    ("filters", 2048,
     "random_conv: number of filters; each gives 2 grid^2.", AT_LEAST_1),
    ("patch", 6, "random_conv: side of a filter, pixels.", AT_LEAST_1),
    ("stride", 1, "random_conv: pixels between patches.", AT_LEAST_1),
    ("grid", 2, "random_conv: pooling cells along each axis.", AT_LEAST_1),
    ("threshold", 0.25,
     "random_conv: what a response must exceed.", AT_LEAST_0),
    ("ridges", (0.0,),
     "Penalties: sum of squared errors + ridge |f|^2. Each is fitted to the "
     "labels of each level.", _PENALTIES),
    ("levels", (), "Label-noise levels; empty: p alone.", _RATES),
    ("precision", "float32", "Of the kernel matrix.", ("float32", "float64")),
    ("solver", "auto", "tiles (CPU), device (its own), auto: what fits.",
     ("auto", "tiles", "device")),
    ("tile", 4000, "Rows per tile; n^2 / 2 entries are held in all.", _TILE),
    ("max_refinements", 2,
     "Steps of iterative refinement, if needed.", AT_LEAST_0),
    ("memory_gb", float, "What may be used; none: what is free.", ABOVE_0),
  ),
  "expressivity": _rows(
    ("arch", "mlp_1x512", "The trained model to stand beside."),
    ("epochs", 30, "Of its training.", AT_LEAST_1),
    ("batch_size", 128, "Examples a step of its training.", AT_LEAST_1),
    ("learning_rate", 1e-3,
     "Of its training: Adam with a cosine schedule.", ABOVE_0),
    ("eval_batch_size", 500,
     "Examples a dispatch; changes no number.", AT_LEAST_1),
  ),
  "rademacher": _rows(
    ("arch", "mlp_1x512", "The learner; see Architectures."),
    ("dropout", float,
     "Every rate, in [0, 1); none: the model's own.", BELOW_1),
    ("batch_size", 128,
     "Examples a step; all n where n is smaller.", AT_LEAST_1),
    ("learning_rate", 1e-3,
     "Of Adam, constant: any step may be the last.", ABOVE_0),
    ("sizes", (100, 300, 1000), "n: the lowest ids of the (sub)set.", _SIZES),
    ("draws", 8, "Independent draws of the signs for each n.",
     Range("at least 2: one has no interval", lambda x: x >= 2, "8")),
    ("steps", 1000, "Training steps of each learner.", AT_LEAST_1),
    ("eval_steps", (0, 30, 100, 300, 1000), "Where h is read."),
    ("confidence", 0.95, "Of the interval for the mean over draws.",
     Range("in (0, 1)", lambda x: 0 < x < 1, "0.95")),
    ("vectorise", bool, "Train draws at once; none: MLPs only."),
  ),
}
# fmt: on


# What a data set needs, where that is not the rows' default.
_OF_DATA: dict[tuple[str, str], dict[str, Any]] = {
  # 1,437 examples: the accuracy costs nothing.
  ("kernel", "digits"): {"precision": "float64"},
  ("kernel", "mnist"): {"gamma": 0.02},
  # The best of five on 2,000 train images held out of a fit of 4,000.
  ("kernel", "cifar10"): {"gamma": 0.01},
  ("expressivity", "digits"): {"epochs": 300},
}


def create(experiment: str, dataset: str) -> ConfigDict:
  """Returns the config of an experiment of the theory.

  Args:
    experiment: kernel, a minimum-norm kernel fit; expressivity, Theorem 1's
      network beside a trained MLP; or rademacher, a lower bound of the
      Rademacher complexity.
    dataset: a name of rethinking.data.NAMES.
  """
  c = fields.create((*_COMMON, *_ROWS[experiment]))
  if experiment == "rademacher" and dataset != "digits":
    c.sizes = (300, 1000, 3000, 10000)
    c.steps = 3000
    c.eval_steps = (0, 30, 100, 300, 1000, 3000)
  c.update(_OF_DATA.get((experiment, dataset), {}))
  c.experiment = c.variant = experiment
  c.dataset = dataset
  return c


# What a config file's variants of these names start from.
EXPERIMENTS = {name: functools.partial(create, name) for name in _ROWS}
kernel, expressivity, rademacher = EXPERIMENTS.values()


def resolve(config: ConfigDict) -> ConfigDict:
  """Fills what is left None and checks every field, before any work.

  Args:
    config: from `kernel`, `expressivity` or `rademacher`, with overrides.

  Returns:
    A locked copy.

  Raises:
    UserError: for a value outside its range, naming the field, what was given
      and what is allowed.
  """
  from rethinking import data, models

  experiments.check(config, *_ROWS)
  c = ConfigDict(config.to_dict())
  rows = (*_COMMON, *_ROWS[c.experiment])
  for row in rows:
    checks.kind(row.name, row, c[row.name])
  records.rename(c)
  if c.corruption_seed is None:
    c.corruption_seed = c.seed
  checks.choose("dataset", c.dataset, data.NAMES)
  data.shape(c)
  if "arch" in c:
    checks.choose("arch", c.arch, models.ARCHITECTURES)
  levels = c.get("levels", ())
  if c.label_noise is None and (c.p > 0 or any(levels)):
    raise UserError(
      "p and levels must be 0 where label_noise is None, got "
      f"{c.p} and {tuple(levels)}; try label_noise=uniform."
    )
  checks.unused(c)
  checks.ranges(c, rows)
  if "eval_steps" in c:
    words = f"one or more steps in [0, steps = {c.steps}]"
    example = f"--config.eval_steps='(0, {c.steps})'"
    steps = _each(words, lambda step: 0 <= step <= c.steps, example)
    steps.check("eval_steps", c.eval_steps)
  config_lib.corruptions(c)
  return c.lock()

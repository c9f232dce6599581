"""Configs of the three theory experiments, every field with its meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from rethinking import config as config_lib
from rethinking.errors import UserError
from rethinking.theory import kernels

FEATURES = ("raw", "gabor", "random_conv")
SOLVERS = ("auto", "tiles", "device")
PRECISIONS = ("float32", "float64")


def _common(experiment: str, dataset: str) -> ConfigDict:
  c = ConfigDict()
  c.experiment = experiment  # What main runs.
  c.variant = experiment  # The condition's name, for titles and folders.

  # Data.
  c.dataset = dataset  # A name of rethinking.data.NAMES.
  c.data_dir = placeholder(str)  # Prepared TFDS data; None: TFDS_DATA_DIR.
  c.data_cache = True  # Keep decoded arrays in the user's cache folder.
  c.subset = placeholder(int)  # Fit the n lowest ids; None: all.

  # Corruption, as in a training run: never on test labels.
  c.label_noise = placeholder(str)  # A label corruption's name; None: none.
  c.p = 0.0  # The label corruption's level, in [0, 1].
  c.exact = False  # Corrupt exactly round(p n) labels, not n coins.
  c.label_options = ""  # Its other options, such as "map=cifar10".
  c.pixel_noise = placeholder(str)  # An image corruption's name; None: none.
  c.pixel_options = ""  # Its options, such as "fraction=0.5 exact=True".

  c.seed = 0  # The one to change for another repetition.
  c.corruption_seed = placeholder(int)  # None: the same as seed.

  c.plots = True  # Draw the experiment's figures.
  c.compilation_cache = True  # Keep compiled programs in the user's cache.
  return c


def kernel(dataset: str) -> ConfigDict:
  """Returns the config of a minimum-norm kernel fit.

  Args:
    dataset: a name of rethinking.data.NAMES.
  """
  c = _common("kernel", dataset)
  # The kernel.
  c.kernel = "gaussian"  # A name of rethinking.theory.kernels.KERNELS.
  # Of the Gaussian (1 / squared pixel units) and Laplace kernels; None: from
  # the mean distance between two examples.
  c.gamma = placeholder(float)

  # What it is applied to.
  c.features = "raw"  # raw, gabor or random_conv.
  c.scales = 2  # gabor: octaves.
  c.orientations = 8  # gabor: angles in [0, pi).
  c.wavelength = 4.0  # gabor: the shortest, pixels, > 2.
  c.pool = 4  # gabor: pixels between averaging windows.
  c.filters = 2048  # random_conv: number of filters; each gives 2 grid^2.
  c.patch = 6  # random_conv: side of a filter, pixels.
  c.stride = 1  # random_conv: pixels between patches.
  c.grid = 2  # random_conv: pooling cells along each axis.
  c.threshold = 0.25  # random_conv: what a response must exceed.

  # The fit. Each ridge is fitted to the labels of each level.
  c.ridges = (0.0,)  # Penalties: sum of squared errors + ridge |f|^2.
  c.levels = ()  # Label-noise levels; empty: p alone.

  # How it is solved.
  c.precision = "float32"  # Of the kernel matrix: float32 or float64.
  c.solver = "auto"  # tiles (CPU), device (its own), auto: what fits.
  c.tile = 4000  # Rows per tile; n^2 / 2 entries are held in all.
  c.max_refinements = 2  # Steps of iterative refinement, if needed.
  c.memory_gb = placeholder(float)  # What may be used; None: what is free.

  if dataset == "digits":
    c.precision = "float64"  # 1,437 examples: the accuracy costs nothing.
  elif dataset == "mnist":
    c.gamma = 0.02
  elif dataset == "cifar10":
    # The best of five on 2,000 train images held out of a fit of 4,000.
    c.gamma = 0.01
  return c


def expressivity(dataset: str) -> ConfigDict:
  """Returns the config of Theorem 1's network, beside a trained MLP.

  Args:
    dataset: a name of rethinking.data.NAMES.
  """
  c = _common("expressivity", dataset)
  c.arch = "mlp_1x512"  # The trained model to stand beside.
  c.epochs = 300 if dataset == "digits" else 30  # Of its training.
  c.batch_size = 128  # Examples a step of its training.
  c.learning_rate = 1e-3  # Of its training: Adam with a cosine schedule.
  c.eval_batch_size = 500  # Examples a dispatch; changes no number.
  return c


def rademacher(dataset: str) -> ConfigDict:
  """Returns the config of a lower bound of the Rademacher complexity.

  Args:
    dataset: a name of rethinking.data.NAMES.
  """
  c = _common("rademacher", dataset)
  c.arch = "mlp_1x512"  # The learner, of rethinking.models.ARCHITECTURES.
  c.dropout = placeholder(float)  # Every rate, in [0, 1); None: the model's.
  c.batch_size = 128  # Examples a step; all n where n is smaller.
  c.learning_rate = 1e-3  # Of Adam, constant: any step may be the last.
  c.sizes = (100, 300, 1000)  # n: the lowest ids of the (sub)set.
  c.draws = 8  # Independent draws of the signs for each n, >= 2.
  c.steps = 1000  # Training steps of each learner.
  c.eval_steps = (0, 30, 100, 300, 1000)  # Where h is read.
  c.confidence = 0.95  # Of the interval for the mean over draws, in (0, 1).
  c.vectorise = placeholder(bool)  # Train draws at once; None: MLPs only.
  if dataset != "digits":
    c.sizes = (300, 1000, 3000, 10000)
    c.steps = 3000
    c.eval_steps = (0, 30, 100, 300, 1000, 3000)
  return c


# What a config file's variants of these names start from.
EXPERIMENTS = {
  "kernel": kernel,
  "expressivity": expressivity,
  "rademacher": rademacher,
}

# They set nothing more; here for the list of what there is.
VARIANTS = {name: {} for name in EXPERIMENTS}


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

  c = ConfigDict(config.to_dict())
  if c.corruption_seed is None:
    c.corruption_seed = c.seed
  choices = {
    "experiment": EXPERIMENTS,
    "dataset": data.NAMES,
    "arch": models.ARCHITECTURES,
    "kernel": kernels.KERNELS,
    "features": FEATURES,
    "solver": SOLVERS,
    "precision": PRECISIONS,
  }
  for name, allowed in choices.items():
    if name in c and c[name] not in allowed:
      raise UserError(
        f"Unknown {name} {c[name]!r}; choose one of {sorted(allowed)}."
      )
  for name, (is_allowed, allowed) in _RANGES.items():
    if name in c:
      _within(c, name, is_allowed(c[name]), allowed)
  levels = c.get("levels", ())
  if c.label_noise is None and (c.p > 0 or any(levels)):
    raise UserError(
      f"p is {c.p}, levels {tuple(levels)}, but label_noise is None; set"
      " label_noise, such as uniform."
    )
  if "levels" in c:
    _within(
      c,
      "levels",
      _numbers(levels) and all(0 <= level <= 1 for level in levels),
      "rates in [0, 1], as --config.levels='(0.0, 0.5)'",
    )
  if "eval_steps" in c:
    _within(
      c,
      "eval_steps",
      len(c.eval_steps) > 0
      and _numbers(c.eval_steps)
      and all(0 <= s <= c.steps for s in c.eval_steps),
      f"one or more steps in [0, steps = {c.steps}]",
    )
  config_lib.corruptions(c)
  return c.lock()


def _within(c: ConfigDict, name: str, ok: bool, allowed: str) -> None:
  if not ok:
    raise UserError(f"{name} is {c[name]}; it must be {allowed}.")


def _numbers(values: Sequence[object]) -> bool:
  """False for what key=value made of a tuple's text: its characters."""
  return all(isinstance(value, int | float) for value in values)


_COUNT = (lambda v: v >= 1, "at least 1")
_SEED = (lambda v: 0 <= v < 2**32, "in [0, 2**32)")
_OPTIONAL = (lambda v: v is None or v > 0, "above 0, or None")

# What a field's value must be, and the words for it.
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
  "p": (lambda v: 0 <= v <= 1, "a rate in [0, 1]"),
  "subset": (lambda v: v is None or v >= 2, "at least 2, or None"),
  "seed": _SEED,
  "corruption_seed": _SEED,
  "epochs": _COUNT,
  "batch_size": _COUNT,
  "eval_batch_size": _COUNT,
  "learning_rate": (lambda v: v > 0, "above 0"),
  "dropout": (
    lambda v: v is None or 0 <= v < 1,
    "a rate in [0, 1), or None for the model's own",
  ),
  "gamma": _OPTIONAL,
  "scales": _COUNT,
  "orientations": _COUNT,
  "wavelength": (lambda v: v > 2, "above 2 pixels"),
  "pool": _COUNT,
  "filters": _COUNT,
  "patch": _COUNT,
  "stride": _COUNT,
  "grid": _COUNT,
  "threshold": (lambda v: v >= 0, "at least 0"),
  "ridges": (
    lambda v: len(v) > 0 and _numbers(v) and min(v) >= 0,
    "one or more penalties of at least 0, as --config.ridges='(0.0, 1.0)'",
  ),
  "tile": (
    lambda v: 1 <= v <= 46_340,
    "at least 1 and below 46,341: LAPACK is 32-bit",
  ),
  "max_refinements": (lambda v: v >= 0, "at least 0"),
  "memory_gb": _OPTIONAL,
  "sizes": (
    lambda v: len(v) > 0 and _numbers(v) and min(v) >= 2,
    "one or more numbers of examples, each at least 2, as"
    " --config.sizes='(100, 300)'",
  ),
  "draws": (lambda v: v >= 2, "at least 2: one has no interval"),
  "steps": _COUNT,
  "confidence": (lambda v: 0 < v < 1, "in (0, 1)"),
}

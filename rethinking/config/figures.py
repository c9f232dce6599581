"""The figures, a row each, and what their sweeps set.

A config file's sweep is called after its figure. One that has no row here is
drawn as Figure 1.
"""

from typing import Any, NamedTuple


class Figure(NamedTuple):
  """A figure or a table that a sweep makes.

  Attributes:
    sentence: what it is.
    pictures: "module:function" from groups of runs and the figure's name to
      what is drawn; empty: tables alone.
    curve: what these draw along the runs, so that table.csv has it.
    files: "module:function" from groups and the sweep's folder to the names of
      files that it writes there, from what the runs left; empty: none.
    after: "module:function" from the sweep's folder and what makes runs, as
      `rethinking.sweeps.repair:run`: makes those that depend on the sweep's;
      empty: none.
  """

  sentence: str
  pictures: str = ""
  curve: str = ""
  files: str = ""
  after: str = ""


_REPORT = "rethinking.report"

# fmt: off
FIGURES = {
  "figure1": Figure("Five conditions; fit and test error by noise level.",
                    f"{_REPORT}.figure1:draw", "train_loss"),
  "levels": Figure("The noise levels of figure1 for one architecture.",
                   f"{_REPORT}.figure1:draw", "train_loss"),
  "table1": Figure("Regularisers on true labels; models on random labels."),
  "table4": Figure("Regularisers on random labels."),
  "figure2b": Figure("Networks with and without BatchNorm.",
                     f"{_REPORT}.studies:batch_norm", "test_accuracy"),
  "keras_study": Figure("Noise levels, augmentation, networks; Keras's recipe.",
                        f"{_REPORT}.studies:noise_levels"),
  "portions": Figure("Pixels corrupted in a portion of the images.",
                     f"{_REPORT}.studies:portions"),
  "redraw": Figure("Label noise drawn once, and anew in each epoch.",
                   f"{_REPORT}.studies:redrawn"),
  "memorization": Figure("Each example's scores, from runs on subsets.",
                         files=f"{_REPORT}.memorization:write"),
  "label_issues": Figure("Which labels look wrong, and how sure that is.",
                         files=f"{_REPORT}.label_issues:write"),
  "repair": Figure("Whether it helps to remove or fix what looks wrong.",
                   files=f"{_REPORT}.repair:write",
                   after="rethinking.sweeps.repair:run"),
  "detection": Figure("How well known wrong labels are found.",
                      files=f"{_REPORT}.detection:write"),
}
# fmt: on

# In the order of the paper's legend.
CONDITIONS = (
  "true_labels",
  "random_labels",
  "shuffled_pixels",
  "random_pixels",
  "gaussian_pixels",
)
_SEEDS = (0, 1, 2)
_LEVELS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def grid(
  variants: str | tuple[str, ...],
  *archs: str,
  seeds: tuple[int, ...] = _SEEDS,
  **axes: tuple,
) -> dict[str, tuple]:
  """Returns a grid: every combination of its axes' values.

  Args:
    variants: one or more conditions.
    *archs: architectures; none: the config's own.
    seeds: repetitions.
    **axes: fields, with the values of each.
  """
  if isinstance(variants, str):
    variants = (variants,)
  own = {"arch": archs} if archs else {}
  return {"variant": variants, **own, **axes, "seed": seeds}


def levels(*archs: str) -> dict[str, Any]:
  """Returns what panels b and c of Figure 1 set.

  Args:
    *archs: their architectures; none: the config's own.

  Reference: Zhang et al. (2017), figure 1.
  """
  # Panels b and c read the first fit; panel a's own runs go on.
  mine = grid("partial_labels", *archs, p=_LEVELS, stop_at_fit=(True,))
  return {"recipe": "paper", "grids": {"levels": mine}}


def figure1(conditions_on: str, levels_on: tuple[str, ...]) -> dict[str, Any]:
  """Returns what the paper's Figure 1 sets.

  Args:
    conditions_on: the architecture of panel a, one of `levels_on`.
    levels_on: the architectures of panels b and c.

  Reference: Zhang et al. (2017), figure 1.
  """
  found = levels(*levels_on)
  conditions = {"conditions": grid(CONDITIONS, conditions_on)}
  return {**found, "grids": conditions | found["grids"]}


def memorization(
  ratio: float,
  members: int,
  permutations: int,
  levels: tuple[float, ...] = (0.0, 0.2),
) -> dict[str, Any]:
  """Returns what an ensemble on subsets sets, see `rethinking.memorization`.

  Args:
    ratio: the share of the examples in a subset.
    members: runs of a permutation.
    permutations: how many.
    levels: of uniform label noise.
  """
  return {
    "ratio": ratio,
    "members": members,
    "permutations": permutations,
    "per_example": True,
    "presentations": True,
    # Of pair-flipped labels the first epochs say the most.
    "early_epochs": 5,
    "el2n_epochs": (1,),
    "grids": {"ensemble": {"variant": ("partial_labels",), "p": levels}},
  }


def label_issues() -> dict[str, Any]:
  """Returns what five runs on 4/5 each set, see `rethinking.label_issues`.

  At the cost of cross-validation, each example is outside of one run. Of few
  epochs, since networks that fit wrong labels no longer tell them.
  """
  return {
    "ratio": 0.8,
    "members": 5,
    "permutations": 1,
    "per_example": True,
    "presentations": True,
    "grids": {"issues": {}},
  }


def detection(
  mapped: str | None = None, seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
) -> dict[str, Any]:
  """Returns what a search for known wrong labels sets.

  Args:
    mapped: which classes asymmetric noise confuses; None: there is none.
    seeds: of the noise and all else: a score is chosen on the first three and
      judged on the others.
  """
  axes = {"p": (0.1, 0.2, 0.4), "seeds": seeds}
  kinds = ("symmetric", "pair_flip", "instance")
  grids = {"kinds": grid("partial_labels", label_noise=kinds, **axes)}
  if mapped is not None:
    grids["asymmetric"] = grid(
      "partial_labels",
      label_noise=("asymmetric",),
      label_options=(f"map={mapped}",),
      **axes,
    )
  return {**label_issues(), "grids": grids}


def keras_study(
  convolutional: tuple[str, ...],
  mlps: tuple[str, ...],
  augment: str,
  seeds: tuple[int, ...] = _SEEDS,
) -> dict[str, Any]:
  """Returns what the Keras study sets: noise levels, augmentation, networks.

  Args:
    convolutional: architectures with the recipe's L2 on convolutions.
    mlps: architectures that have none, and so no L2.
    augment: the augmentation that is compared with none.
    seeds: repetitions.
  """
  axes = {
    "p": tuple(n / 10 for n in range(10)),
    "augment": ("none", augment),
    "seeds": seeds,
  }
  return {
    "recipe": "keras",
    "normalization": "global",
    "grids": {
      "convolutional": grid("partial_labels", *convolutional, **axes),
      "mlp": grid("partial_labels", *mlps, l2=(0.0,), **axes),
    },
  }


def portions(*archs: str) -> dict[str, Any]:
  """Returns what portions of corrupted images set.

  The Keras study shuffled the pixels of a portion of its images.

  Args:
    *archs: architectures.
  """
  pixels = ("shuffled_pixels", "random_pixels", "gaussian_pixels")
  # The same runs, whatever corrupts none of the images.
  clean = grid("true_labels", *archs)
  noisy = grid(pixels, *archs, fraction=_LEVELS[1:])
  return {"grids": {"clean": clean, "portions": noisy}}


def redraw(*archs: str) -> dict[str, Any]:
  """Returns what label noise sets that is drawn once, or in each epoch.

  Args:
    *archs: architectures.
  """
  axes = {"p": _LEVELS[1:], "redraw": ("never", "epoch")}
  # Of true labels there is nothing to draw anew.
  clean = grid("true_labels", *archs)
  noisy = grid("partial_labels", *archs, **axes)
  return {"grids": {"clean": clean, "redraw": noisy}}

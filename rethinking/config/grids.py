"""Grids of configs that several config files share."""

from typing import Any

_SEEDS = (0, 1, 2)
_LEVELS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def figure1(
  conditions_on: str, levels_on: tuple[str, ...]
) -> dict[str, dict[str, tuple]]:
  """Returns the grids of the paper's Figure 1.

  Args:
    conditions_on: the architecture of panel a, one of `levels_on`.
    levels_on: the architectures of panels b and c.

  Reference: Zhang et al. (2017), figure 1.
  """
  return {
    "conditions": {
      "variant": (
        "true_labels",
        "random_labels",
        "shuffled_pixels",
        "random_pixels",
        "gaussian_pixels",
      ),
      "arch": (conditions_on,),
      "seed": _SEEDS,
    },
    "levels": {
      "variant": ("partial_labels",),
      "arch": levels_on,
      "p": _LEVELS,
      "seed": _SEEDS,
      # Panels b and c read the first fit; panel a's own runs go on.
      "stop_at_fit": (True,),
    },
  }


def keras_study(
  convolutional: tuple[str, ...],
  mlps: tuple[str, ...],
  augment: str,
  *,
  levels: tuple[float, ...] = tuple(n / 10 for n in range(10)),
  seeds: tuple[int, ...] = _SEEDS,
) -> dict[str, Any]:
  """Returns the Keras study: noise levels, augmentation, networks.

  Args:
    convolutional: architectures with the recipe's L2 on convolutions.
    mlps: architectures that have none, and so no L2.
    augment: the augmentation that is compared with none.
    levels: of uniform label noise.
    seeds: repetitions.
  """
  axes = {
    "variant": ("partial_labels",),
    "p": levels,
    "augment": ("none", augment),
    "seed": seeds,
  }
  return {
    "experiment": "sweep",
    "grids": {
      "convolutional": {"arch": convolutional, **axes},
      "mlp": {"arch": mlps, "l2": (0.0,), **axes},
    },
    "recipe": "keras",
    "normalization": "global",
    "plots": False,
    "tensorboard": False,
  }


def levels() -> dict[str, dict[str, tuple]]:
  """Returns the grid of panels b and c for the config's own architecture."""
  grid = figure1("", ())["levels"]
  del grid["arch"]
  return {"levels": grid}

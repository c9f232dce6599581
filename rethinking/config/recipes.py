"""What a recipe sets: the optimiser, its schedule, its regularisers."""

from typing import Any

from rethinking.corruptions.additions import add
from rethinking.models.registry import ARCHITECTURES

# What recipes have that do not say otherwise.
_PLAIN = {"l2": 0.0, "l2_kernels": "all", "early_stopping": 0}

RECIPES: dict[str, dict[str, Any]] = {
  # The default of this project.
  "adam_cosine": {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "schedule": "cosine",
  },
  # Zhang et al. (2017): SGD with momentum 0.9, x0.95 after each epoch. The
  # batch size is not stated there; 128 is what reproductions use. The learning
  # rate is the architecture's.
  "paper": {"optimizer": "sgd", "schedule": "exponential"},
  # The Keras study's notebooks, in Keras, whose l2(1e-4) adds 1e-4 times the
  # sum of squares where l2 here adds half of that.
  "keras": {
    "optimizer": "adam",
    "learning_rate": 5e-4,
    "schedule": "plateau",
    "l2": 2e-4,
    "l2_kernels": "conv",
    "early_stopping": 40,
  },
}


def register(name: str, **settings: Any) -> None:
  """Adds a recipe: from then on it is a name like the others.

  Args:
    name: a new one.
    **settings: `optimizer`, `learning_rate` and `schedule`; perhaps `l2`,
      `l2_kernels` and `early_stopping`: a config's fields, and their values.

  Raises:
    ValueError: for a name that is taken, or other settings.
  """
  needed = {*RECIPES["adam_cosine"]}
  if not needed <= settings.keys() <= needed | _PLAIN.keys():
    raise ValueError(
      f"The recipe {name!r} must set {sorted(needed)}, and may set "
      f"{sorted(_PLAIN)}, got {sorted(settings)}; try these."
    )
  add("recipe", RECIPES, name, settings)


def fields(recipe: str, arch: str) -> dict[str, Any]:
  """Returns the config fields that a recipe sets, with their values.

  Args:
    recipe: a name of `RECIPES`.
    arch: a name of rethinking.models.ARCHITECTURES.
  """
  found = {**_PLAIN, **RECIPES[recipe]}
  if recipe == "paper":
    found["learning_rate"] = ARCHITECTURES[arch].learning_rate
  return found

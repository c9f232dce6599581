"""The augmentations by name, and what their fields may be."""

from collections.abc import Callable, Mapping
from typing import Any

from rethinking.runtime.allowed import BELOW_1, RATE, Range, choose
from rethinking.runtime.errors import UserError

NONE = {
  "crop": None,  # side of a square cut at a random place, pixels; None: no crop
  "padding": 0,  # zeros put on each side before the crop, pixels
  "rotation": 0.0,  # degrees either way, at most 180
  "shift": 0.0,  # fraction of height and of width either way, below 1
  "zoom": 0.0,  # rows and columns scaled by 1 - zoom to 1 + zoom, below 1
  "shear": 0.0,  # degrees either way, below 90
  "channel_shift": 0.0,  # added to every channel, either way, at most 1
  "flip": False,  # left to right, in half of the draws
  "brightness": 0.0,  # factor from 1 - brightness to 1 + brightness, at most 1
}

PRESETS = {
  "none": NONE,
  # The images of Zhang et al. (2017) are 28 x 28: here cut at random places.
  "crop": {**NONE, "crop": 28},
  # Zhang et al. (2017), Table 4. The paper does not state the angle; 15 degrees
  # is the one of `keras_cifar`.
  "flip_rotation": {**NONE, "flip": True, "rotation": 15.0},
  "keras_cifar": {
    **NONE,
    "rotation": 15.0,
    "shift": 0.12,
    "zoom": 0.1,
    "shear": 10.0,
    # 0.1 in images divided by 0.2516, the standard deviation of CIFAR-10.
    "channel_shift": 0.1 * 0.2516,
    "flip": True,
    "brightness": 0.1,
  },
  # The original fills the outside with zeros; so does the nearest edge, save
  # for the 813 of the 60,000 digits that touch it.
  "keras_mnist": {**NONE, "rotation": 18.0, "zoom": 0.2},
}


def _number(
  words: str,
  holds: Callable[[Any], bool],
  example: str,
  kind: Any = int | float,
) -> Range:
  """A range of numbers, which True and False are not."""

  def both(x):
    return isinstance(x, kind) and not isinstance(x, bool) and holds(x)

  return Range(words, both, example)


_ALLOWED = {
  "crop": _number("whole pixels, at least 1", lambda x: x >= 1, "28", int),
  "padding": _number("whole pixels, at least 0", lambda x: x >= 0, "2", int),
  "rotation": _number("degrees in [0, 180]", lambda x: 0 <= x <= 180, "15"),
  "shift": _number(*BELOW_1),
  "zoom": _number(*BELOW_1),
  "shear": _number("degrees in [0, 90)", lambda x: 0 <= x < 90, "10"),
  "channel_shift": _number(*RATE),
  "flip": Range("True or False", lambda x: isinstance(x, bool), "True"),
  "brightness": _number(*RATE),
}


def check(**fields: Any) -> None:
  """Refuses a field that is not what `NONE` says it may be."""
  for name, value in fields.items():
    _ALLOWED[name].check(f"The augmentation's {name}", value)


def resolve(config: str | Mapping[str, Any]) -> dict[str, Any]:
  """Fills in and checks every field of an augmentation."""
  if isinstance(config, str):
    choose("augmentation", config, PRESETS)
    config = PRESETS[config]
  # A ConfigDict isn't registered as a Mapping.
  if not hasattr(config, "keys"):
    raise UserError(
      f"augment must be one of {sorted(PRESETS)} or fields among {list(NONE)}, "
      f"got {config!r}; try one of these."
    )
  for name in config:
    choose("augmentation field", name, NONE)
  fields = {**NONE, **dict(config)}
  check(**{k: v for k, v in fields.items() if (k, v) != ("crop", None)})
  if fields["padding"] and fields["crop"] is None:
    raise UserError(
      "The augmentation must have a crop beside padding, got padding="
      f"{fields['padding']} alone; try crop, the side of the cut, in pixels."
    )
  return fields

"""The augmentations by name, and what their fields may be."""

from collections.abc import Mapping
from typing import Any

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

# What a range may be: a test, and the same in words.
_BELOW_1 = (lambda value: 0 <= value < 1, "at least 0 and below 1")
_UP_TO_1 = (lambda value: 0 <= value <= 1, "from 0 to 1")
_RANGES = {
  "rotation": (lambda value: 0 <= value <= 180, "degrees from 0 to 180"),
  "shift": _BELOW_1,
  "zoom": _BELOW_1,
  "shear": (lambda value: 0 <= value < 90, "degrees, at least 0 and below 90"),
  "channel_shift": _UP_TO_1,
  "brightness": _UP_TO_1,
}


def check_ranges(**ranges: float) -> None:
  for name, value in ranges.items():
    allowed, words = _RANGES[name]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not allowed(value):
      raise UserError(
        f"Augmentation {name}={value!r} makes no sense; give a number, {words}."
      )


def check_pixels(name: str, value: int, least: int) -> None:
  whole = isinstance(value, int) and not isinstance(value, bool)
  if not whole or value < least:
    raise UserError(
      f"Augmentation {name}={value!r} makes no sense; give a whole number of"
      f" pixels, at least {least}."
    )


def resolve(config: str | Mapping[str, Any]) -> dict[str, Any]:
  """Fills in and checks every field of an augmentation."""
  if isinstance(config, str):
    if config not in PRESETS:
      raise UserError(
        f"Unknown augmentation {config!r}; choose one of {sorted(PRESETS)}."
      )
    config = PRESETS[config]
  # A ConfigDict isn't registered as a Mapping.
  if not hasattr(config, "keys"):
    raise UserError(
      f"Cannot make an augmentation of {config!r}; give one of"
      f" {sorted(PRESETS)} or fields among {list(NONE)}."
    )
  unknown = sorted(set(config) - set(NONE))
  if unknown:
    raise UserError(
      f"Unknown augmentation field {unknown[0]!r}; choose from {list(NONE)}."
    )
  fields = {**NONE, **dict(config)}
  check_ranges(**{name: fields[name] for name in _RANGES})
  check_pixels("padding", fields["padding"], 0)
  if fields["crop"] is not None:
    check_pixels("crop", fields["crop"], 1)
  elif fields["padding"]:
    raise UserError(
      f"Augmentation padding={fields['padding']} without a crop does nothing;"
      " give crop, the side of the image cut out of the padded one, in pixels."
    )
  if not isinstance(fields["flip"], bool):
    raise UserError(
      f"Augmentation flip={fields['flip']!r} makes no sense; give True or"
      " False."
    )
  return fields

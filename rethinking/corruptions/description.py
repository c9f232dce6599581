"""What a corruption is: a name, a level and options, as an immutable value."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from rethinking.corruptions.checks import check_matrix, check_static_rate
from rethinking.corruptions.matrices import MAPS

_REQUIRED = object()


def _switch(name: str, value: Any) -> bool:
  if not isinstance(value, bool):
    raise ValueError(f"{name} is {value!r}; give True or False.")
  return value


def _share(name: str, value: Any) -> float:
  check_static_rate(value, name)
  return float(value)


def _byte(name: str, value: Any) -> int:
  if isinstance(value, (bool, str)) or value not in range(256):
    raise ValueError(f"{name} is {value!r}; give an integer in 0..255.")
  return int(value)


def _text(name: str, value: Any) -> str:
  if not isinstance(value, str) or not value:
    raise ValueError(f"{name} is {value!r}; give a string.")
  return value


def _matrix(name: str, value: Any) -> tuple[tuple[float, ...], ...]:
  check_matrix(value)
  return tuple(tuple(float(entry) for entry in row) for row in value)


def _map(name: str, value: Any) -> str | tuple[int, ...]:
  if isinstance(value, str) and value in MAPS:
    return value
  if isinstance(value, str) or not hasattr(value, "__iter__"):
    raise ValueError(
      f"Unknown {name} {value!r}; choose one of {sorted(MAPS)}, or give one "
      "label a class."
    )
  labels = tuple(value)
  try:
    if any(isinstance(i, bool) or int(i) != i for i in labels):
      raise ValueError
    return tuple(int(i) for i in labels)
  except (TypeError, ValueError, OverflowError):
    raise ValueError(f"{name} is {labels!r}; give integer labels.") from None


@dataclasses.dataclass(frozen=True)
class Definition:
  """What a corruption's name stands for.

  Attributes:
    target: 'labels' or 'images'.
    has_level: whether it takes a level in [0, 1].
    options: each option's default and the function that checks it.
    meaning: one line on what it does.
  """

  target: str
  has_level: bool
  options: dict[str, tuple[Any, Callable[[str, Any], Any]]]
  meaning: str


_EXACT = {"exact": (False, _switch)}
_IMAGES = {"fraction": (1.0, _share), "exact": (False, _switch)}

DEFINITIONS: dict[str, Definition] = {
  "uniform": Definition(
    "labels", True, _EXACT, "drawn anew from all classes (inclusive)"
  ),
  "symmetric": Definition(
    "labels", True, _EXACT, "replaced by another class (exclusive)"
  ),
  "pair_flip": Definition("labels", True, _EXACT, "replaced by the next class"),
  "asymmetric": Definition(
    "labels",
    True,
    {"map": (_REQUIRED, _map), **_EXACT},
    "replaced by the class it is mistaken for",
  ),
  "transition": Definition(
    "labels",
    False,
    {"matrix": (_REQUIRED, _matrix)},
    "drawn from its class's row of a matrix",
  ),
  "instance": Definition(
    "labels", True, _EXACT, "replaced by a class that the image suggests"
  ),
  "permutation": Definition(
    "labels", True, {}, "permuted within a random subset"
  ),
  "human": Definition(
    "labels",
    False,
    {"path": (_REQUIRED, _text), "array": (_REQUIRED, _text)},
    "given by people, from a file",
  ),
  "shuffled_pixels": Definition(
    "images", False, _IMAGES, "one permutation of the pixels"
  ),
  "random_pixels": Definition(
    "images", False, _IMAGES, "a permutation of the pixels for each image"
  ),
  "gaussian_pixels": Definition(
    "images",
    False,
    {"per_channel": (False, _switch), **_IMAGES},
    "Gaussian noise of the data set's mean and variance",
  ),
  "partial_shuffle": Definition(
    "images",
    True,
    {"per_image": (False, _switch), **_IMAGES},
    "a share of the pixels permuted",
  ),
  "gaussian_noise": Definition(
    "images", True, _IMAGES, "Gaussian noise added, of level 255 spread"
  ),
  "occlusion": Definition(
    "images",
    True,
    {"value": (0, _byte), **_IMAGES},
    "a constant block of level times the image's side",
  ),
}


@dataclasses.dataclass(frozen=True, repr=False)
class Corruption:
  """An immutable, hashable description of one corruption.

  Make one with `create` or `from_config`.

  Attributes:
    name: a name of `DEFINITIONS`.
    level: in [0, 1]; None for a corruption that has none.
    options: (name, value) pairs sorted by name, defaults filled in.
  """

  name: str
  level: float | None = None
  options: tuple[tuple[str, Any], ...] = ()

  def __post_init__(self):
    if not isinstance(self.name, str) or self.name not in DEFINITIONS:
      raise ValueError(
        f"Unknown corruption {self.name!r}; choose one of "
        f"{sorted(DEFINITIONS)}."
      )
    known = DEFINITIONS[self.name]
    if known.has_level:
      if self.level is None:
        raise ValueError(f"{self.name!r} needs a level; give one in [0, 1].")
      check_static_rate(self.level, f"level of {self.name!r}")
      object.__setattr__(self, "level", float(self.level))
    elif self.level is not None:
      raise ValueError(
        f"{self.name!r} takes no level, but got {self.level!r}; its options "
        f"are {sorted(known.options)}."
      )
    given = dict(self.options)
    unknown = sorted(set(given) - set(known.options))
    if unknown:
      raise ValueError(
        f"Unknown option {unknown[0]!r} of {self.name!r}; choose from "
        f"{sorted(known.options)}."
      )
    filled = []
    for option, (default, check) in sorted(known.options.items()):
      value = given.get(option, default)
      if value is _REQUIRED:
        raise ValueError(f"{self.name!r} needs the option {option!r}.")
      filled.append((option, check(option, value)))
    object.__setattr__(self, "options", tuple(filled))

  @classmethod
  def create(
    cls, name: str, level: float | None = None, **options: Any
  ) -> Corruption:
    """Describes a corruption.

    Args:
      name: a name of `DEFINITIONS`.
      level: in [0, 1], where it has one.
      **options: the corruption's own.

    Returns:
      The description, its options complete.

    Raises:
      ValueError: for an unknown name or option, or a value that isn't allowed.

    >>> Corruption.create("uniform", level=0.4)
    Corruption.create('uniform', level=0.4)
    >>> Corruption.create("uniform", level=4)
    Traceback (most recent call last):
    ValueError: The level of 'uniform' is 4; give a number in [0, 1].
    """
    return cls(name, level, tuple(sorted(options.items())))

  @classmethod
  def from_config(cls, config: Mapping[str, Any]) -> Corruption:
    """Describes a corruption from a mapping, such as a ConfigDict.

    Args:
      config: 'name', 'level' where it has one, and its options.

    Returns:
      The description.

    Raises:
      ValueError: as `create`, and for a mapping without a name.

    >>> Corruption.from_config({"name": "occlusion", "level": 0.5})
    Corruption.create('occlusion', level=0.5)
    """
    if not hasattr(config, "items"):
      raise ValueError(
        f"{config!r} is not a mapping; give one such as {{'name': 'uniform', "
        "'level': 0.4}."
      )
    options = dict(config.items())
    if "name" not in options:
      raise ValueError(
        f"The corruption {options} has no 'name'; give one of "
        f"{sorted(DEFINITIONS)}."
      )
    return cls.create(
      options.pop("name"), options.pop("level", None), **options
    )

  def to_config(self) -> dict[str, Any]:
    """Returns the mapping that `from_config` reads, JSON-able and complete.

    >>> Corruption.create("uniform", level=0.4).to_config()
    {'name': 'uniform', 'level': 0.4, 'exact': False}
    """
    level = {} if self.level is None else {"level": self.level}
    options = json.loads(json.dumps(dict(self.options)))
    return {"name": self.name, **level, **options}

  @property
  def target(self) -> str:
    """What it changes: 'labels' or 'images'."""
    return DEFINITIONS[self.name].target

  @property
  def sha256(self) -> str:
    """The fingerprint of the description, the same on every platform."""
    text = json.dumps(self.to_config(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

  def option(self, name: str) -> Any:
    """Returns an option's value.

    >>> Corruption.create("uniform", level=0.4).option("exact")
    False
    """
    return dict(self.options)[name]

  def __repr__(self) -> str:
    known = DEFINITIONS[self.name].options
    parts = [repr(self.name)]
    if self.level is not None:
      parts.append(f"level={self.level!r}")
    parts += [f"{k}={v!r}" for k, v in self.options if v != known[k][0]]
    return f"Corruption.create({', '.join(parts)})"

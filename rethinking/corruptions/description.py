"""What a corruption is: a name, a level and options, as an immutable value."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rethinking.corruptions.checks import check_static_rate
from rethinking.corruptions.registry import DEFINITIONS, REQUIRED, Definition

# Options that choose examples; an op acts on one that is chosen.
_CHOOSE = ("exact", "fraction")


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
        f"A corruption must be one of {sorted(DEFINITIONS)}, got "
        f"{self.name!r}; try one of these."
      )
    known = self.definition
    if known.has_level:
      if self.level is None:
        raise ValueError(
          f"{self.name!r} must have a level in [0, 1], got none; try level=0.5."
        )
      check_static_rate(self.level, f"level of {self.name!r}")
      object.__setattr__(self, "level", float(self.level))
    elif self.level is not None:
      raise ValueError(
        f"{self.name!r} must have no level, got {self.level!r}; try without it."
      )
    given = dict(self.options)
    unknown = sorted(set(given) - set(known.options))
    if unknown:
      raise ValueError(
        f"Options of {self.name!r} must be among {sorted(known.options)}, got "
        f"{unknown[0]!r}; try without it."
      )
    filled = []
    for option, (default, check) in sorted(known.options.items()):
      value = given.get(option, default)
      if value is REQUIRED:
        raise ValueError(
          f"{self.name!r} must have the option {option!r}, got none; try "
          f"{option}=..."
        )
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
    ValueError: The level of 'uniform' must be a number in [0, 1], got 4; try
      0.5.
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
        f"A corruption must be a mapping, got {config!r}; try {{'name': "
        "'uniform', 'level': 0.4}."
      )
    options = dict(config.items())
    if "name" not in options:
      raise ValueError(
        f"A corruption must have a 'name', got {options}; try one of "
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
  def definition(self) -> Definition:
    """Its name's row of `DEFINITIONS`."""
    return DEFINITIONS[self.name]

  @property
  def target(self) -> str:
    """What it changes: 'labels' or 'images'."""
    return self.definition.target

  @property
  def arguments(self) -> dict[str, Any]:
    """What its op takes by name: the level (p of labels) and own options."""
    level = "p" if self.target == "labels" else "level"
    given = {} if self.level is None else {level: self.level}
    return given | {k: v for k, v in self.options if k not in _CHOOSE}

  @property
  def exact(self) -> bool:
    """Whether its options say that an exact count is drawn."""
    return dict(self.options).get("exact", False)

  @property
  def in_sets(self) -> bool:
    """Whether labels are corrupted by looking at the whole set."""
    whole = self.definition.prepare is None or self.exact
    return self.target == "labels" and whole

  @property
  def redraws(self) -> bool:
    """Whether each example can be drawn anew: nothing is drawn once for all."""
    per_image = dict(self.options).get("per_image", False)
    shared = self.definition.shared and not per_image
    return not (shared or self.exact or self.definition.prepare is None)

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
    known = self.definition.options
    parts = [repr(self.name)]
    if self.level is not None:
      parts.append(f"level={self.level!r}")
    parts += [f"{k}={v!r}" for k, v in self.options if v != known[k][0]]
    return f"Corruption.create({', '.join(parts)})"

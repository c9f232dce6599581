"""A config filled in and checked."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from rethinking.config import checks, experiments, fields, recipes, records
from rethinking.runtime.errors import UserError

if TYPE_CHECKING:
  from rethinking.corruptions.description import Corruption


def resolve(config: ConfigDict) -> ConfigDict:
  """Fills the recipe's own values into the fields left None, and checks all.

  Args:
    config: from a config file, with its overrides.

  Returns:
    A locked copy that describes the run completely, whatever the defaults of
    later versions.

  Raises:
    UserError: for a value outside its range, naming the field, what was given
      and what is allowed.
  """
  from rethinking.data import registry
  from rethinking.models.registry import ARCHITECTURES

  experiments.check(config, "train")
  c = ConfigDict(config.to_dict())
  missing = sorted(set(fields.default()) - set(c))
  if missing:
    raise UserError(
      f"A config must have every field, got one without {missing}; try to "
      "begin with rethinking.config.default()."
    )
  for row in fields.TABLE:
    if row.name not in fields.SWEEP:
      checks.kind(row.name, row, c[row.name])
    elif c[row.name]:
      raise UserError(
        f"{row.name} must be left out of a single run, got "
        f"{config.to_dict()[row.name]}; try a sweep's variant of the config "
        "file."
      )
  records.rename(c)
  checks.choose("recipe", c.recipe, recipes.RECIPES)
  checks.choose("arch", c.arch, ARCHITECTURES)
  checks.choose("dataset", c.dataset, registry.NAMES)
  height, width, _ = registry.shape(c)
  filled = {
    **recipes.fields(c.recipe, c.arch),
    "crop": ARCHITECTURES[c.arch].crop_of(height, width),
    "checkpoint_epochs": max(1, c.epochs // 10),
    **dict.fromkeys(fields.SEEDS, c.seed),
  }
  if c.member is not None and c.members and c.permutations:
    # Runs of an ensemble share corruption and subsets; the rest is their own.
    own = c.seed * c.members * c.permutations + c.member
    filled |= dict.fromkeys(fields.flagged("own"), own % 2**32)
  c.update({name: value for name, value in filled.items() if c[name] is None})
  checks.check(c)
  checks.redraw(c, corruptions(c))
  return c.lock()


def corruptions(config: ConfigDict) -> tuple[Corruption, ...]:
  """Returns the corruptions that a config describes, labels first.

  Args:
    config: resolved or not.

  Returns:
    Zero, one or two descriptions for `rethinking.corruptions.apply`.

  Raises:
    UserError: for an unknown name, option or level.
  """
  # JAX comes with it.
  from rethinking.corruptions import DEFINITIONS, Corruption

  found = []
  targets = {
    "labels": ("label_noise", {"exact": False}),
    "images": ("pixel_noise", {"fraction": 1.0, "level": None}),
  }
  for target, (field, own) in targets.items():
    name = config[field]
    if name is None:
      continue
    allowed = [n for n, d in DEFINITIONS.items() if d.target == target]
    checks.choose(field, name, allowed)
    row = DEFINITIONS[name]
    options_field = f"{field.partition('_')[0]}_options"
    options = _options(config[options_field], options_field)
    _spelled_out(config, options, options_field, own)
    level = options.pop("level", None) if target == "images" else None
    if target == "labels" and row.has_level:
      level = config.p
    if level is None and row.has_level:
      raise UserError(f"level must be in [0, 1] for {name}, got none; try 0.5.")
    unknown = sorted({*options} - {*row.options})
    if unknown:
      checks.choose(f"option of {name}", unknown[0], row.options)
    try:
      found.append(Corruption(name, level, tuple(options.items())))
    except ValueError as error:
      raise UserError(str(error)) from error
  return tuple(found)


def _spelled_out(
  config: ConfigDict,
  options: dict[str, Any],
  options_field: str,
  fields: dict[str, Any],
) -> None:
  """Adds what fields of their own say to a corruption's options."""
  for name, default in fields.items():
    if config[name] == default:
      continue
    if name in options:
      raise UserError(
        f"{name} must be given once, got {config[name]} and {options_field}="
        f"{name}={options[name]}; try one of them."
      )
    options[name] = config[name]


# A name, and a value up to the next name; in quotes it may have any.
_OPTION = re.compile(
  r"""\s*([A-Za-z_]\w*)=("[^"]*"|'[^']*'|.+?)(?=\s+[A-Za-z_]\w*=|\s*$)"""
)


def _options(text: str, field: str) -> dict[str, Any]:
  """Reads "name=value name=value" with Python literals or plain words."""
  found, end = {}, 0
  for match in _OPTION.finditer(text):
    if match.start() != end:
      break
    name, value = match.groups()
    end = match.end()
    if name in found:
      raise UserError(f"{field} must have {name} once, got {text!r}; try one.")
    try:
      found[name] = ast.literal_eval(value)
    # A key that cannot be hashed is a TypeError.
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
      found[name] = value
  if text[end:].strip():
    raise UserError(
      f"{field} must be name=value, separated by spaces, got {text!r}; try "
      'such as "map=cifar10" or "path=\'a b.npz\' array=worse_label".'
    )
  return found

"""A config filled in and checked."""

from __future__ import annotations

import ast
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
  from rethinking import data
  from rethinking.models.registry import ARCHITECTURES

  experiments.check(config, "train")
  c = ConfigDict(config.to_dict())
  missing = sorted(set(fields.default()) - set(c))
  if missing:
    raise UserError(
      f"The config lacks the fields {missing}; begin with "
      "rethinking.config.default()."
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
  checks.choose("dataset", c.dataset, data.NAMES)
  height, width, _ = data.shape(c)
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

  label_options = _options(config, "label_options")
  if config.exact:
    label_options["exact"] = True
  found = []
  targets = {
    "labels": ("label_noise", label_options),
    "images": ("pixel_noise", _options(config, "pixel_options")),
  }
  for target, (field, options) in targets.items():
    name = config[field]
    if name is None:
      continue
    allowed = [n for n, d in DEFINITIONS.items() if d.target == target]
    checks.choose(field, name, allowed)
    if target == "labels" and DEFINITIONS[name].has_level:
      options["level"] = config.p
    if target == "images":
      _spelled_out(config, options)
    try:
      found.append(Corruption.create(name, **options))
    except ValueError as error:
      raise UserError(str(error)) from error
  return tuple(found)


def _spelled_out(config: ConfigDict, options: dict[str, Any]) -> None:
  """Adds the fields `fraction` and `level` to a pixel corruption's options."""
  for name, default in (("fraction", 1.0), ("level", None)):
    if config[name] == default:
      continue
    if name in options:
      raise UserError(
        f"{name} is {config[name]}, but pixel_options says {name}="
        f"{options[name]}; give one of them."
      )
    options[name] = config[name]


def _options(config: ConfigDict, field: str) -> dict[str, Any]:
  """Reads "name=value name=value" with Python literals or plain words."""
  found = {}
  for pair in config[field].split():
    name, equals, value = pair.partition("=")
    if not equals:
      raise UserError(
        f"{field} is {config[field]!r}; write name=value, separated by spaces."
      )
    try:
      found[name] = ast.literal_eval(value)
    except (SyntaxError, ValueError):
      found[name] = value
  return found

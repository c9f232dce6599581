"""Overrides of a sweep's fields, which its grids may hide."""

import warnings
from collections.abc import Iterable

from ml_collections import ConfigDict

from rethinking.config.variants import VARIANTS
from rethinking.runtime.errors import UserError


def check(config: ConfigDict, names: Iterable[str]) -> None:
  """Refuses an override that every grid hides, and warns where some do.

  What a config file sets beside its grids is no override.

  Args:
    config: of any experiment, its overrides applied.
    names: of the fields that were overridden.

  Raises:
    UserError: naming what to override instead.
  """
  grids = config.get("grids", {})
  for name in names:
    axes = {title: _setter(grid, name) for title, grid in grids.items()}
    flags = [f"--config.grids.{t}.{axis}" for t, axis in axes.items() if axis]
    if not flags:
      continue
    if len(flags) == len(axes):
      raise UserError(
        f"{name} must be left to the grids, which set it, got "
        f"{config[name]!r}; try {', '.join(flags)}."
      )
    hiding = ", ".join(title for title, axis in axes.items() if axis)
    warnings.warn(
      f"{name}={config[name]} is ignored by the grids {hiding}, which set it; "
      f"try {', '.join(flags)}.",
      stacklevel=2,
    )


def _setter(grid: ConfigDict, name: str) -> str | None:
  """The axis of a grid that sets a field, itself or as its variants do."""
  if name in grid:
    return name
  for variant in grid.get("variant", ()):
    if name in VARIANTS.get(variant, {}):
      return "variant"
  return None

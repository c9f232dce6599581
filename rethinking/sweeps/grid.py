"""The runs of a sweep: its grids, expanded."""

import itertools
from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking.config import experiments
from rethinking.config.checks import OPTIONS, kind, ranges
from rethinking.config.fields import SWEEP, TABLE, flagged
from rethinking.runtime.allowed import choose
from rethinking.runtime.errors import UserError


def expand(config: ConfigDict) -> dict[str, ConfigDict]:
  """Expands a sweep's grids into its runs.

  Each grid is a product of axes, a field's name to a list of values; `variant`
  sets what the variant of that name sets, before the other axes. Runs that
  several grids share appear once. A level of 0 is `true_labels` and a level
  of 1 `random_labels`, so that a grid of levels shares them with a grid of
  conditions. A run that one grid ends when its train set is fitted and another
  one doesn't is trained to its end: the first fit is seen on the way. With
  `members` and `permutations` each run is as many runs on subsets.

  Args:
    config: of a sweep: a run's fields, and `grids`.

  Returns:
    A resolved config for each cell, by a name that is unique in the sweep.

  Raises:
    UserError: for an unknown axis or variant, a cell that is refused, or an
      `only` that leaves none.
  """
  experiments.check(config, "sweep")
  if not config.grids:
    raise UserError(
      "grids must have a grid, got none; try a sweep's variant of the config "
      "file."
    )
  if config.member is not None:
    raise UserError(
      f"member must be left out of a sweep, which makes them all, got "
      f"{config.member}; try only=member{config.member}."
    )
  ranges(config, (row for row in TABLE if row.name in SWEEP))
  own = flagged("sweep")
  base = {k: v for k, v in config.to_dict().items() if k not in own}
  found: dict[str, ConfigDict] = {}
  for title, grid in config.grids.items():
    axes = grid.to_dict()
    if config.levels is not None and "p" in axes:
      # Such as those of a grid that has settings for noise.
      kinds = {p == 0 for p in axes["p"]}
      axes["p"] = tuple(p for p in config.levels if (p == 0) in kinds)
      if not axes["p"]:
        continue
    for axis, values in axes.items():
      _check_axis(f"grids.{title}.{axis}", axis, values)
    for name, cell in _cells(base, axes):
      other = found.setdefault(name, cell)
      longer = [_without_stop(one) for one in (cell, other)]
      if longer[0] == longer[1]:
        found[name] = cell if other.stop_at_fit else other
      else:
        raise UserError(
          f"Different cells must have different names, got two of {name!r}; "
          "try an axis that tells them apart."
        )
  if not found:
    raise UserError(
      "levels must have one of a grid's kind, 0 or above, got "
      f"{config.levels}; try another grid."
    )
  subsets = any(cell.member is not None for cell in found.values())
  if not subsets and (config.influence or config.reference):
    raise UserError(
      "influence and reference must be left out of a sweep without runs on "
      f"subsets, got {config.influence} and {config.reference}; try the "
      "variant memorization."
    )
  kept = {n: c for n, c in found.items() if (config.only or "") in n}
  if not kept:
    raise UserError(
      f"only must be part of a cell's name, got {config.only!r}; try part of "
      f"{next(iter(found), 'none')!r}."
    )
  return kept


# What a grid may set.
_AXES = {
  row.name: row
  for row in TABLE
  if row.name == "variant" or "sweep" not in row.flags.split()
}


def _check_axis(name: str, axis: str, values: Any) -> None:
  """Refuses an axis of no field, without values, or with one that is none."""
  choose("axis of a grid", axis, _AXES)
  if not isinstance(values, tuple | list) or not values:
    raise UserError(
      f"{name} must be one or more values, got {values!r}; try "
      f"--config.{name}='(VALUE,)'."
    )
  for value in values:
    kind(name, _AXES[axis], value)


def _cells(
  base: dict[str, Any], axes: dict[str, Any]
) -> Iterator[tuple[str, ConfigDict]]:
  for values in itertools.product(*axes.values()):
    chosen = dict(zip(axes, values, strict=True))
    one = {**base, **chosen}
    runs = (one["members"] or 0) * (one["permutations"] or 0)
    for member in [{"member": i} for i in range(runs)] or [{}]:
      yield _cell(base, chosen | member)


def _cell(
  base: dict[str, Any], chosen: dict[str, Any]
) -> tuple[str, ConfigDict]:
  fields = {**config_lib.default().to_dict(), **base, "experiment": "train"}
  variant = chosen.pop("variant", "true_labels")
  choose("variant of a grid", variant, config_lib.VARIANTS)
  fields.update(config_lib.VARIANTS[variant])
  fields.update(chosen)
  if variant == "partial_labels" and fields["p"] in (0, 1):
    variant = "random_labels" if chosen.pop("p") else "true_labels"
    fields.update({"label_noise": None, "p": 0.0})
    fields.update(config_lib.VARIANTS[variant])
  fields["variant"] = variant
  # Options of all cells go to those with the corruption that they are of.
  for name, noise in OPTIONS.items():
    if fields[noise] is None:
      fields[name] = _AXES[name].initial
  # Without an axis the config's own noise is the condition.
  own = chosen.keys() <= {"member"} and fields["label_noise"]
  parts = [fields["arch"], own or variant]
  parts += [
    f"{k}{v}"
    for k, v in chosen.items()
    # The one is there already, the other is no condition.
    if k != "arch" and k != "stop_at_fit"
  ]
  name = "-".join(str(part).replace("/", "_") for part in parts)
  return name, config_lib.resolve(ConfigDict(fields))


def _without_stop(cell: ConfigDict) -> dict[str, Any]:
  return {**cell.to_dict(), "stop_at_fit": False}

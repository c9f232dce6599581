"""Groups of runs as lines along the level of label noise."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from rethinking.config.fields import LABELS
from rethinking.report.rows import Group, Times
from rethinking.report.settings import value_text


def varying(
  groups: Sequence[Group], but: Sequence[str] = ()
) -> tuple[str, ...]:
  """Names the settings in which groups differ.

  Args:
    groups: any number.
    but: fields that are left out.
  """
  names: dict[str, None] = {}
  for group in groups:
    names |= dict.fromkeys(group.settings)
  return tuple(
    name
    for name in names
    if name not in but
    and len({json.dumps(g.settings.get(name)) for g in groups}) > 1
  )


def rest(group: Group, but: Sequence[str]) -> str:
  """The settings of a group as text, to tell which groups share them.

  Args:
    group: finished runs.
    but: fields that are left out.
  """
  kept = {k: v for k, v in group.settings.items() if k not in but}
  return json.dumps(kept, sort_keys=True)


class Series(NamedTuple):
  """The same settings at several levels of label noise.

  Attributes:
    label: what tells it from the other series of a figure.
    points: groups in ascending order of p, at most one for each.
  """

  label: str
  points: tuple[Group, ...]

  @property
  def arch(self) -> str:
    return self.points[0].arch

  def clean(self) -> Group | None:
    """The group with true labels."""
    return self.points[0] if self.points[0].p == 0 else None


def series(groups: Sequence[Group]) -> list[Series]:
  """Sorts groups on true images into lines along the level.

  Args:
    groups: of one figure.

  Returns:
    One line for each setting and kind of label noise; true labels belong to
    every kind.
  """
  groups = [g for g in groups if not g.settings.get("pixel_noise")]
  different = varying(groups, (*LABELS, "arch"))
  kinds = list(dict.fromkeys(_kind(g) for g in groups if g.p > 0))
  lines: dict[str, list[Group]] = {}
  for group in groups:
    lines.setdefault(rest(group, LABELS), []).append(group)
  found = []
  for mine in lines.values():
    parts = [mine[0].arch]
    parts += [f"{n} {value_text(mine[0].settings, n)}" for n in different]
    own = [k for k in kinds if any(_kind(g) == k for g in mine if g.p > 0)]
    for kind in own or [None]:
      points = [g for g in mine if g.p == 0 or _kind(g) == kind]
      points.sort(key=lambda g: g.p)
      name = [json.loads(kind)[0]] if kind and len(kinds) > 1 else []
      found.append(Series(", ".join(parts + name), tuple(points)))
  return found


def _kind(group: Group) -> str:
  names = (n for n in LABELS if n != "p")
  return json.dumps([group.settings.get(n) for n in names], sort_keys=True)


def relative_times(line: Series) -> list[tuple[Group, Times]]:
  """Steps to fit, divided by the mean steps to fit true labels.

  Args:
    line: from `series`.

  Returns:
    A time for each group; none where true labels were not run or not fitted
    by every seed, since there is nothing to divide by.
  """
  clean = line.clean()
  if clean is None:
    return []
  unit = clean.time_to_fit()
  if unit.censored or not unit.mean:
    return []
  found = []
  for group in line.points:
    *values, fitted, total = group.time_to_fit()
    values = (None if v is None else v / unit.mean for v in values)
    found.append((group, Times(*values, fitted, total)))
  return found

"""Published numbers beside measured ones."""

import functools
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rethinking.report.rows import Group, Stat, text
from rethinking.report.series import relative_times, series
from rethinking.report.settings import augmentation, short
from rethinking.storage import tables

# The rule of a verdict: within the larger of this and twice the standard
# deviation over seeds.
POINTS = 2.0
DEVIATIONS = 2.0
# Train accuracy, percent, from which on a train set counts as fitted where no
# claim says another.
FITTED = 99.0

RULE = (
  f"Agrees: the two differ by at most the larger of {POINTS:g} points and "
  f"{DEVIATIONS:g} standard deviations over seeds (one seed: {POINTS:g} "
  f"points); a range is met inside it or within {DEVIATIONS:g} standard "
  "deviations of it, and 'failed to converge' by a train accuracy below "
  f"{FITTED:g} %. Differs: otherwise."
)


class Comparison(NamedTuple):
  """One published number, and the measured one if there is any.

  Attributes:
    entry: of published.json.
    quantity: such as "test_accuracy".
    published: percent, a range, or words.
    verdict: agrees, differs, not comparable or not run here.
    remarks: where the settings deviate, and what else to know.
    group: the matching runs, or None.
    measured: in the unit of `published`.
    difference: measured less published (the nearer end of a range).
  """

  entry: Mapping[str, Any]
  quantity: str
  published: float | list[float] | str
  verdict: str
  remarks: tuple[str, ...]
  group: Group | None = None
  measured: Stat = Stat(None, None, 0)
  difference: float | None = None


@functools.cache
def load() -> Mapping[str, Any]:
  """Returns what published.json holds."""
  file = importlib.resources.files(__package__) / "published.json"
  return json.loads(file.read_text(encoding="utf-8"))


def command(entry: Mapping[str, Any]) -> str:
  """The command that measures an entry."""
  return load()["commands"][entry["figure"]][entry["match"]["dataset"]]


def matches(wanted: Mapping[str, Any], group: Group) -> bool:
  """Whether a group measures an entry.

  Args:
    wanted: an entry's `match`: settings, `condition`, the `augmentation`'s
      name, and `weight_decay` as yes or no, in either of its forms.
    group: finished runs.
  """
  found = {
    **group.settings,
    "condition": group.condition,
    "augmentation": augmentation(group.settings),
    "weight_decay": bool(
      group.settings.get("weight_decay") or group.settings.get("l2")
    ),
  }
  return all(found.get(name) == value for name, value in wanted.items())


def compare(groups: Sequence[Group]) -> list[Comparison]:
  """Puts every published number that these runs are about beside them.

  Args:
    groups: of any figures.

  Returns:
    One for each number and matching group. Of the numbers without one, those
    that belong to the figures at hand.
  """
  figures = {group.figure for group in groups}
  found = []
  for entry in load()["rows"]:
    mine = [group for group in groups if matches(entry["match"], group)]
    if not mine and entry["figure"] not in figures:
      continue
    for quantity, value in entry["values"].items():
      found += [
        _beside(entry, quantity, value, group, groups)
        for group in mine or [None]
      ]
  return found


def _beside(
  entry: Mapping[str, Any],
  quantity: str,
  value: Any,
  group: Group | None,
  groups: Sequence[Group],
) -> Comparison:
  remarks = [entry["note"]] if "note" in entry else []
  if "not_comparable" in entry:
    remarks.append(f"published: {entry['not_comparable']}")
  if group is None:
    remarks.append(f"run `{command(entry)}`")
    return Comparison(entry, quantity, value, "not run here", tuple(remarks))
  measured, whole = _measure(quantity, group, groups)
  if quantity == "validation_accuracy" and not _validated(group):
    remarks.append("measured: test accuracy")
  if not whole:
    remarks.append("measured: not fitted by every run, so at least this")
  remarks += [
    f"{name} {short(group.settings.get(name))}, published {short(wanted)}"
    for name, wanted in entry["expected"].items()
    if group.settings.get(name) != wanted
  ]
  if group.regularisers:
    remarks.append(f"measured with {' + '.join(group.regularisers)}")
  difference, verdict = None, "not comparable"
  if "not_comparable" not in entry and measured.mean is not None and whole:
    difference, agrees = judge(value, measured)
    verdict = "agrees" if agrees else "differs"
  found = (verdict, tuple(remarks), group, measured, difference)
  return Comparison(entry, quantity, value, *found)


def judge(published: Any, measured: Stat) -> tuple[float | None, bool]:
  """Applies `RULE`.

  Args:
    published: a number, a range [low, high], or "failed to converge".
    measured: in the same unit, with a mean.

  Returns:
    The difference (None for words), and whether the two agree.
  """
  if isinstance(published, str):
    return None, measured.mean < FITTED
  allowed = DEVIATIONS * (measured.sd or 0)
  if isinstance(published, list):
    low, high = published
    difference = measured.mean - min(max(measured.mean, low), high)
    return difference, abs(difference) <= allowed
  difference = measured.mean - published
  return difference, abs(difference) <= max(POINTS, allowed)


def _measure(
  quantity: str, group: Group, groups: Sequence[Group]
) -> tuple[Stat, bool]:
  """A quantity in the published unit, and whether it is more than a bound."""
  if quantity == "relative_time":
    mine = [one for one in groups if one.figure == group.figure]
    for line in series(mine):
      for other, time in relative_times(line):
        if other is group:
          return Stat(time.mean, time.sd, time.total), not time.censored
    return Stat(None, None, 0), True
  if quantity == "validation_accuracy" and not _validated(group):
    quantity = "test_accuracy"
  return percent(group.stat(quantity)), True


def _validated(group: Group) -> bool:
  return group.stat("validation_accuracy").n > 0


def percent(stat: Stat) -> Stat:
  """The same in percent."""
  *values, n = stat
  return Stat(*(None if v is None else 100 * v for v in values), n)


def table(comparisons: Sequence[Comparison]) -> str:
  """The table of published and measured numbers."""
  notes = list(dict.fromkeys(c.entry["source"] for c in comparisons))
  lines = [
    {
      "where": f"{c.entry['figure']} [{notes.index(c.entry['source']) + 1}]",
      "setting": _setting(c.entry["match"]),
      "quantity": c.quantity.replace("_", " "),
      "published": _published(c.published),
      "measured": text(c.measured),
      "difference": "-" if c.difference is None else f"{c.difference:+.2f}",
      "verdict": c.verdict,
      "remarks": "; ".join(c.remarks),
    }
    for c in comparisons
  ]
  return (
    f"Accuracies in percent. {RULE}\n\n"
    + tables.markdown(lines)
    + "\n"
    + "".join(f"[{n}] {source}\n\n" for n, source in enumerate(notes, 1))
  )


def _setting(wanted: Mapping[str, Any]) -> str:
  """An entry's settings in words."""
  words = [wanted["dataset"], wanted["arch"]]
  if "condition" in wanted:
    words.append(wanted["condition"].replace("_", " "))
  if "p" in wanted:
    words.append(f"p = {wanted['p']:g}")
  if wanted.get("augmentation", "none") != "none":
    words.append(f"augmentation {wanted['augmentation']}")
  if wanted.get("weight_decay"):
    words.append("weight decay")
  return ", ".join(words)


def _published(value: Any) -> str:
  if isinstance(value, str):
    return value
  if isinstance(value, list):
    return " to ".join(f"{v:g}" for v in value)
  return f"{value:.2f}"


def published_csv(comparisons: Sequence[Comparison]) -> str:
  """Returns published.csv: what `table` shows, in full precision."""
  return tables.csv_text(
    [
      {
        "figure": c.entry["figure"],
        "setting": _setting(c.entry["match"]),
        "quantity": c.quantity,
        "published": _published(c.published),
        "measured_mean": c.measured.mean,
        "measured_sd": c.measured.sd,
        "n": c.measured.n,
        "difference": c.difference,
        "verdict": c.verdict,
        "remarks": "; ".join(c.remarks),
        "source": c.entry["source"],
      }
      for c in comparisons
    ]
  )

"""A sweep's table.csv, a line a group: written, and read as groups again."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rethinking.config import records
from rethinking.config.fields import TABLE
from rethinking.config.figures import FIGURES
from rethinking.report.rows import Group, Row, Rows, Stat, Times
from rethinking.report.settings import settings
from rethinking.storage import tables
from rethinking.training import metrics

# What each run says of itself: one value where all agree, else a list.
_FACTS = ("data_source", "device", "device_count", "cpu_count", "processor")
_CHANGED = (
  "train_accuracy_unchanged",
  "train_accuracy_changed",
  "changed_predicted_true",
)
_FIELDS = {row.name: row for row in TABLE}
# Of a curve, whose values are only drawn.
_DIGITS = 6


@dataclasses.dataclass(frozen=True)
class Line(Group):
  """A group of which the means and deviations are known, not the runs.

  A statistic's n is that of the group, unless one value is all there is.

  Attributes:
    rows: what is known of each run: its seed, data, device, mean seconds.
    line: of table.csv.
  """

  line: Mapping[str, Any]

  def stat(self, name: str) -> Stat:
    mean, sd = (self.line.get(f"{name}_{end}") for end in ("mean", "sd"))
    n = 0 if mean is None else 1 if sd is None else len(self.rows)
    return Stat(mean, sd, n)

  def stat_at_fit(self, name: str) -> Stat:
    return self.stat(f"{name}_fit_or_end")

  def stat_at_best(self, name: str) -> Stat:
    return self.stat(f"{name}_at_best")

  def curve(self, name: str) -> list[tuple[float, float, Stat]]:
    if name != _figure(self.figure).curve:
      return []
    points = self.line.get("curve") or ()
    return [(step, epoch, Stat(*s)) for step, epoch, *s in points]

  def time_to_fit(self, unit: str = "steps") -> Times:
    mean, sd, _ = self.stat(f"{unit}_to_fit")
    return Times(mean, sd, self.line["fitted"], len(self.rows))

  def test_error_at_fit(self) -> tuple[Stat, bool]:
    whole = self.line["fitted"] == len(self.rows)
    return self.stat_at_fit("test_error"), whole


def _figure(name: str):
  return FIGURES.get(name, FIGURES["figure1"])


def table_csv(groups: Sequence[Group]) -> str:
  """Returns table.csv: one line a group, in full precision.

  Args:
    groups: of any figures.

  Returns:
    Settings, seeds, data, hardware, n, and mean and sample standard deviation
    of each quantity; `fitted` runs of n; steps and epochs to fit are lower
    bounds with an empty deviation where `fitted` is below n; `_fit_or_end`: at
    the first fit, else at the end; `_at_best`: at the best test accuracy;
    `curve`: of what the figure draws along the runs, [step, epoch, mean,
    deviation, n] each, to six digits.
  """
  names = dict.fromkeys(n for g in groups for n in g.settings)
  lines = []
  for group in groups:
    seeds = [row["config"].get("seed") or 0 for row in group.rows]
    line: dict[str, Any] = {
      "figure": group.figure,
      "condition": group.condition,
      **{n: group.settings.get(n) for n in names},
      "seed": seeds if len(seeds) > 1 else seeds[0],
      **{n: _shared([row.get(n) for row in group.rows]) for n in _FACTS},
      "num_classes": round(1 / group.chance),
      "n": len(group.rows),
      "fitted": group.time_to_fit().fitted,
    }
    stats = {f"{u}_to_fit": group.time_to_fit(u) for u in ("steps", "epochs")}
    stats |= {name: group.stat(name) for name in metrics.flagged("csv")}
    stats["test_error_fit_or_end"], _ = group.test_error_at_fit()
    for name in _CHANGED:
      stats[f"{name}_fit_or_end"] = group.stat_at_fit(name)
      stats[f"{name}_at_best"] = group.stat_at_best(name)
    for name, found in stats.items():
      line[f"{name}_mean"] = found.mean
      line[f"{name}_sd"] = found.sd
    line["curve"] = _curve(group) or None
    lines.append({name: _cell(value) for name, value in line.items()})
  return tables.csv_text(lines)


def _shared(values: Sequence[Any]) -> Any:
  return values[0] if all(v == values[0] for v in values) else [*values]


def _curve(group: Group) -> list[list[float | None]]:
  quantity = _figure(group.figure).curve
  return [
    [step, epoch, _rounded(s.mean), _rounded(s.sd), s.n]
    for step, epoch, s in (group.curve(quantity) if quantity else ())
  ]


def _rounded(value: float | None) -> float | None:
  return None if value is None else float(f"{value:.{_DIGITS}g}")


def _cell(value: Any) -> Any:
  return json.dumps(value) if isinstance(value, dict | list) else value


def trouble(line: Row) -> str | None:
  """Returns why a line of table.csv cannot be read; None: it can.

  Args:
    line: from `committed.read`, with the columns that it needs.
  """
  n, numbers = line["n"], int | float | None
  given = {k: v for k, v in _settings(line).items() if _type(k) in (int, float)}
  ends = ("_mean", "_sd")
  measured = {k: v for k, v in line.items() if k.endswith(ends)}
  for name, value in (given | measured).items():
    if not isinstance(value, numbers):
      return f"{name} must be a number, got {value!r:.50}"
    share = "accuracy" in name and name.endswith("_mean")
    if share and value is not None and not 0 <= value <= 1:
      return f"{name} must be in [0, 1], got {value:g}"
  seeds = line["seed"] if isinstance(line["seed"], list) else [line["seed"]]
  if not seeds or not all(type(seed) is int for seed in seeds):
    return f"seed must be a whole number or a list of them, got {seeds!r:.50}"
  if n != len(seeds):
    return f"n must be the number of its seeds, {len(seeds)}, got {n}"
  if not 0 <= line["fitted"] <= n:
    return f"fitted must be in 0..{n}, the runs, got {line['fitted']}"
  if line["num_classes"] < 2:
    return f"num_classes must be at least 2, got {line['num_classes']}"
  points = line.get("curve") or []
  if not isinstance(points, list) or not all(
    isinstance(one, list)
    and len(one) == 5
    and all(isinstance(value, numbers) for value in one)
    for one in points
  ):
    return f"curve must be a list of lists of five numbers, got {points!r:.50}"
  if (seen := _group(line).condition) != line["condition"]:
    return f"condition must be {seen}, as its settings, got {line['condition']}"
  return None


def _settings(line: Row) -> dict[str, Any]:
  """The settings of a line: what is between its condition and its seeds."""
  names = list(line)
  names = names[names.index("condition") + 1 : names.index("seed")]
  found = {"experiment": "train"}
  for name in names:
    value = line[name]
    if _type(name) is str and isinstance(value, int | float):
      value = str(value)
    # Empty text is no None where it is the field's own.
    own = name in _FIELDS and _FIELDS[name].default == ""
    found[name] = "" if own and value is None else value
  return settings(records.recorded(found))


def _type(name: str) -> type:
  """The type of the values of a field, if it is one."""
  default = _FIELDS[name].default if name in _FIELDS else None
  return default if isinstance(default, type) else type(default)


def _group(line: Row) -> Line:
  kept, n = _settings(line), line["n"]
  each = {name: _each(line.get(name), n) for name in ("seed", *_FACTS)}
  rows = [
    {
      **{name: each[name][k] for name in _FACTS},
      "config": {**kept, "seed": each["seed"][k]},
      "num_classes": line["num_classes"],
      "seconds": line.get("seconds_mean"),
    }
    for k in range(n)
  ]
  return Line(line["figure"], kept, tuple(rows), line)


def _each(value: Any, n: int) -> list[Any]:
  """A value of each run."""
  return value if isinstance(value, list) and len(value) == n else [value] * n


def read(lines: Iterable[Row]) -> Rows:
  """Returns the groups that a table.csv is of.

  Args:
    lines: in which `trouble` finds none.
  """
  return Rows(tuple(map(_group, lines)), ())

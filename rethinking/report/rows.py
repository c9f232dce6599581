"""The rows of a sweep, gathered over seeds."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rethinking.config.fields import SEEDS
from rethinking.config.variants import condition
from rethinking.data import registry
from rethinking.report.settings import regularisers, settings
from rethinking.training import metrics

Row = Mapping[str, Any]


class Stat(NamedTuple):
  """Mean and sample standard deviation of the `n` values that there are."""

  mean: float | None
  sd: float | None
  n: int


def stat(values: Iterable[float | None]) -> Stat:
  """Returns mean, sample standard deviation and count; None is left out.

  Args:
    values: numbers, or None where there is none.

  Returns:
    The mean is None without values, the deviation with fewer than two.

  >>> stat([1.0, 3.0, None])
  Stat(mean=2.0, sd=1.4142135623730951, n=2)
  """
  kept = [float(v) for v in values if v is not None]
  n = len(kept)
  if not n:
    return Stat(None, None, 0)
  mean = math.fsum(kept) / n
  if n == 1:
    return Stat(mean, None, 1)
  squares = math.fsum((v - mean) ** 2 for v in kept)
  return Stat(mean, math.sqrt(squares / (n - 1)), n)


class Times(NamedTuple):
  """Steps or epochs to fit; `total - fitted` runs are censored.

  A run that never fitted counts with its last step, so where there is one,
  `mean` is a lower bound and `sd` is None.
  """

  mean: float | None
  sd: float | None
  fitted: int
  total: int

  @property
  def censored(self) -> bool:
    return self.fitted < self.total


def spread(stat: Stat, unit: metrics.Unit = metrics.POINTS) -> str:
  """A mean with its standard deviation, where there are any.

  >>> spread(Stat(10.0, 0.5, 3)), spread(Stat(10.0, None, 1))
  ('10.00 ± 0.50', '10.00')
  """
  if stat.mean is None:
    return "-"
  return " ± ".join(unit.number(v) for v in stat[:2] if v is not None)


def text(stat: Stat) -> str:
  """A mean with its deviation and count."""
  return "-" if stat.mean is None else f"{spread(stat)} (n = {stat.n})"


def time(times: Times) -> str:
  """A time to fit; a bound with the share of fitted runs if censored.

  >>> time(Times(30.0, None, 1, 3))
  '≥ 30.0 (1/3 fitted)'
  """
  if times.mean is None:
    return f"- ({times.fitted}/{times.total} fitted)"
  if times.censored:
    return f"≥ {times.mean:.1f} ({times.fitted}/{times.total} fitted)"
  return spread(Stat(times.mean, times.sd, times.total), metrics.COUNT)


@dataclasses.dataclass(frozen=True)
class Group:
  """Finished runs that differ in their seeds alone.

  Attributes:
    figure: the sweep's variant.
    settings: the config without seeds and without what changes no number.
    rows: one for each repetition, in the order of their seeds.
  """

  figure: str
  settings: Mapping[str, Any]
  rows: tuple[Row, ...]

  @property
  def arch(self) -> str:
    return self.settings["arch"]

  @property
  def p(self) -> float:
    return self.settings["p"]

  @property
  def condition(self) -> str:
    return condition(self.settings)

  @property
  def chance(self) -> float:
    """Test accuracy of a guess."""
    # Rows of earlier versions are of sets that have a row.
    known = self.rows[0].get("num_classes")
    return 1 / (known or registry.SPECS[self.settings["dataset"]].num_classes)

  @property
  def regularisers(self) -> tuple[str, ...]:
    return regularisers(self.settings)

  def stat(self, name: str) -> Stat:
    return stat(row.get(name) for row in self.rows)

  def stat_at_fit(self, name: str) -> Stat:
    """Statistics of a metric at the first fit; else at the end of the run."""
    found = []
    for row in self.rows:
      curve, fit = row.get("curve") or {}, row.get("steps_to_fit")
      seen = dict(zip(curve.get("step", ()), curve.get(name, ()), strict=False))
      found.append(seen.get(fit, row.get(name)))
    return stat(found)

  def stat_at_best(self, name: str) -> Stat:
    """Statistics of a metric at the first best test accuracy of each run."""
    curves = [row.get("curve") or {} for row in self.rows]
    return stat(
      curve[name][curve["test_accuracy"].index(max(curve["test_accuracy"]))]
      for curve in curves
      if curve.get("test_accuracy") and name in curve
    )

  def curve(self, name: str) -> list[tuple[float, float, Stat]]:
    """A quantity along the runs: step, epoch, and the values there.

    Args:
      name: such as "train_loss".

    Returns:
      One for each step at which every run that has it was evaluated.
    """
    found = [
      {
        step: (epoch, value)
        for step, epoch, value in zip(
          c["step"], c["epoch"], c[name], strict=True
        )
      }
      for c in (row.get("curve") for row in self.rows)
      if c and name in c
    ]
    steps = set.intersection(*map(set, found)) if found else ()
    return [
      (step, found[-1][step][0], stat(one[step][1] for one in found))
      for step in sorted(steps)
    ]

  def time_to_fit(self, unit: str = "steps") -> Times:
    """Returns the time to fit, in "steps" or "epochs"."""
    last = {"steps": "steps", "epochs": "epoch"}[unit]
    times, count = self._at_fit(f"{unit}_to_fit", last)
    bounds = stat(times)
    sd = bounds.sd if count == len(times) else None
    return Times(bounds.mean, sd, count, len(times))

  def test_error_at_fit(self) -> tuple[Stat, bool]:
    """Test error at the first fit, and whether every run fitted.

    A run that never fitted counts with its final test error.
    """
    found, count = self._at_fit("test_accuracy_at_fit", "test_accuracy")
    errors = stat(None if a is None else 1 - a for a in found)
    return errors, count == len(found)

  def _at_fit(self, name: str, last: str) -> tuple[list[float | None], int]:
    """What each run had at its fit, else at its end; how many fitted."""
    at_fit = [row.get(name) for row in self.rows]
    found = [
      row.get(last) if value is None else value
      for value, row in zip(at_fit, self.rows, strict=True)
    ]
    return found, len(at_fit) - at_fit.count(None)


class Rows(NamedTuple):
  """What a results.jsonl says.

  Attributes:
    groups: of the finished rows, in the order in which they first appear.
    left_out: the rows of runs that did not finish, such as diverged ones.
    warnings: sentences about what could not be read.
  """

  groups: tuple[Group, ...]
  left_out: tuple[Row, ...]
  warnings: tuple[str, ...] = ()


def gather(rows: Sequence[Row]) -> Rows:
  """Groups rows by everything but their seeds.

  Args:
    rows: as in results.jsonl; of two for the same cell the last counts.

  Returns:
    The groups of the finished ones, and the others.
  """
  latest = {(row["figure"], row["cell"]): row for row in rows}
  members: dict[str, list[Row]] = {}
  left_out = []
  for row in latest.values():
    if row["status"] != "finished":
      left_out.append(row)
      continue
    key = json.dumps([row["figure"], settings(row["config"])], sort_keys=True)
    members.setdefault(key, []).append(row)
  groups = []
  for mine in members.values():
    mine.sort(key=lambda row: [row["config"].get(s) or 0 for s in SEEDS])
    groups.append(
      Group(mine[0]["figure"], settings(mine[0]["config"]), tuple(mine))
    )
  return Rows(tuple(groups), tuple(left_out))


def about(groups: Sequence[Group]) -> str:
  """Returns what a picture's metadata say of its data."""
  return f"Data: {'; '.join(sources(groups))}."


def sources(groups: Sequence[Group]) -> list[str]:
  """The data sources that the rows name, verbatim."""
  found: dict[str, None] = {}
  for group in groups:
    for row in group.rows:
      source = row.get("data_source")
      if isinstance(source, Mapping):
        found |= dict.fromkeys(f"{k}: {v}" for k, v in source.items())
      elif source is not None:
        found[str(source)] = None
  return list(found)

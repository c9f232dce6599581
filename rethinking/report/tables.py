"""The tables of a report: Markdown to read, CSV with every digit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rethinking.report import published
from rethinking.report.claims import Claim
from rethinking.report.published import Comparison
from rethinking.report.rows import Group, Row, Rows, Stat, Times
from rethinking.report.series import varying
from rethinking.report.settings import LABEL_FIELDS, value_text

# Columns of table.csv: fractions, nats, steps, epochs and seconds.
_QUANTITIES = (
  "train_loss",
  "train_accuracy",
  "train_accuracy_unchanged",
  "train_accuracy_changed",
  "changed_predicted_true",
  "test_loss",
  "test_accuracy",
  "test_accuracy_at_fit",
  "best_test_accuracy",
  "potential_gain",
  "flip_rate",
  "steps_not_fit",
  "steps",
  "seconds",
)

# Columns of table.md, in percent.
_ACCURACIES = {
  "flip_rate": "labels changed",
  "train_accuracy": "train",
  "train_accuracy_unchanged": "unchanged",
  "train_accuracy_changed": "changed",
  "test_accuracy": "test",
  "best_test_accuracy": "best test",
}


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """A Markdown table of texts.

  >>> print(markdown(["p", "n"], [["0.4", "3"]]), end="")
  | p | n |
  | --- | --- |
  | 0.4 | 3 |
  """
  lines = [header, ["---"] * len(header), *rows]
  return "".join(
    f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n"
    for line in lines
  )


def report(
  rows: Rows, comparisons: Sequence[Comparison], claims: Sequence[Claim]
) -> str:
  """Returns table.md: all figures' measurements, then what they say.

  Args:
    rows: from `rows.load`.
    comparisons: from `published.compare`.
    claims: from `claims.check`.
  """
  figures = list(
    dict.fromkeys(
      [g.figure for g in rows.groups] + [r["figure"] for r in rows.left_out]
    )
  )
  parts = ["# Results\n"]
  if not rows.groups:
    parts.append("No run has finished yet.\n")
  for figure in figures:
    mine = [group for group in rows.groups if group.figure == figure]
    if mine:
      parts += [f"## {figure}\n", facts(mine), measured(mine)]
    lost = [row for row in rows.left_out if row["figure"] == figure]
    if lost:
      parts.append(left_out(lost))
  parts += [f"{warning}\n" for warning in rows.warnings]
  if comparisons:
    parts += ["## Beside the published numbers\n", beside(comparisons)]
  if claims:
    parts += ["## The paper's claims\n", claims_table(claims)]
  return "\n".join(parts)


def facts(groups: Sequence[Group]) -> str:
  """What a number needs beside it: data, hardware, time, shared settings."""
  runs = [row for group in groups for row in group.rows]
  different = varying(groups)
  shared = {
    name: value_text(groups[0].settings, name)
    for name, value in groups[0].settings.items()
    if name not in different and value not in (None, {}, False)
  }
  seconds = sum(row.get("seconds") or 0 for row in runs)
  lines = [
    f"- Runs: {len(runs)}, in {len(groups)} settings; {seconds:.0f} s in sum.",
    *(f"- Data: {text}." for text in sources(groups)),
    *(
      f"- Hardware: {text}."
      for text in dict.fromkeys(
        str(row["device"]) for row in runs if row.get("device") is not None
      )
    ),
    "- In every run: "
    + ", ".join(f"{name} {value}" for name, value in shared.items())
    + ".",
  ]
  return "\n".join(lines) + "\n"


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


def measured(groups: Sequence[Group]) -> str:
  """The table of one figure's measurements."""
  different = [
    name
    for name in varying(groups, (*LABEL_FIELDS, "arch", "pixel_noise"))
    # A row's condition says it already.
    if name != "pixel_options" or _given(groups, name)
  ]
  accuracies = {
    name: title
    for name, title in _ACCURACIES.items()
    if any(group.stat(name).mean is not None for group in groups)
  }
  header = [
    "arch",
    "condition",
    "p",
    *different,
    "n",
    *(f"{title} %" for title in accuracies.values()),
    "epochs to fit",
    "steps to fit",
  ]
  lines = [
    [
      group.arch,
      group.condition.replace("_", " "),
      f"{group.p:g}",
      *(value_text(group.settings, name) for name in different),
      str(len(group.rows)),
      *(spread(published.percent(group.stat(name))) for name in accuracies),
      time(group.time_to_fit("epochs")),
      _interval(group),
    ]
    for group in groups
  ]
  return (
    "Mean ± sample standard deviation over n seeds, at the end of the run "
    "('best test': the best along it). 'changed' and 'unchanged': train "
    "accuracy on examples whose given label is not, or is, the true one. "
    "'steps to fit' lie after the last evaluation that did not fit, in "
    "brackets, and at most at the first that did; '≥' where some runs never "
    "fitted, which count with their last step.\n\n" + markdown(header, lines)
  )


def _given(groups: Sequence[Group], name: str) -> bool:
  return any(group.settings.get(name) for group in groups)


def spread(stat: Stat, form: str = ".2f") -> str:
  """A mean with its standard deviation, where there are any.

  >>> spread(Stat(10.0, 0.5, 3)), spread(Stat(10.0, None, 1))
  ('10.00 ± 0.50', '10.00')
  """
  if stat.mean is None:
    return "-"
  text = format(stat.mean, form)
  return text if stat.sd is None else f"{text} ± {format(stat.sd, form)}"


def time(times: Times) -> str:
  """A time to fit; a bound with the share of fitted runs if censored.

  >>> time(Times(30.0, None, 1, 3))
  '≥ 30.0 (1/3 fitted)'
  """
  if times.mean is None:
    return f"- ({times.fitted}/{times.total} fitted)"
  if times.censored:
    return f"≥ {times.mean:.1f} ({times.fitted}/{times.total} fitted)"
  return spread(Stat(times.mean, times.sd, times.total), ".1f")


def _interval(group: Group) -> str:
  times = group.time_to_fit()
  text = time(times)
  before = group.stat("steps_not_fit").mean
  if times.censored or before is None:
    return text
  return f"{text} ({before:.1f})"


def left_out(rows: Sequence[Row]) -> str:
  """Names the runs that the means leave out."""
  return "Left out:\n\n" + "".join(f"- {lost(row)}\n" for row in rows)


def lost(row: Row) -> str:
  """One run that did not finish, and where it ended."""
  where = "" if row.get("step") is None else f" at step {row['step']}"
  return f"{row['cell']}: {row['status']}{where}"


def beside(comparisons: Sequence[Comparison]) -> str:
  """The table of published and measured numbers."""
  notes = list(dict.fromkeys(c.entry["source"] for c in comparisons))
  lines = [
    [
      f"{c.entry['figure']} [{notes.index(c.entry['source']) + 1}]",
      _setting(c.entry["match"]),
      c.quantity.replace("_", " "),
      _published(c.published),
      "-" if c.group is None else f"{spread(c.measured)} (n = {c.measured.n})",
      "-" if c.difference is None else f"{c.difference:+.2f}",
      c.verdict,
      "; ".join(c.remarks),
    ]
    for c in comparisons
  ]
  header = [
    "where",
    "setting",
    "quantity",
    "published",
    "measured",
    "difference",
    "verdict",
    "remarks",
  ]
  return (
    f"Accuracies in percent. {published.RULE[0].upper()}{published.RULE[1:]}\n\n"
    + markdown(header, lines)
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


def claims_table(claims: Sequence[Claim]) -> str:
  """The table of claims, and the rules that they were judged by."""
  lines = [
    [
      f"{claim.facts['claim']} [{n}]",
      finding.setting or "-",
      finding.verdict,
      finding.numbers,
    ]
    for n, claim in enumerate(claims, 1)
    for finding in claim.findings
  ]
  rules = "".join(
    f"[{n}] Supported where {claim.rule}. Source: {claim.facts['source']}.\n\n"
    for n, claim in enumerate(claims, 1)
  )
  header = ["claim", "setting", "verdict", "numbers"]
  return markdown(header, lines) + "\n" + rules


def table_csv(groups: Sequence[Group]) -> str:
  """Returns table.csv: one line a group, in full precision.

  Args:
    groups: of any figures.

  Returns:
    Settings, n, and mean and sample standard deviation of each quantity;
    `fitted` runs of n; steps and epochs to fit are lower bounds with an empty
    deviation where `fitted` is below n.
  """
  names = dict.fromkeys(n for g in groups for n in g.settings)
  lines = []
  for group in groups:
    line: dict[str, Any] = {
      "figure": group.figure,
      "condition": group.condition,
      **{n: _cell(group.settings.get(n)) for n in names},
      "n": len(group.rows),
      "fitted": group.time_to_fit().fitted,
    }
    for unit in ("steps", "epochs"):
      times = group.time_to_fit(unit)
      line[f"{unit}_to_fit_mean"] = times.mean
      line[f"{unit}_to_fit_sd"] = times.sd
    for name in _QUANTITIES:
      found = group.stat(name)
      line[f"{name}_mean"] = found.mean
      line[f"{name}_sd"] = found.sd
    lines.append(line)
  return _csv(lines)


def published_csv(comparisons: Sequence[Comparison]) -> str:
  """Returns published.csv: what `beside` shows, in full precision."""
  return _csv(
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


def _cell(value: Any) -> Any:
  return json.dumps(value) if isinstance(value, dict | list) else value


def _csv(lines: Sequence[Mapping[str, Any]]) -> str:
  if not lines:
    return ""
  text = io.StringIO()
  writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
  writer.writeheader()
  writer.writerows(lines)
  return text.getvalue()

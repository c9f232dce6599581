"""The tables of a report, to read, in Markdown."""

from collections.abc import Mapping, Sequence

from rethinking.config.fields import LABELS
from rethinking.report.rows import Group, Row, Rows, sources, spread, time
from rethinking.report.series import varying
from rethinking.report.settings import value_text
from rethinking.storage import tables
from rethinking.training import metrics


def report(rows: Rows, said: Mapping[str, str]) -> str:
  """Returns table.md: all figures' measurements, then what they say.

  Args:
    rows: from `row_files.load`.
    said: tables that follow, by title.
  """
  figures = [g.figure for g in rows.groups]
  figures += [row["figure"] for row in rows.left_out]
  parts = ["# Results\n"]
  if not rows.groups:
    parts.append("No run has finished yet.\n")
  for figure in dict.fromkeys(figures):
    mine = [group for group in rows.groups if group.figure == figure]
    if mine:
      parts += [f"## {figure}\n", facts(mine), measured(mine)]
    lost = [row for row in rows.left_out if row["figure"] == figure]
    if lost:
      named = "".join(f"- {lost_run(row)}\n" for row in lost)
      parts.append(f"Left out:\n\n{named}")
  parts += [f"{warning}\n" for warning in rows.warnings]
  for title, table in said.items():
    parts += [f"## {title}\n", table]
  return "\n".join(parts)


def facts(groups: Sequence[Group]) -> str:
  """What a number needs beside it: data, hardware, time, shared settings."""
  runs = [row for group in groups for row in group.rows]
  different = varying(groups)
  shared = {
    name: value_text(groups[0].settings, name)
    for name, value in groups[0].settings.items()
    if name not in different and value not in (None, {}, False, "")
  }
  seeds = sorted({row["config"].get("seed") or 0 for row in runs})
  seconds = sum(row.get("seconds") or 0 for row in runs)
  hardware = dict.fromkeys(filter(None, map(_hardware, runs)))
  said = ", ".join(f"{name} {value}" for name, value in shared.items())
  lines = [
    f"- Runs: {len(runs)}, in {len(groups)} settings; {seconds:.0f} s in sum.",
    f"- Seeds: {', '.join(map(str, seeds))}.",
    *(f"- Data: {text}." for text in sources(groups)),
    *(f"- Hardware: {text}." for text in hardware),
    f"- In every run: {said}.",
  ]
  return "\n".join(lines) + "\n"


def _hardware(row: Row) -> str:
  """The device as the row names it, with how many there were."""
  if row.get("device") is None:
    return ""
  text = str(row["device"])
  if row.get("device_count"):
    text = f"{row['device_count']} x {text}"
  if row.get("cpu_count"):
    text += f", {row['cpu_count']} CPU cores"
  if row.get("processor"):
    text += f" ({row['processor']})"
  return text


def measured(groups: Sequence[Group]) -> str:
  """The table of one figure's measurements."""
  different = [
    name
    for name in varying(groups, (*LABELS, "arch"))
    # A row's condition says it already.
    if name != "pixel_noise"
    and (name != "pixel_options" or any(g.settings.get(name) for g in groups))
    and (name != "fraction" or any(0 < g.settings[name] < 1 for g in groups))
  ]
  shown = [
    m
    for m in metrics.METRICS
    if m.table and any(group.stat(m.name).n for group in groups)
  ]
  lines = [
    {
      "arch": group.arch,
      "condition": group.condition.replace("_", " "),
      "p": f"{group.p:g}",
      **{name: value_text(group.settings, name) for name in different},
      "n": str(len(group.rows)),
      **{
        f"{m.table}{m.unit.sign}": spread(group.stat(m.name), m.unit)
        for m in shown
      },
      "epochs to fit": time(group.time_to_fit("epochs")),
      "steps to fit": _interval(group),
    }
    for group in groups
  ]
  return (
    "Mean ± sample standard deviation over n seeds, at the end of the run; "
    "with early stopping, of the weights with the best validation loss. "
    "'best test': the best along the run. 'changed' and 'unchanged': train "
    "accuracy on examples whose given label is not, or is, the true one; "
    "'clean images' and 'corrupted images': on those. "
    "'steps to fit' lie after the last evaluation that did not fit, in "
    "brackets, and at most at the first that did; '≥' where some runs never "
    "fitted, which count with their last step.\n\n" + tables.markdown(lines)
  )


def _interval(group: Group) -> str:
  times = group.time_to_fit()
  text = time(times)
  before = group.stat("steps_not_fit").mean
  if times.censored or before is None:
    return text
  return f"{text} ({before:.1f})"


def lost_run(row: Row) -> str:
  """One run that did not finish, and where it ended."""
  where = "" if row.get("step") is None else f" at step {row['step']}"
  return f"{row['cell']}: {row['status']}{where}"

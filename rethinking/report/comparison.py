"""Runs beside each other: in which fields they differ, and what came of it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from etils import epath

from rethinking.config import checks, records, variants
from rethinking.config.fields import SEEDS, flagged
from rethinking.report.settings import value_text
from rethinking.runtime.errors import UserError
from rethinking.storage import files, jsonl, plots, tables
from rethinking.training import curves, metrics
from rethinking.training import workdir as workdir_lib

# What a row of the table says of a run's last evaluation, or its best.
_RESULTS = ("train_accuracy", "train_accuracy_changed", "test_accuracy")


class Run(NamedTuple):
  """What a run left.

  Attributes:
    name: its workdir, as it was given.
    config: its fields, by today's names.
    rows: its evaluations, at least one.
    summary: None: it has not finished.
  """

  name: str
  config: Mapping[str, Any]
  rows: Sequence[Mapping[str, Any]]
  summary: Mapping[str, Any] | None


def read(workdir: epath.PathLike) -> Run:
  """Reads a run, finished or not; writes nothing.

  Args:
    workdir: of a run, or of a run of a sweep.

  Raises:
    UserError: if it is none, or damaged.
  """
  folder = files.workdir(workdir)
  kept = folder / "config.json"
  trouble = None
  if not kept.exists():
    trouble = "no config.json; try its --workdir"
  elif (folder / "cells").exists():
    trouble = f"a sweep; try its runs, {folder / 'cells'}/*"
  elif not (folder / "metrics.jsonl").exists():
    trouble = "one without evaluations; try another"
  if trouble:
    raise UserError(f"{folder} must be the folder of a run, got {trouble}.")
  summary = folder / "summary.json"
  if summary.exists():
    workdir_lib.check_sums(folder)
  path = folder / "metrics.jsonl"
  rows = jsonl.parse(path, jsonl.read(path)[0], {"step": int, "epoch": int})
  if wrong := metrics.trouble_in_order(rows):
    raise UserError(f"{path} is damaged in {wrong}; restore the file.")
  if not rows:
    raise UserError(
      f"{folder} must have an evaluation, got none yet; try again later."
    )
  config = records.recorded(workdir_lib.read_json(kept))
  if wrong := checks.trouble(config, flagged("named")):
    raise UserError(f"{kept} is damaged ({wrong}); restore it.")
  return Run(
    str(workdir),
    config,
    rows,
    workdir_lib.read_json(summary) if summary.exists() else None,
  )


def differing(runs: Sequence[Run]) -> list[str]:
  """Names the fields in which runs differ, in the order of the table.

  Args:
    runs: at least one.
  """
  names = dict.fromkeys(name for run in runs for name in run.config)
  values = {n: [run.config.get(n) for run in runs] for n in names}
  # What may differ between calls, and seeds that only follow `seed`.
  same = {*flagged("resume")}
  same |= {n for n in SEEDS[1:] if values.get(n) == values.get("seed")}
  return [
    name
    for name, each in values.items()
    if name not in same and any(value != each[0] for value in each)
  ]


def table(runs: Sequence[Run]) -> str:
  """Returns a Markdown table: a line a run, fields that differ, results.

  Args:
    runs: at least one.
  """
  fields = differing(runs)
  lines = []
  for run in runs:
    line = {"run": run.name}
    line |= {name: value_text(run.config, name) for name in fields}
    # With early stopping a summary is of the best weights.
    last = run.summary or run.rows[-1]
    line["epochs"] = f"{run.rows[-1]['epoch']}" + "…" * (run.summary is None)
    for name in _RESULTS:
      words = metrics.shown("table")[name] + " %"
      value = last.get(name)
      line[words] = "-" if value is None else metrics.ACCURACY.number(value)
    fit = (run.summary or {}).get("epochs_to_fit")
    line["epochs to fit"] = "-" if fit is None else f"{fit}"
    lines.append(line)
  return tables.markdown(lines)


def draw(runs: Sequence[Run], folder: epath.Path) -> list[str]:
  """Draws the curves of several runs over each other.

  Args:
    runs: at least one.
    folder: exists; comparison.png and .svg go there.

  Returns:
    The names of the files.
  """
  fields = [name for name in differing(runs) if name != "variant"]
  fig, (axes,) = plots.figure(1, 2, (11, 4))
  for axis, unit in zip(axes, (metrics.LOSS, metrics.ACCURACY), strict=True):
    for k, run in enumerate(runs):
      said = [f"{name} {value_text(run.config, name)}" for name in fields]
      look = {"color": plots.COLOURS[k % len(plots.COLOURS)], "linewidth": 1.6}
      for part, line in (("train", "-"), ("test", ":")):
        axis.plot(
          [row["epoch"] for row in run.rows],
          [unit.scale * row[f"{part}_{unit.words}"] for row in run.rows],
          linestyle=line,
          label=", ".join(said) or run.name if part == "train" else None,
          **look,
        )
    axis.set_xlabel("epoch")
  curves.scale(*axes)
  fig.legend(
    *axes[0].get_legend_handles_labels(),
    fontsize=8,
    loc="outside lower center",
    ncols=2,
    frameon=False,
  )
  alike = {variants.title(run.config) for run in runs}
  words = alike.pop() if len(alike) == 1 else f"{len(runs)} runs"
  fig.suptitle(f"{words}: train solid, test dotted", fontsize=10)
  return plots.save(fig, folder / "comparison")

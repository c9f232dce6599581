"""Which labels of a data set look wrong: files, tables, sentences.

Reference: Northcutt, Jiang, Chuang (2021), "Confident learning".
"""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rethinking import data, label_issues
from rethinking.label_issues import Issues
from rethinking.report import ensembles, row_files
from rethinking.report.ensembles import Ensemble
from rethinking.report.label_issues_page import Records, page
from rethinking.report.memorization_page import runs
from rethinking.report.rows import Group
from rethinking.runtime.errors import UserError
from rethinking.storage import files, tables

# From which probability on a label is put right by who asks for it.
FIXED = 0.9


def write(
  groups: Sequence[Group], workdir: epath.Path, fixed: bool = False
) -> list[str]:
  """Writes which labels look wrong, by an ensemble's runs outside.

  Of several evaluations the mean is taken up to that at which the mean loss of
  the given labels outside was lowest: later the networks fit what is wrong. See
  `save`. With several levels each has the folder `label_issues/LEVEL`.

  Args:
    groups: of the figure; runs whose files are gone are left out.
    workdir: of the sweep.
    fixed: whether to write labels_fixed.csv, too.

  Returns:
    The names of the files.
  """
  found = ensembles.levels(groups, workdir, turn=True)
  written = []
  for one in found:
    inside = "" if len(found) == 1 else f"label_issues/{one.name}/"
    (workdir / inside).mkdir(parents=True, exist_ok=True)
    records = Records(
      f"{runs(one)}{turned(one)}",
      one.ids,
      one.labels,
      one.true,
      one.outside,
      one.config,
      one.config["members"],
    )
    names = save(records, workdir / inside, fixed)
    written += [f"{inside}{name}" for name in names]
  return written


def turned(one: Ensemble) -> str:
  """Returns a sentence on when the networks were asked; "": at their end.

  Args:
    one: the runs.
  """
  if one.epoch is None:
    return ""
  last = one.config["epochs"]
  later = "" if one.epoch < last else " so far; try more epochs"
  return (
    " Their predictions are the mean of those at each evaluation up to epoch "
    f"{one.epoch} of {last}, when the mean loss of given labels outside was "
    f"lowest{later}."
  )


def of_workdir(workdir: epath.PathLike, fixed: bool = False) -> list[str]:
  """Writes which labels look wrong, by what a sweep has left.

  Args:
    workdir: of a sweep of runs on subsets, finished or not.
    fixed: whether to write labels_fixed.csv, too.

  Returns:
    The names of the files.

  Raises:
    UserError: where no ensemble is whole, and as `save`.
  """
  workdir = files.workdir(workdir)
  groups = row_files.load(workdir / "results.jsonl").groups
  subsets = [g for g in groups if g.rows[0]["config"].get("member") is not None]
  written = write(subsets, workdir, fixed)
  if not written:
    raise UserError(
      f"{workdir} must hold the runs on subsets of a sweep and what they left, "
      "got none; try the variant label_issues."
    )
  return written


def save(
  records: Records, folder: epath.Path, fixed: bool = False
) -> list[str]:
  """Writes which labels look wrong.

  issues.csv has a line an example, in the order of pred_probs.npy, with the
  columns of cleanlab's Datalab and `p_wrong` and `rank`; classes.csv a line a
  class; duplicates.csv, where the data are there, the images that are there
  twice with different labels or in both splits; label_issues.md says it all.

  Args:
    records: of the examples.
    folder: exists.
    fixed: whether to write labels_fixed.csv, too: `id`, `given`, `fixed` of
      what is wrong with a probability of 0.9 or more, as `labels=` takes it.

  Returns:
    The names of the files.

  Raises:
    UserError: for labels or probabilities that are none.
  """
  classes = records.pred_probs.shape[1]
  # A report may be made where the data are not.
  try:
    train, test = (_load(records.config, split) for split in ("train", "test"))
    names = train.class_names
  except UserError:
    train, names = None, tuple(map(str, range(classes)))
  found = label_issues.find(records.labels, records.pred_probs, names)
  contents = {
    "issues.csv": _issues(records, found),
    "classes.csv": _classes(records, found, names),
  }
  twice = None
  if train is not None:
    twice = _duplicates(records, train, test)
    contents["duplicates.csv"] = twice
  if fixed:
    contents["labels_fixed.csv"] = _fixed(records, found)
    if found.guard:
      warnings.warn(f"labels_fixed.csv: {found.guard}", stacklevel=2)
  written = []
  for name, lines in contents.items():
    text = tables.csv_text(lines, _COLUMNS.get(name))
    if not lines:
      text = ",".join(_COLUMNS[name]) + "\n"
    files.replace(folder / name, text.encode())
    written.append(name)
  buffer = io.BytesIO()
  np.save(buffer, records.pred_probs.astype(np.float32))
  files.replace(folder / "pred_probs.npy", buffer.getvalue())
  text = page(records, found, names, contents["classes.csv"], twice)
  files.replace(folder / "label_issues.md", text.encode())
  return [*written, "pred_probs.npy", "label_issues.md"]


_COLUMNS = {
  "duplicates.csv": ("group", "split", "id", "label"),
  "labels_fixed.csv": ("id", "given", "fixed"),
}


def _load(config: Any, split: str) -> data.Dataset:
  where = data.source(ConfigDict(config))
  return data.load(config["dataset"], split, **where)


def _issues(records: Records, found: Issues) -> list[dict[str, Any]]:
  columns = {
    "id": records.ids,
    "is_label_issue": found.listed,
    "label_score": found.score,
    "given_label": records.labels,
    "predicted_label": found.predicted,
    "p_wrong": found.p_wrong,
    "rank": found.rank,
  }
  lines = zip(*(x.tolist() for x in columns.values()), strict=True)
  return [dict(zip(columns, line, strict=True)) for line in lines]


def _classes(
  records: Records, found: Issues, names: Sequence[str]
) -> list[dict[str, Any]]:
  count = np.bincount(records.labels, minlength=len(names))
  rows = []
  for k, name in enumerate(names):
    listed = found.listed & (records.labels == k)
    others = np.where(np.arange(len(names)) == k, -1, found.joint[k])
    rows.append(
      {
        "class": k,
        "name": name,
        "examples": int(count[k]),
        "estimated_wrong": float(count[k] - found.joint[k, k])
        if count[k]
        else 0.0,
        "listed": int(listed.sum()),
        "expected_precision": found.expected_precision(listed),
        "keeps_label": float(found.matrix[k, k]),
        "most_often_truly": int(others.argmax()),
      }
    )
  return rows


def _duplicates(
  records: Records, train: data.Dataset, test: data.Dataset
) -> list[dict[str, Any]]:
  """Equal images with different labels, or in both splits."""
  place = {str(one): row for row, one in enumerate(train.given_ids.tolist())}
  rows = [place[str(one)] for one in records.ids.tolist()]
  ids = (records.ids, test.given_ids)
  labels = (records.labels, test.labels)
  groups = label_issues.duplicates(train.images[rows], test.images)
  told = label_issues.telling(groups, *labels)
  return [
    {
      "group": number,
      "split": ("train", "test")[split],
      "id": ids[split][row],
      "label": int(labels[split][row]),
    }
    for number, group in enumerate(told, 1)
    for split, row in group
  ]


def _fixed(records: Records, found: Issues) -> list[dict[str, Any]]:
  sure = (found.p_wrong >= FIXED) & (found.predicted != records.labels)
  return [
    {
      "id": records.ids[i],
      "given": int(records.labels[i]),
      "fixed": int(found.predicted[i]),
    }
    for i in np.flatnonzero(sure)
  ]

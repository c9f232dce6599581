"""Which labels look wrong, in words and tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rethinking import label_issues
from rethinking.label_issues import Issues
from rethinking.storage import tables

_TOPS = (50, 100)
_SHOWN = 20  # Lines of a table; a matrix of more classes is not shown.
_PAIRS = 5


class Records(NamedTuple):
  """What is known of each example of a train set.

  Attributes:
    about: a sentence: from which runs, or which file.
    ids: [n], numbers or names.
    labels: integers [n], the given ones.
    true: integers [n]; the given ones where not known.
    pred_probs: float [n, K], of networks that did not train on the example.
    config: a run's, which says what the data are.
    members: runs that share out the examples; None: not known.
  """

  about: str
  ids: np.ndarray
  labels: np.ndarray
  true: np.ndarray
  pred_probs: np.ndarray
  config: Any
  members: int | None = None


def page(
  records: Records,
  found: Issues,
  names: Sequence[str],
  classes: Sequence[Mapping[str, Any]],
  twice: Sequence[Mapping[str, Any]] | None,
) -> str:
  """Returns label_issues.md.

  Args:
    records: of the examples.
    found: what is wrong with them.
    names: of the classes.
    classes: rows of classes.csv.
    twice: rows of duplicates.csv; None: the data are not there.
  """
  said = "".join(f"- {line}\n" for line in sentences(records, found, names))
  parts = ["# Label issues\n", f"{records.about}\n", said]
  if twice is not None:
    parts.append(_duplicates(twice))
  parts.append(
    "By class: of its examples how many are estimated to be wrong and how many "
    "are listed, how many of these to expect wrong, and which share of what is "
    "truly of the class is given it.\n"
  )
  rows = sorted(classes, key=lambda row: -row["estimated_wrong"])[:_SHOWN]
  rows = [row | {"mostly": names[row["most_often_truly"]]} for row in rows]
  parts.append(tables.formatted(rows, _CLASSES))
  if len(names) <= _SHOWN:
    parts += [
      "Estimated share of given labels (columns) of each true class (rows).\n",
      tables.markdown([*_matrix(found.matrix, names)], "---:"),
    ]
  first = np.argsort(found.rank)[:_SHOWN]
  lines = [
    {
      "id": str(records.ids[i]),
      "given": names[records.labels[i]],
      "predicted": names[found.predicted[i]],
      "P(wrong)": f"{found.p_wrong[i]:.3f}",
    }
    for i in first
  ]
  parts += ["The first of the list; issues.csv has all.\n"]
  return "\n".join([*parts, tables.markdown(lines)])


_CLASSES = {
  "name": ("class", "{}"),
  "examples": ("examples", "{:,}"),
  "estimated_wrong": ("estimated wrong", "{:.1f}"),
  "listed": ("listed", "{:,}"),
  "expected_precision": ("expected precision", "{:.3f}"),
  "keeps_label": ("keep their label", "{:.3f}"),
  "mostly": ("else most often truly", "{}"),
}


def sentences(
  records: Records, found: Issues, names: Sequence[str]
) -> Iterator[str]:
  """Yields what is found, a line each.

  Args:
    records: of the examples.
    found: what is wrong with them.
    names: of the classes.
  """
  n = len(records.labels)
  yield (
    f"Estimated wrong labels: {found.errors:.0f} of {n:,}, "
    f"{100 * found.errors / n:.1f} % (95 % interval {found.errors_low:.0f} to "
    f"{found.errors_high:.0f} labels, bootstrap over examples)."
  )
  listed = f"Listed, P(wrong) above 0.5: {found.listed.sum():,}"
  if found.guard:
    yield f"{listed}. {found.guard[0].upper()}{found.guard[1:]}"
  elif not found.listed.any():
    yield f"{listed}."
  else:
    tops = [
      f"{found.expected_precision(found.top(k)):.3f} of the first {k}"
      for k in _TOPS
      if k <= n
    ]
    share = found.expected_precision(found.listed)
    yield (
      f"{listed}; expected to be wrong: {share:.3f} of these"
      f"{''.join(f', {one}' for one in tops)}."
    )
  pairs = [*_pairs(found.joint, names)]
  if pairs:
    yield f"Most confused: {'; '.join(pairs)}."
  if records.members is not None:
    count = np.bincount(records.labels, minlength=len(names))
    few = [
      f"{names[k]} ({count[k]})"
      for k in np.flatnonzero((count > 0) & (count < records.members))
    ]
    if few:
      yield (
        f"Classes with fewer examples than the {records.members} runs, of "
        f"which little can be said: {', '.join(few[:_SHOWN])}."
      )
  wrong = records.true != records.labels
  if wrong.any():
    score = found.score
    yield (
      f"Known to be wrong: {wrong.sum():,}; of those listed "
      f"{_share(wrong[found.listed])}, of the first {wrong.sum():,} "
      f"{label_issues.precision_at_errors(wrong, score):.3f}; AUROC "
      f"{label_issues.auroc(wrong, score):.4f}, average precision "
      f"{label_issues.average_precision(wrong, score):.4f}."
    )


def _share(values: np.ndarray) -> str:
  return f"{values.mean():.3f}" if values.size else "-"


def _pairs(joint: np.ndarray, names: Sequence[str]) -> Iterator[str]:
  """The largest entries off the diagonal."""
  off = joint * (1 - np.eye(len(joint)))
  for place in np.argsort(-off, axis=None, kind="stable")[:_PAIRS]:
    given, true = np.unravel_index(place, off.shape)
    if off[given, true] >= 0.5:
      yield (
        f"given {names[given]}, truly {names[true]}: about "
        f"{off[given, true]:.0f}"
      )


def _matrix(
  matrix: np.ndarray, names: Sequence[str]
) -> Iterator[dict[str, str]]:
  for name, row in zip(names, matrix, strict=True):
    shares = (f"{share:.3f}" for share in row)
    yield {"true": name} | dict(zip(names, shares, strict=True))


def _duplicates(rows: Sequence[Mapping[str, Any]]) -> str:
  groups: dict[int, list[Mapping[str, Any]]] = {}
  for row in rows:
    groups.setdefault(row["group"], []).append(row)
  across = sum(len({x["split"] for x in g}) > 1 for g in groups.values())
  differ = sum(len({x["label"] for x in g}) > 1 for g in groups.values())
  return (
    f"Images that are there twice, to the bit: {differ} with different labels, "
    f"{across} in the train and the test set"
    f"{'; see duplicates.csv' if rows else ''}.\n"
  )

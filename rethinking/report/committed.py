"""Tables and figures from the CSV of their rows that a command left."""

import csv
import io
import json
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from etils import epath

from rethinking.report.detection import SCORES
from rethinking.report.rows import Row
from rethinking.runtime.errors import UserError
from rethinking.storage import files, reading

_MOST_BYTES = 2**28
# What a column holds: types of its cells, and these in words.
_CELLS = {
  "texts": ((str,), "text"),
  "counts": ((int,), "a whole number"),
  "numbers": ((int, float), "a number"),
  "perhaps": ((int, float, type(None)), "a number or empty"),
}


class Kind(NamedTuple):
  """A CSV that commands write, known by its columns.

  Attributes:
    words: what it is.
    needed: the columns that it must have, and which of `_CELLS` these hold;
      "others": anything.
    draw: "module:function" from its rows and a folder to the names of the
      files that it writes there.
    key: the columns that no two rows share; empty: all of them.
    trouble: "module:function" from a row to what else is wrong with it, or
      None; empty: other columns are numbers, no low end above its high one.
  """

  words: str
  needed: Mapping[str, str]
  draw: str
  key: tuple[str, ...] = ()
  trouble: str = ""


def _needed(**kinds: str) -> Mapping[str, str]:
  return {name: k for k, names in kinds.items() for name in names.split()}


_REPORT, _THEORY = "rethinking.report", "rethinking.theory"

KINDS = (
  Kind(
    "a sweep's table.csv",
    _needed(
      texts="figure condition arch dataset",
      counts="n fitted num_classes",
      numbers="p train_accuracy_mean test_accuracy_mean steps_to_fit_mean "
      "epochs_to_fit_mean",
      others="seed",
    ),
    f"{_REPORT}.drawing:draw_lines",
    trouble=f"{_REPORT}.lines:trouble",
  ),
  Kind(
    "detection.csv",
    _needed(
      texts="noise runs",
      counts="seed wrong listed",
      numbers=" ".join(
        f"auroc_{name} auroc_{name}_low auroc_{name}_high ap_{name} "
        f"precision_{name}"
        for name in SCORES
      )
      + " p estimated",
      perhaps="expected_precision real_precision",
      others="guard",
    ),
    f"{_REPORT}.detection:draw",
    key=("noise", "p", "seed"),
  ),
  Kind(
    "repair.csv",
    _needed(
      texts="level arm",
      counts="runs",
      numbers="test_accuracy test_accuracy_low test_accuracy_high gain "
      "gain_low gain_high",
    ),
    f"{_REPORT}.repair:draw",
    key=("level", "arm"),
  ),
  Kind(
    "memorization.csv",
    _needed(
      texts="about dataset name examples",
      counts="n runs without_a_side",
      numbers="level standard_error",
      perhaps="acc_in acc_out mem mem_low mem_high change_low change_high "
      "pooled_acc_in p_in p_out mem_p heldout_true halves",
      others="fitted",
    ),
    f"{_REPORT}.memorization:draw",
    key=("name", "examples"),
  ),
  Kind(
    "a kernel's table.csv",
    _needed(
      texts="dataset kernel",
      numbers="level ridge train_error_percent test_error_percent norm "
      "norm_plus_minus_one condition residual",
    ),
    f"{_THEORY}.kernel:draw",
  ),
  Kind(
    "a Rademacher table.csv",
    _needed(
      texts="dataset arch",
      counts="n step draws",
      numbers="correlation low high",
    ),
    f"{_THEORY}.rademacher:draw",
    key=("n", "step"),
  ),
)


def redraw(
  paths: Sequence[epath.PathLike], out: epath.PathLike
) -> list[epath.Path]:
  """Draws what the rows of CSVs allow, each in a folder called after it.

  Args:
    paths: of files of `KINDS`; of one name each.
    out: the folder of these folders, made if it is missing.

  Returns:
    The files that were written.

  Raises:
    UserError: for a file that is none of them or damaged, before anything is
      written; for a folder that is a run's or a sweep's, or cannot be written.
  """
  found = {}
  for path in map(files.workdir, paths):
    folder = files.workdir(out) / path.stem
    if folder in found:
      raise UserError(
        f"The CSVs must have a name each, got {path.name} twice; try one at a "
        "time, with --out of its own."
      )
    if (folder / "config.json").exists():
      raise UserError(
        f"{folder} must be a folder to draw in, got that of a run or a sweep; "
        "try another --out."
      )
    found[folder] = read(path)
  written = []
  for folder, (kind, rows) in found.items():
    with files.refused("--out", folder):
      folder.mkdir(parents=True, exist_ok=True)
      names = pkgutil.resolve_name(kind.draw)(rows, folder)
    written += [folder / name for name in names]
  return written


def read(path: epath.Path) -> tuple[Kind, list[Row]]:
  """Reads the rows of a CSV.

  Args:
    path: local or gs://.

  Returns:
    What it is, and its rows, at least one: numbers, text, what JSON holds, or
    None, by column.

  Raises:
    UserError: for one that is damaged, or none of `KINDS`.
  """
  try:
    # A spreadsheet writes a mark before the text.
    text = reading.read(path, _MOST_BYTES).decode("utf-8-sig")
    lines = [*csv.reader(io.StringIO(text, newline=""), strict=True)]
  except (OSError, ValueError, csv.Error) as error:
    reason = getattr(error, "strerror", None) or error
    raise UserError(
      f"{path} must be a CSV that you may read, got {reason}; restore it."
    ) from error
  header = lines.pop(0) if lines else []
  kind = _kind(path, header)
  if len({*header}) < len(header):
    raise UserError(f"{path} must have a title a column; restore the file.")
  if not lines:
    raise UserError(
      f"{path} must have a row, got its titles alone; restore it."
    )
  rows, seen = [], {}
  for number, line in enumerate(lines, 2):
    row = dict(zip(header, map(_value, line), strict=False))
    if len(line) == len(header):
      key = json.dumps([row.get(name) for name in kind.key or header])
      twice = f"it must be there once, got it in row {seen.get(key)}, too"
      wrong = twice if key in seen else _trouble(kind, row)
    else:
      wrong = f"it must have {len(header)} cells, got {len(line)}"
    if wrong:
      raise UserError(f"{path}, row {number}: {wrong}; restore the file.")
    seen[key] = number
    rows.append(row)
  return kind, rows


def _kind(path: epath.Path, header: Sequence[str]) -> Kind:
  """What has most of its needed columns in a CSV."""

  def missing(kind):
    return [name for name in kind.needed if name not in header]

  best = min(KINDS, key=lambda kind: len(missing(kind)) / len(kind.needed))
  if lacks := missing(best):
    words = ", ".join(kind.words for kind in KINDS)
    if len(lacks) > len(best.needed) / 2:
      raise UserError(f"{path} must be one of {words}, got none; try another.")
    raise UserError(
      f"{path} must have the columns of {best.words}, got none named "
      f"{', '.join(lacks)}; try today's command on its workdir."
    )
  return best


def _value(text: str) -> Any:
  """A cell: a number, what JSON holds, True, False, text; None: empty."""
  if text[:1] in ("[", "{"):
    try:
      return json.loads(text)
    except (ValueError, RecursionError):
      return text
  for kind in (int, float):
    try:
      return kind(text)
    except ValueError:
      pass
  return {"": None, "True": True, "False": False}.get(text, text)


def _trouble(kind: Kind, row: Row) -> str | None:
  """What is wrong with a row."""
  for name, value in row.items():
    cell = kind.needed.get(name, "others" if kind.trouble else "perhaps")
    types, words = _CELLS.get(cell, ((type(value),), ""))
    if type(value) not in types:
      return f"{name} must be {words}, got {value!r:.50}"
  if kind.trouble:
    return pkgutil.resolve_name(kind.trouble)(row)
  for name, low in row.items():
    high = row.get(f"{name.removesuffix('low')}high")
    if name.endswith("low") and None not in (low, high) and low > high:
      return f"{name} must be at most {high:g}, got {low:g}"
  return None

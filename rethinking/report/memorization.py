"""What an ensemble on subsets says of each example: tables and pictures.

Reference: Feldman, Zhang (2020), "What neural networks memorize and why".
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from rethinking.memorization import agreement
from rethinking.memorization.design import pack
from rethinking.memorization.scores import (
  Scores,
  at_presentation,
  forgetting,
  scores,
)
from rethinking.report import (
  ensembles,
  memorization_page,
  memorization_pictures,
  pictures,
)
from rethinking.report.ensembles import Ensemble
from rethinking.report.memorization_page import runs
from rethinking.report.rows import Group, about
from rethinking.runtime.errors import UserError
from rethinking.storage import files, plots, reading, tables
from rethinking.training.workdir import read_json

# A hundred pairs for each of 60,000 examples.
_MOST_BYTES = 2**28


def write(groups: Sequence[Group], workdir: epath.Path) -> list[str]:
  """Writes scores, tables and pictures of ensembles.

  Of each level `memorization/LEVEL/` has examples.csv, one line an example;
  masks.npz, `masks` as `memorization.design.pack` packs them and `ids`;
  pred_probs.npy, float32 [n, C], mean probabilities of the runs outside; and
  the pictures of its scores. memorization.csv and .md have the means,
  memorization.png the decomposition by level. What the sweep found of influence
  is there already, and drawn.

  Args:
    groups: of the figure; runs whose files are gone are left out.
    workdir: of the sweep; its config.json says what more is asked for.

  Returns:
    The names of the files.
  """
  found = ensembles.levels(groups, workdir)
  if not found:
    return []
  sources = about(groups)
  kept = workdir / "config.json"
  asked = read_json(kept) if kept.exists() else {}
  scored = [
    scores(o.masks, o.correct, o.p, o.predicted, o.true, o.labels)
    for o in found
  ]
  references = None
  if asked.get("reference"):
    try:
      references = [
        agreement.read(asked["reference"], one.ids, one.true) for one in found
      ]
    except UserError as error:
      references = str(error)
  leaning = [_leaning(workdir / "memorization" / one.name) for one in found]
  lines = memorization_page.rows(found, scored)
  written = draw(lines, workdir, sources)
  asked_for = leaning if asked.get("influence") else None
  said = memorization_page.more(found, scored, references, asked_for)
  text = "\n".join([memorization_page.page(lines), *said])
  files.replace(workdir / "memorization.md", text.encode())
  for i, (one, score) in enumerate(zip(found, scored, strict=True)):
    folder = workdir / "memorization" / one.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _files(one, score):
      files.replace(folder / name, content)
      written.append(f"memorization/{one.name}/{name}")
    other = references[i] if isinstance(references, list) else None
    with plots.drawing(f"A picture of {one.name}"):
      for picture in memorization_pictures.of_level(
        one, score, other, leaning[i]["pairs"]
      ):
        names = pictures.save(picture, folder, [runs(one)], sources)
        written += [f"memorization/{one.name}/{name}" for name in names]
  return written


def draw(
  lines: Sequence[Mapping[str, Any]], folder: epath.Path, about: str = ""
) -> list[str]:
  """Writes memorization.csv, memorization.md and the decomposition by level.

  Args:
    lines: of memorization.csv, at least one.
    folder: exists.
    about: for the picture's metadata.

  Returns:
    The names of the files.
  """
  contents = {
    "csv": tables.csv_text(lines),
    "md": memorization_page.page(lines),
  }
  for kind, text in contents.items():
    files.replace(folder / f"memorization.{kind}", text.encode())
  written = [f"memorization.{kind}" for kind in contents]
  with plots.drawing("A picture of the ensembles"):
    picture = memorization_pictures.decomposition(lines)
    written += pictures.save(picture, folder, [lines[0]["about"]], about)
  return written


def _files(one: Ensemble, score: Scores) -> Iterator[tuple[str, bytes]]:
  """The files of a level, name and content."""
  seen, config = one.seen, one.config
  times = seen["times"]
  forgotten, never = forgetting(times, seen["correct"], seen["forgotten"])
  early = np.minimum(times, config["early_epochs"] or times)
  named = (times > 0) * len(config["el2n_epochs"])
  columns = {
    "id": one.ids,
    "label": one.labels,
    "true_label": one.true,
    "changed": one.changed.astype(int),
    **score._asdict(),
    "forgetting": forgotten,
    "never_learned": never,
    "aum": at_presentation(early, seen["margin"]),
    "loss_mean": at_presentation(early, seen["loss"]),
    "el2n": at_presentation(named, seen.get("error", 0.0 * times)),
  }
  lines = zip(*(x.tolist() for x in columns.values()), strict=True)
  rows = [dict(zip(columns, line, strict=True)) for line in lines]
  yield "examples.csv", tables.csv_text(rows).encode()
  masks = {"masks": pack(one.masks), "ids": one.ids}
  yield "masks.npz", files.npz_bytes(masks)
  buffer = io.BytesIO()
  np.save(buffer, one.outside)
  yield "pred_probs.npy", buffer.getvalue()


def _leaning(folder: epath.Path) -> Mapping[str, Any]:
  """What the sweep found of influence, see `rethinking.sweeps.causal`."""
  about = folder / "influence.json"
  found = dict.fromkeys(("threshold", "expected_false"))
  if about.exists():
    found |= read_json(about)
  for name, value in found.items():
    if value is not None and type(value) not in (int, float):
      raise UserError(
        f"{about} is damaged: {name} must be a number, got "
        f"{f'{value!r}':.50}; restore it, or remove it."
      )
  pairs = ("train_id", "test_id", "influence")
  causal = ("test_id", "without_top", "without_random", "runs", "removed")
  return {
    **found,
    "pairs": _rows(folder / "influence.csv", pairs, pairs[2:]),
    "causal": _rows(folder / "causal.csv", causal, causal[1:4]),
  }


def _rows(
  path: epath.Path, columns: Sequence[str], numbers: Sequence[str]
) -> list[dict[str, str]]:
  """The rows of a CSV; some of its columns are finite numbers."""
  if not path.exists():
    return []
  try:
    text = reading.read(path, _MOST_BYTES).decode()
    lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows = [*lines]
    for number, row in enumerate(rows, 2):
      if [*row] != [*columns] or None in row.values():
        raise ValueError(f"line {number} must have {', '.join(columns)}")
      if not all(math.isfinite(float(row[name])) for name in numbers):
        raise ValueError("a number is infinite or none")
    return rows
  except (OSError, ValueError, csv.Error) as error:
    reason = " ".join(str(getattr(error, "strerror", None) or error).split())
    raise UserError(
      f"{path} is damaged ({reason:.200}); restore it, or remove it."
    ) from error

"""Figures and tables from the rows of a sweep alone, finished or not.

table.md has every measured number with its standard deviation over seeds, the
published one beside it with the difference and a word (agrees, differs, not
comparable, not run here), and for each of the paper's claims whether the rows
support it. Published numbers and their sources are in published.json.

`rows` reads results.jsonl, `series` and `settings` group it, `published` and
`claims` compare, `tables` and `pictures` draw, `figure1` and `studies` are the
figures, which have their rows in `rethinking.config.figures`. What is measured
has its rows in `rethinking.training.metrics`. `ensembles` reads runs on
subsets; `memorization` writes what they say of each example, with a page
(`memorization_page`) and pictures (`memorization_pictures`); `label_issues`
writes which labels look wrong, `detection` how well known ones are found,
`repair` whether it helps to fix them.

May import: training, label_issues, memorization, config, data, models, ops,
storage, runtime, corruptions.
"""

import pkgutil
import re

from etils import epath

from rethinking.config.figures import FIGURES
from rethinking.report import claims, pictures, published, rows, tables
from rethinking.runtime.errors import UserError
from rethinking.storage import files, plots
from rethinking.training import workdir as workdir_lib

__all__ = ["SAID", "draw"]

# Files that say in words and tables what a sweep is made for.
SAID = ("label_issues.md", "detection.md", "repair.md")


def draw(workdir: epath.PathLike) -> list[str]:
  """Draws everything that `workdir/results.jsonl` allows, without training.

  Writes table.md, table.csv, published.csv, claims.md and the figures as PNG
  and SVG into `workdir`. Partial results draw too.

  Args:
    workdir: the folder of a sweep, local or gs://.

  Returns:
    The names of the files that were written.

  Raises:
    UserError: if there are no rows to read or the folder cannot be written.
  """
  workdir = files.workdir(workdir)
  if (workdir / "summary.json").exists():
    workdir_lib.check_sums(workdir)
  found = rows.load(workdir / "results.jsonl")
  comparisons = published.compare(found.groups)
  judged = claims.check(found.groups)
  texts = {
    "table.md": tables.report(found, comparisons, judged),
    "table.csv": tables.table_csv(found.groups),
    "published.csv": published.published_csv(comparisons),
    "claims.md": "# The paper's claims\n\n" + claims.table(judged),
  }
  try:
    for name, text in texts.items():
      files.replace(workdir / name, text.encode())
    return [*texts, *_pictures(found, workdir), *_files(found, workdir)]
  except OSError as error:
    raise UserError(
      f"Cannot write into {workdir}: {error.strerror or error}; give a folder "
      "that you may write to."
    ) from error


def _pictures(found: rows.Rows, workdir: epath.Path) -> list[str]:
  drawn = []
  for figure in dict.fromkeys(group.figure for group in found.groups):
    row = FIGURES.get(figure, FIGURES["figure1"])
    if not row.pictures:
      continue
    mine = [group for group in found.groups if group.figure == figure]
    lost = [row for row in found.left_out if row["figure"] == figure]
    notes = _notes(mine, lost)
    with plots.drawing(f"A picture of {figure}"):
      for picture in pkgutil.resolve_name(row.pictures)(mine, figure):
        drawn += pictures.save(picture, workdir, notes)
  return drawn


def _files(found: rows.Rows, workdir: epath.Path) -> list[str]:
  written = []
  for figure in dict.fromkeys(group.figure for group in found.groups):
    row = FIGURES.get(figure)
    if row is not None and row.files:
      mine = [group for group in found.groups if group.figure == figure]
      written += pkgutil.resolve_name(row.files)(mine, workdir)
  return written


def _notes(mine: list[rows.Group], lost: list[rows.Row]) -> list[str]:
  """What every picture of a figure says under it."""
  # A picture has room for the head of a digest; table.md has the whole.
  named = [
    re.sub(r"(sha256:[0-9a-f]{12})[0-9a-f]+", r"\1", source)
    for source in tables.sources(mine)
  ]
  notes = [f"Data: {'; '.join(named)}."] if named else []
  if lost:
    named = "; ".join(tables.lost_run(row) for row in lost[:3])
    more = f"; {len(lost) - 3} more in table.md" if len(lost) > 3 else ""
    notes.append(f"Left out: {named}{more}.")
  return notes

"""What a sweep's rows come to: its tables, figures and claims, as files."""

import pkgutil
from collections.abc import Sequence

from etils import epath

from rethinking.config.figures import FIGURES
from rethinking.report import (
  claims,
  lines,
  pictures,
  published,
  row_files,
  rows,
  tables,
)
from rethinking.storage import files, plots
from rethinking.training import workdir as workdir_lib

# Files that say in words and tables what a sweep is made for.
SAID = ("label_issues.md", "detection.md", "repair.md")


def draw(workdir: epath.PathLike) -> list[str]:
  """Draws everything that `workdir/results.jsonl` allows, without training.

  Writes table.md, table.csv, published.csv, the figures as PNG and SVG and, of
  runs that bear on the paper's claims, claims.md into `workdir`. Partial
  results draw too.

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
  found = row_files.load(workdir / "results.jsonl")
  with files.refused("The workdir", workdir):
    return [*_draw(found, workdir), *_files(found, workdir)]


def draw_lines(read: Sequence[rows.Row], folder: epath.Path) -> list[str]:
  """Draws what the lines of a sweep's table.csv allow.

  Args:
    read: rows, from `committed.read`.
    folder: exists; gets what `draw` writes, but files that need the runs'.

  Returns:
    The names of the files that were written.
  """
  return _draw(lines.read(read), folder)


def _draw(found: rows.Rows, workdir: epath.Path) -> list[str]:
  comparisons = published.compare(found.groups)
  judged = claims.check(found.groups)
  said = {}
  if comparisons:
    said["Beside the published numbers"] = published.table(comparisons)
  if judged:
    said["The paper's claims"] = claims.table(judged)
  texts = {
    "table.md": tables.report(found, said),
    "table.csv": lines.table_csv(found.groups),
    "published.csv": published.published_csv(comparisons),
  }
  if judged:
    title = "The paper's claims"
    texts["claims.md"] = f"# {title}\n\n{said[title]}"
  else:
    (workdir / "claims.md").unlink(missing_ok=True)
  for name, text in texts.items():
    files.replace(workdir / name, text.encode())
  return [*texts, *_pictures(found, workdir)]


def _pictures(found: rows.Rows, workdir: epath.Path) -> list[str]:
  drawn = []
  for figure in dict.fromkeys(group.figure for group in found.groups):
    row = FIGURES.get(figure, FIGURES["figure1"])
    if not row.pictures:
      continue
    mine = [group for group in found.groups if group.figure == figure]
    lost = [row for row in found.left_out if row["figure"] == figure]
    notes, about = _lost(lost), rows.about(mine)
    with plots.drawing(f"A picture of {figure}"):
      for picture in pkgutil.resolve_name(row.pictures)(mine, figure):
        drawn += pictures.save(picture, workdir, notes, about)
  return drawn


def _files(found: rows.Rows, workdir: epath.Path) -> list[str]:
  written = []
  for figure in dict.fromkeys(group.figure for group in found.groups):
    row = FIGURES.get(figure)
    if row is not None and row.files:
      mine = [group for group in found.groups if group.figure == figure]
      written += pkgutil.resolve_name(row.files)(mine, workdir)
  return written


def _lost(lost: list[rows.Row]) -> list[str]:
  """What a figure's pictures say under them of runs that are not in it."""
  if not lost:
    return []
  named = "; ".join(tables.lost_run(row) for row in lost[:3])
  more = f"; {len(lost) - 3} more in table.md" if len(lost) > 3 else ""
  return [f"Left out: {named}{more}."]

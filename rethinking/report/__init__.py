"""Figures and tables from the rows of a sweep alone, finished or not.

table.md has every measured number with its standard deviation over seeds, the
published one beside it with the difference and a word (agrees, differs, not
comparable, not run here), and for each of the paper's claims whether the rows
support it. Published numbers and their sources are in published.json.

`row_files` reads results.jsonl and what shares have of it, `rows` gathers rows
over seeds, `series` and `settings` group them, `published` and `claims`
compare, `tables` and `pictures` draw, `lines` writes table.csv and reads it as
groups again, `committed` redraws from any command's CSV, `figure1` and
`studies` are the figures, which have their rows in `rethinking.config.figures`.
What is measured has its rows in `rethinking.training.metrics`. `ensembles`
reads runs on subsets; `memorization` writes what they say of each example, with
a page (`memorization_page`) and pictures (`memorization_pictures`);
`label_issues` writes which labels look wrong, `detection` how well known ones
are found, `repair` whether it helps to fix them. `comparison` puts runs beside
each other, `page` makes one page of any workdirs, with the images of its
`gallery`.

May import: training, label_issues, memorization, config, data, models, ops,
storage, runtime, corruptions.
"""

import pkgutil
from collections.abc import Sequence

from etils import epath

from rethinking.config import variants
from rethinking.config.figures import FIGURES
from rethinking.report import (
  claims,
  comparison,
  lines,
  page,
  pictures,
  published,
  row_files,
  rows,
  tables,
)
from rethinking.runtime.errors import UserError
from rethinking.storage import files, plots
from rethinking.training import curves
from rethinking.training import workdir as workdir_lib

__all__ = ["SAID", "compare", "draw", "progress", "redraw"]

# Files that say in words and tables what a sweep is made for.
SAID = ("label_issues.md", "detection.md", "repair.md")


def progress(workdir: epath.PathLike) -> list[str]:
  """Returns what `row_files.progress` says of a sweep's shares.

  Args:
    workdir: its folder, local or gs://.
  """
  return row_files.progress(files.workdir(workdir))


def redraw(workdir: epath.PathLike) -> list[epath.Path]:
  """Draws anew what a sweep or a run left.

  Args:
    workdir: its folder, local or gs://.

  Returns:
    The files that were written.

  Raises:
    UserError: if there is nothing to read or the folder cannot be written.
  """
  folder = files.workdir(workdir)
  results = (folder / "results.jsonl").exists()
  if not results and (folder / row_files.CELLS).exists():
    # Shares have begun, and may have no row yet.
    results = bool(row_files.singles(folder)[0])
    if not results:
      return []
  if results or not (folder / "metrics.jsonl").exists():
    names = [*draw(folder), *page.write(folder)]
  else:
    run = comparison.read(folder)
    names = []
    with plots.drawing("curves.png"):
      title = variants.title(run.config)
      names += curves.draw(run.rows, folder / "curves", title)
    names += page.write(folder)
  if not names:
    raise UserError(
      f"The workdir must be a folder that you may write to, got '{folder}', "
      "where nothing was drawn; try a copy of it."
    )
  return [folder / name for name in names]


def compare(
  workdirs: Sequence[epath.PathLike], out: epath.PathLike
) -> tuple[str, list[epath.Path]]:
  """Compares runs, finished or not.

  Args:
    workdirs: of runs, or of runs of a sweep.
    out: the folder for table.md and the picture, made if it is missing.

  Returns:
    A Markdown table, a line a run: the fields in which they differ, and what
    came of it; and the files that were written.

  Raises:
    UserError: for what is no run, or a folder that cannot be written.
  """
  runs = [comparison.read(workdir) for workdir in workdirs]
  folder = files.workdir(out)
  text = comparison.table(runs)
  with files.refused("--out", folder):
    folder.mkdir(parents=True, exist_ok=True)
    files.replace(folder / "table.md", text.encode())
    names = ["table.md"]
    with plots.drawing("comparison.png"):
      names += comparison.draw(runs, folder)
    picture = folder / "comparison.png"
    whole = page.render(
      [*map(files.workdir, workdirs)],
      text,
      picture if picture.exists() else None,
    )
    files.replace(folder / page.NAME, whole.encode())
    names.append(page.NAME)
  return text, [folder / name for name in names]


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
    texts["claims.md"] = "# The paper's claims\n\n" + claims.table(judged)
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

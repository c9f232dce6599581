"""Figures and tables from the rows of a sweep alone, finished or not.

table.md has every measured number with its standard deviation over seeds, the
published one beside it with the difference and a word (agrees, differs, not
comparable, not run here), and for each of the paper's claims whether the rows
support it. Published numbers and their sources are in published.json.

`row_files` reads results.jsonl and what shares have of it, `rows` gathers rows
over seeds, `series` and `settings` group them, `published` and `claims`
compare, `drawing` writes what these and `tables` and `pictures` make, `lines`
writes table.csv and reads it as groups again, `committed` redraws from any
command's CSV, `figure1` and `studies` are the figures, which have their rows in
`rethinking.config.figures`. What is measured has its rows in
`rethinking.training.metrics`. `ensembles` reads runs on subsets; `memorization`
writes what they say of each example, with a page (`memorization_page`) and
pictures (`memorization_pictures`); `label_issues` writes which labels look
wrong, `detection` how well known ones are found, `repair` whether it helps to
fix them. `comparison` puts runs beside each other, `page` makes one page of any
workdirs, with the images of its `gallery`.

May import: training, label_issues, memorization, config, data, models, ops,
storage, runtime, corruptions.
"""

from collections.abc import Sequence

from etils import epath

from rethinking.config import variants
from rethinking.report import comparison, page, row_files
from rethinking.report.drawing import SAID, draw
from rethinking.runtime.errors import UserError
from rethinking.storage import files, plots
from rethinking.training import curves

__all__ = ["SAID", "compare", "draw", "progress", "redraw"]


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

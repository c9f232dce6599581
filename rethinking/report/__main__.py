"""Redraws what a sweep or a run left, or compares several runs.

  python -m rethinking.report W
  python -m rethinking.report W1 W2 ... [--out=comparison]
  python -m rethinking.report ROWS.csv ... [--out=redrawn]

Of a sweep (also --workdir=W) figures and tables come from its results.jsonl
alone, of a run its curves from metrics.jsonl. Of several runs the fields in
which they differ are printed beside their results, and their curves are drawn
over each other in the folder --out.
Of a CSV of rows that a sweep, detection, repair or the theory's kernel or
rademacher left (table.csv, detection.csv, repair.csv, under any name), such as
those of configs/results, its table and its figures, in OUT/ROWS/.
Of a sweep in shares it also says how many runs there are of how many, at any
time, and which files are damaged.

  python -m rethinking.report --label_issues W [--labels_fixed]

says which labels look wrong, by the runs on subsets of a sweep.
"""

import sys

from rethinking.runtime import cli
from rethinking.runtime.errors import UserError


def main(argv: list[str] | None = None) -> int:
  """Draws what the command line names.

  Args:
    argv: the arguments; None: this process's.

  Returns:
    The exit code: 0 finished, 2 refused input.
  """
  parser = cli.Parser(
    prog="python -m rethinking.report",
    description=__doc__,
    formatter_class=cli.Parser.AS_WRITTEN,
  )
  parser.add_argument(
    "workdirs",
    nargs="*",
    metavar="W",
    help="of a run or a sweep; or ROWS.csv, which one of them left",
  )
  parser.add_argument("--workdir", help="of a sweep, with its results.jsonl")
  parser.add_argument(
    "--label_issues",
    metavar="W",
    help="of a sweep of runs on subsets; gets issues.csv and more",
  )
  parser.add_argument(
    "--labels_fixed",
    action="store_true",
    help="with --label_issues: also labels_fixed.csv, what is wrong with a "
    "probability of 0.9 or more, which labels= takes",
  )
  parser.add_argument(
    "--out",
    help="where several runs are drawn (default: comparison), or CSVs "
    "(default: redrawn)",
  )
  try:
    given = parser.parse_args(argv)
    workdirs = [*given.workdirs, *([given.workdir] if given.workdir else [])]
    if bool(workdirs) == bool(given.label_issues):
      parser.error("give the workdir of a sweep or of runs")
    # Imported here: a mistyped flag need not wait.
    from etils import epath

    from rethinking import report
    from rethinking.report import committed, label_issues

    tables = [one for one in workdirs if one.endswith(".csv")]
    out = given.out
    if out is None:
      out = "redrawn" if tables else "comparison"
    if given.labels_fixed and not given.label_issues:
      raise UserError(
        "--labels_fixed must be with --label_issues, got it alone; try both."
      )
    if given.label_issues:
      folder = given.label_issues
      found = label_issues.of_workdir(folder, fixed=given.labels_fixed)
      paths = [epath.Path(folder) / name for name in found]
    elif tables:
      if len(tables) < len(workdirs):
        raise UserError(
          "Workdirs and CSVs must be drawn apart, got both; try two commands."
        )
      paths = committed.redraw(tables, out)
    elif len(workdirs) > 1:
      text, paths = report.compare(workdirs, out)
      print(text, end="")
    else:
      for line in report.progress(workdirs[0]):
        print(line)
      paths = report.redraw(workdirs[0])
    for path in paths:
      print(path)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return cli.REFUSED
  return cli.FINISHED


if __name__ == "__main__":
  cli.call(main, "Stopped; the same command begins anew.")

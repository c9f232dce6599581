"""Redraws the figures and tables of a sweep from its results.jsonl alone.

python -m rethinking.report --workdir=W

or says which labels look wrong, by the runs on subsets of a sweep:

python -m rethinking.report --label_issues=W [--labels_fixed]
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
  parser = cli.Parser(prog="python -m rethinking.report", description=__doc__)
  what = parser.add_mutually_exclusive_group(required=True)
  what.add_argument(
    "--workdir", help="folder of a sweep, with its results.jsonl"
  )
  what.add_argument(
    "--label_issues",
    metavar="W",
    help="folder of a sweep of runs on subsets; gets issues.csv and more",
  )
  parser.add_argument(
    "--labels_fixed",
    action="store_true",
    help="with --label_issues: labels_fixed.csv too, which labels= takes",
  )
  try:
    given = parser.parse_args(argv)
    # Imported here: a mistyped flag need not wait.
    from etils import epath

    from rethinking import report
    from rethinking.report import label_issues

    if given.labels_fixed and not given.label_issues:
      raise UserError("--labels_fixed must be with --label_issues=W; try both.")
    if given.label_issues:
      workdir = given.label_issues
      names = label_issues.of_workdir(workdir, fixed=given.labels_fixed)
    else:
      workdir = given.workdir
      names = report.draw(workdir)
    for name in names:
      print(epath.Path(workdir) / name)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return cli.REFUSED
  return cli.FINISHED


if __name__ == "__main__":
  cli.call(main, "Stopped; the same command begins anew.")

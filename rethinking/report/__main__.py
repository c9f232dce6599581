"""Redraws the figures and tables of a sweep from its results.jsonl alone.

python -m rethinking.report --workdir=W
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
  parser.add_argument(
    "--workdir", required=True, help="folder of a sweep, with its results.jsonl"
  )
  try:
    workdir = parser.parse_args(argv).workdir
    # Imported here: a mistyped flag need not wait.
    from etils import epath

    from rethinking import report

    for name in report.draw(workdir):
      print(epath.Path(workdir) / name)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return cli.REFUSED
  return cli.FINISHED


if __name__ == "__main__":
  cli.call(main, "Stopped; the same command begins anew.")

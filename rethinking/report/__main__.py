"""Redraws the figures and tables of a sweep from its results.jsonl alone.

python -m rethinking.report --workdir=W
"""

from __future__ import annotations

import sys

from absl import flags

from rethinking.runtime.errors import UserError

_FINISHED, _REFUSED = 0, 2

_HELP = "Folder of a sweep, with its results.jsonl."
_WORKDIR = flags.DEFINE_string("workdir", None, _HELP)


def main(argv: list[str]) -> int:
  """Draws what the command line names.

  Args:
    argv: the command line, with the program's name.

  Returns:
    The exit code: 0 finished, 2 refused input.
  """
  if {"--help", "-h", "--helpfull", "-help"} & set(argv[1:]):
    print(f"{__doc__.strip()}\n\nFlags:\n  --workdir: {_HELP}")
    return _FINISHED
  try:
    workdir = _parse(argv)
    # Imported here: a mistyped flag need not wait.
    from rethinking import report

    for name in report.draw(workdir):
      print(f"{workdir}/{name}")
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return _REFUSED
  return _FINISHED


def _parse(argv: list[str]) -> str:
  try:
    rest = flags.FLAGS(argv)
  except flags.Error as error:
    raise UserError(f"{' '.join(str(error).split())} See --help.") from error
  if len(rest) > 1:
    raise UserError(f"{rest[1]!r} is not a flag; see --help.")
  if not _WORKDIR.value:
    raise UserError(
      "--workdir is missing; give the folder of a sweep, such as --workdir=W."
    )
  return _WORKDIR.value.rstrip("/") or "/"


if __name__ == "__main__":
  sys.exit(main(sys.argv))

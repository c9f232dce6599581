"""`python -m rethinking.data NAME ...`: prepares datasets ahead of a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rethinking.data import NAMES, preparation, prepared
from rethinking.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
  """Prepares the named datasets and prints the folder they are in.

  Args:
    argv: the arguments; None: those of the command line.

  Returns:
    The exit code: 0 when all are prepared, 2 when one is refused.
  """
  parser = argparse.ArgumentParser(
    prog="python -m rethinking.data",
    description="Download and prepare datasets once, without TensorFlow.",
  )
  parser.add_argument(
    "names", nargs="+", choices=NAMES, metavar="NAME", help=", ".join(NAMES)
  )
  parser.add_argument(
    "--data_dir",
    help="folder of prepared datasets; TFDS_DATA_DIR, else"
    " ~/tensorflow_datasets, where it isn't given",
  )
  arguments = parser.parse_args(argv)
  try:
    root = prepared.root(arguments.data_dir)
    for name in arguments.names:
      if name == "digits":
        print("digits: comes with scikit-learn, nothing to prepare")
        continue
      print(f"{name}: {preparation.prepare(name, root)}", flush=True)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  print(f"TFDS_DATA_DIR={root}")
  return 0


if __name__ == "__main__":
  sys.exit(main())

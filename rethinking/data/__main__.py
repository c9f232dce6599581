"""Prepares datasets ahead of a run.

  python -m rethinking.data NAME ...
  python -m rethinking.data --config=configs/cifar.py:random_labels

The second prepares what the job with these flags reads.
"""

import sys
from collections.abc import Sequence

from rethinking.data import NAMES, SPECS, preparation, prepared
from rethinking.runtime import cli
from rethinking.runtime.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
  """Prepares the named datasets and prints the folder they are in.

  Args:
    argv: the arguments; None: those of the command line. With `--config` among
      them they are the flags of a job, of which others are skipped.

  Returns:
    The exit code: 0 when all are prepared, 2 when one is refused. For the
      flags of a job it exits with that code.
  """
  argv = list(sys.argv[1:] if argv is None else argv)
  if any(flag.startswith("--config") for flag in argv):
    cli.run(
      lambda config: _prepare([config.dataset], config.data_dir),
      ["data", *argv],
      known_only=True,
    )
  parser = cli.Parser(
    prog="python -m rethinking.data",
    description="Download and prepare datasets once, without TensorFlow. With"
    " --config=FILE and other flags of a job: those that it reads.",
  )
  parser.add_argument(
    "names", nargs="+", choices=NAMES, metavar="NAME", help=", ".join(NAMES)
  )
  parser.add_argument(
    "--data_dir",
    help="folder of prepared datasets; TFDS_DATA_DIR, else"
    " ~/tensorflow_datasets, where it isn't given",
  )
  try:
    arguments = parser.parse_args(argv)
    return _prepare(arguments.names, arguments.data_dir)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return cli.REFUSED


def _prepare(names: Sequence[str], data_dir: str | None) -> int:
  """Prepares the named datasets in a folder; returns the exit code."""
  root = prepared.root(data_dir)
  for name in names:
    if name not in SPECS or SPECS[name].reader:
      print(f"{name}: nothing to prepare")
    else:
      print(f"{name}: {preparation.prepare(name, root)}", flush=True)
  print(f"TFDS_DATA_DIR={root}")
  return cli.FINISHED


if __name__ == "__main__":
  cli.call(main, "Stopped; the same command begins anew.")

"""Measures the project on this machine.

  python -m rethinking.benchmark [what ...] [--out=FOLDER] [--rounds=5]
  python -m rethinking.benchmark inception --batch_size=512 --dtype=bfloat16

`what` is start, data, corruptions, epoch, sweep, checkpoint, memory, an
architecture's name (its training step and evaluation) or `all`, which also is
what is measured without it. PyTorch, where it is installed, runs in processes
of its own.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from etils import epath
from rich.console import Console

from rethinking import models, runtime

PARTS = (
  "start",
  "data",
  "corruptions",
  "epoch",
  "sweep",
  "checkpoint",
  "memory",
)


def main(argv: list[str] | None = None) -> int:
  """Runs the command; returns the exit code.

  Args:
    argv: the arguments; None: this process's.
  """
  runtime.configure()
  # After the flags: these start JAX.
  import jax

  from rethinking.benchmark import machine, report, steps

  known = (*PARTS, *models.ARCHITECTURES)
  parser = argparse.ArgumentParser(
    prog="python -m rethinking.benchmark",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("what", nargs="*", help=", ".join(known))
  parser.add_argument("--out", default="benchmark", help="a folder")
  parser.add_argument(
    "--rounds", type=int, default=5, help="of each, 1 or more"
  )
  parser.add_argument(
    "--seconds", type=float, default=3.0, help="of a measurement, about"
  )
  parser.add_argument(
    "--batch_size", type=int, default=128, help="of the networks' steps"
  )
  parser.add_argument(
    "--dtype",
    choices=("float32", "bfloat16"),
    default="float32",
    help="the networks' compute type",
  )
  arguments = parser.parse_args(argv)
  wanted = list(dict.fromkeys(arguments.what)) or list(known)
  if wanted == ["all"]:
    wanted = list(known)
  unknown = [name for name in wanted if name not in known]
  if unknown:
    print(
      f"error: Unknown part {unknown[0]!r}; choose among {list(known)}.",
      file=sys.stderr,
    )
    return 2
  if arguments.rounds < 1:
    print(
      f"error: --rounds is {arguments.rounds}; give 1 or more.",
      file=sys.stderr,
    )
    return 2
  if arguments.batch_size < 1 or arguments.batch_size % jax.device_count():
    print(
      f"error: --batch_size is {arguments.batch_size}; give a multiple of "
      f"{jax.device_count()}, the number of devices.",
      file=sys.stderr,
    )
    return 2
  # Into a file or a pipe the tables go whole.
  console = Console(width=None if sys.stdout.isatty() else 140)
  folder = epath.Path(arguments.out)
  folder.mkdir(parents=True, exist_ok=True)
  result: dict[str, Any] = {"machine": machine.describe()}
  result["batch_size"] = arguments.batch_size
  result["dtype"] = arguments.dtype
  result["limits"] = machine.limits(arguments.dtype, arguments.rounds, 0.5)
  report.show_machine(result, console)
  for name in wanted:
    console.print(f"measuring {name} ...")
    # Each is shown at once: all of them take many minutes.
    if name in PARTS:
      result[name] = _part(name, arguments.rounds, arguments.seconds)
      report.show_part(name, result[name], console)
    else:
      result.setdefault("models", {})[name] = steps.measure(
        name,
        arguments.batch_size,
        arguments.dtype,
        arguments.rounds,
        arguments.seconds,
      )
      report.show_model(result, name, console)
    report.write(result, folder)
  if result.get("models"):
    report.show_models(result, console)
  console.print(f"Written: {folder / 'benchmark.json'}")
  return 0


def _part(name: str, rounds: int, seconds: float) -> dict[str, Any]:
  from rethinking.benchmark import corruption, epochs, parts, together

  measure = {
    "start": lambda: parts.start(rounds),
    "data": lambda: parts.load(rounds),
    "corruptions": lambda: corruption.measure(rounds),
    "epoch": lambda: epochs.measure(rounds),
    "checkpoint": lambda: parts.checkpoints(rounds),
    "sweep": lambda: together.measure(rounds, seconds),
    "memory": parts.memory,
  }
  return measure[name]()


if __name__ == "__main__":
  sys.exit(main())

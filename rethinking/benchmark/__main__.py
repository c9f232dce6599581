"""Measures the project on this machine.

  python -m rethinking.benchmark [what ...] [--out=FOLDER] [--rounds=5]
  python -m rethinking.benchmark inception --batch_size=512 --dtype=bfloat16
  python -m rethinking.benchmark compile --help
  python -m rethinking.benchmark accelerator --help

`what` is start, data, corruptions, epoch, sweep, checkpoint, predict, memory,
an architecture's name (its training step and evaluation) or `all`, which also
is what is measured without it. PyTorch, where it is installed, runs in
processes of its own.
"""

import argparse
import importlib
import sys
from collections.abc import Callable
from typing import Any

from etils import epath

from rethinking import models
from rethinking.runtime import backend, cli
from rethinking.runtime.allowed import AT_LEAST_1, choose
from rethinking.runtime.console import Console
from rethinking.runtime.errors import UserError
from rethinking.storage import files


def main(argv: list[str] | None = None) -> int:
  """Runs the command; returns the exit code.

  Args:
    argv: the arguments; None: this process's.
  """
  argv = sys.argv[1:] if argv is None else argv
  try:
    if argv[:1] not in (["compile"], ["accelerator"]):
      return _measure(argv)
    module = importlib.import_module(f"rethinking.benchmark.{argv[0]}")
    return module.main(argv[1:])
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return cli.REFUSED


def _measure(argv: list[str]) -> int:
  backend.configure()
  # After the flags: these start JAX.
  import jax

  from rethinking.benchmark import (
    corruption,
    epochs,
    machine,
    parts,
    report,
    steps,
    vectorized,
  )

  # What is measured, by its name; each is given rounds and about how long.
  measures: dict[str, Callable[[int, float], dict[str, Any]]] = {
    "start": lambda rounds, _: parts.start(rounds),
    "data": lambda rounds, _: parts.load(rounds),
    "corruptions": lambda rounds, _: corruption.measure(rounds),
    "epoch": lambda rounds, _: epochs.measure(rounds),
    "sweep": vectorized.measure,
    "checkpoint": lambda rounds, _: parts.checkpoints(rounds),
    "predict": lambda rounds, _: parts.predict(rounds),
    "memory": lambda *_: parts.memory(),
  }
  known = [*measures, *models.ARCHITECTURES]
  parser = cli.Parser(
    prog="python -m rethinking.benchmark",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  add = parser.add_argument
  add("what", nargs="*", help=", ".join(known))
  add("--out", default="benchmark", help="a folder")
  add("--rounds", type=int, default=5, help="of each, 1 or more")
  add("--seconds", type=float, default=3.0, help="of a measurement, about")
  add("--batch_size", type=int, default=128, help="of the networks' steps")
  types = ("float32", "bfloat16")
  meaning = "the networks' compute type"
  add("--dtype", choices=types, default=types[0], help=meaning)
  args = parser.parse_args(argv)
  wanted = list(dict.fromkeys(args.what))
  if wanted in ([], ["all"]):
    wanted = known
  for name in wanted:
    choose("part", name, known)
  AT_LEAST_1.check("--rounds", args.rounds)
  count = jax.device_count()
  if args.batch_size < 1 or args.batch_size % count:
    raise UserError(
      f"--batch_size must be a multiple of {count}, the number of devices, got "
      f"{args.batch_size}; try {128 * count}."
    )
  console = Console(0, "benchmark")
  folder = epath.Path(files.local(args.out, "--out"))
  folder.mkdir(parents=True, exist_ok=True)
  result: dict[str, Any] = {
    "machine": machine.describe(),
    "batch_size": args.batch_size,
    "dtype": args.dtype,
    "limits": machine.limits(args.dtype, args.rounds),
  }
  report.show_machine(result, console)
  for name in wanted:
    console.say(f"measuring {name} ...")
    # Each is shown at once: all of them take many minutes.
    if name in measures:
      result[name] = measures[name](args.rounds, args.seconds)
      report.show_part(name, result[name], console)
    else:
      given = (args.batch_size, args.dtype, args.rounds, args.seconds)
      result.setdefault("models", {})[name] = steps.measure(name, *given)
      report.show_model(result, name, console)
    report.write(result, folder)
  if result.get("models"):
    report.show_models(result, console)
  console.say(f"Written: {folder / 'benchmark.json'}")
  return 0


if __name__ == "__main__":
  cli.call(main, "Stopped; what was written until then is kept.")

"""Compiles every program for accelerators that need not be at hand.

  python -m rethinking.benchmark compile [ARCH ...] [--topology=v5e:2x2,h100]

Each program is compiled in a process of its own, which a failed check of XLA
may end. XLA's estimates leave out what it lists as without one, and how long
operations wait for memory or each other: they compare programs, and predict no
speed.
"""

import argparse
import datetime
import importlib.util
import itertools
import json
import os
import subprocess
import sys
from typing import Any

import jax
from etils import epath

from rethinking import models
from rethinking.benchmark import ahead, chips
from rethinking.runtime import backend, cli
from rethinking.runtime.allowed import choose
from rethinking.runtime.console import Console
from rethinking.runtime.errors import UserError
from rethinking.storage import files, tables


def main(argv: list[str]) -> int:
  """Runs the command; returns 0, or 1 where a program does not compile.

  Args:
    argv: the arguments after `compile`.

  Raises:
    UserError: for an unknown name, or a chip whose compiler is not installed.
  """
  parser = cli.Parser(
    prog="python -m rethinking.benchmark compile",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  names = ", ".join(models.ARCHITECTURES)
  parser.add_argument("arch", nargs="*", help=f"{names}; all without any")
  meaning = f"CHIP[:SHAPE], comma-separated; chips are {', '.join(chips.CHIPS)}"
  parser.add_argument("--topology", default="v5e:2x2,h100", help=meaning)
  parser.add_argument("--out", default="benchmark", help="a folder")
  args = parser.parse_args(argv)
  archs = args.arch or [*models.ARCHITECTURES]
  for arch in archs:
    choose("architecture", arch, models.ARCHITECTURES)
  wanted = [chips.parse(text) for text in args.topology.split(",")]
  for name, _ in wanted:
    _check_installed(name)
  console = Console(0, "benchmark")
  folder = epath.Path(files.local(args.out, "--out"))
  folder.mkdir(parents=True, exist_ok=True)
  versions = {"jax": jax.__version__, **backend.plugins()}
  result: dict[str, Any] = {
    "date": datetime.date.today().isoformat(),
    "batch_size": ahead.BATCH,
    "versions": versions,
    "chips": {},
  }
  console.say(", ".join(f"{k} {v}" for k, v in versions.items()))
  for name, shape in wanted:
    console.say(_limits(name, shape))
    rows = result["chips"][name] = {}
    for arch, program in itertools.product(archs, ahead.PROGRAMS):
      found = _compile(name, shape, arch, program)
      rows[f"{arch}, {program}"] = found
      shown = found.get("failed") or f"{found['busy_seconds']:.0f} s"
      console.say(f"{name}: {arch}, {program}: {shown}")
      # Each is written at once: all of them take an hour.
      files.write_json(folder / "compile.json", result)
    console.say(tables.markdown([_row(*item, name) for item in rows.items()]))
  every = [
    found for rows in result["chips"].values() for found in rows.values()
  ]
  return int(any("failed" in found for found in every))


def _check_installed(name: str) -> None:
  chip = chips.CHIPS[name]
  if not any(map(importlib.util.find_spec, chip.packages)):
    raise UserError(
      f"{name} must have its compiler installed, got none of "
      f"{', '.join(chip.packages)}; try pip install 'rethinking[{chip.extra}]'."
    )


def _limits(name: str, shape: str) -> str:
  chip = chips.CHIPS[name]
  clock = f", {chip.hertz / 1e9:.2f} GHz" if chip.hertz else ""
  return (
    f"{name} {shape}".strip() + f": {chip.memory / 2**30:.0f} GiB, "
    f"{chip.flops / 1e12:.0f} TFLOP/s in bfloat16, "
    f"{chip.bandwidth / 1e12:.2f} TB/s{clock}; batch {ahead.BATCH}, float32"
  )


def _compile(name: str, shape: str, arch: str, program: str) -> dict[str, Any]:
  """What `ahead` prints, or `failed` and why."""
  command = [sys.executable, "-m", ahead.__name__]
  done = subprocess.run(
    [*command, f"{name}:{shape}", arch, program],
    env=os.environ | chips.environment(name),
    stdin=subprocess.DEVNULL,
    capture_output=True,
    text=True,
  )
  if done.returncode == 0:
    return json.loads(done.stdout.splitlines()[-1])
  # A failed check's line comes before the stack.
  lines = done.stderr.splitlines() or [""]
  why = next((line for line in lines if "Check failed" in line), lines[-1])
  return {"failed": f"exit code {done.returncode}: {why}"}


def _row(program: str, found: dict[str, Any], name: str) -> dict[str, str]:
  if "failed" in found:
    row = dict.fromkeys(_COLUMNS, "-")
    return row | {"program": program, "without an estimate": found["failed"]}
  hertz = chips.CHIPS[name].hertz

  def microseconds(cycles):
    return f"{cycles / hertz * 1e6:,.0f}" if hertz else "-"

  unknown = [f"{count} {x}" for x, count in found["unknown"].items()]
  memory = [found[x] / 2**20 for x in ("arguments", "temporaries", "code")]
  cells = (
    program,
    f"{found['busy_seconds']:.0f}",
    *(f"{x:,.0f}" for x in memory),
    microseconds(found["cycles"]),
    microseconds(found["outside"]),
    ", ".join(unknown) or "none",
    str(found["all_reduces"]),
    str(found["nested_loops"]),
  )
  return dict(zip(_COLUMNS, cells, strict=True))


_COLUMNS = (
  "program",
  "compiled in s",
  "arguments MiB",
  "temporaries MiB",
  "code MiB",
  "estimate us",
  "beside the loop us",
  "without an estimate",
  "all-reduces",
  "nested loops",
)

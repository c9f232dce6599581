"""What an accelerator that is at hand for minutes should do first.

  python -m rethinking.benchmark accelerator --minutes=9 --out=DIR [--rehearse]

Values against the CPU's, steps against PyTorch's, seconds until random labels
are fitted, runs together against one after another, runs of the paper, then
steps of another batch and type: most valuable first. DIR/accelerator.json and
accelerator.md have each result as soon as it is there; DIR/runs has what the
same command again goes on with. --rehearse takes every line at a tiny size on
the CPU: minutes on an accelerator must not meet a typo.
"""

import argparse
import functools
import itertools
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import jax
from etils import epath

import rethinking
from rethinking.benchmark import machine, report, steps, values, vectorized
from rethinking.runtime import backend, cli, signals
from rethinking.runtime.allowed import Range
from rethinking.runtime.console import Console
from rethinking.runtime.errors import Stopped, UserError
from rethinking.storage import files, jsonl, tables
from rethinking.training import run as train
from rethinking.training import workdir as workdir_lib

# Returns what was measured, by its name: numbers, summaries, texts.
Line = Callable[[epath.Path], dict[str, Any]]

_ABOVE_0 = Range("above 0", lambda x: x > 0, "9")
# Appended to a config, so that a CPU runs it in seconds.
_TINY = ",dataset=digits,subset=256,epochs=1"


def main(argv: list[str]) -> int:
  """Runs the command; returns 0, 1 where a line failed, 75 where time is up.

  Args:
    argv: the arguments after `accelerator`.

  Raises:
    UserError: for a folder with the results of another machine.
  """
  parser = cli.Parser(
    prog="python -m rethinking.benchmark accelerator",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  add = parser.add_argument
  add("--minutes", type=float, default=9.0, help="after which no line begins")
  add("--out", default="accelerator", help="a folder")
  add("--rehearse", action="store_true", help="tiny sizes, on the CPU")
  args = parser.parse_args(argv)
  _ABOVE_0.check("--minutes", args.minutes)
  if args.rehearse:
    jax.config.update("jax_platforms", "cpu")
  backend.configure()
  here = machine.describe()
  folder = epath.Path(files.local(args.out, "--out"))
  result = _read(folder, {"rehearsal": args.rehearse, "device": here["device"]})
  result["machine"] = here
  console = Console(0, "accelerator")
  todo = lines(rehearse=args.rehearse)
  # Runs save and stop when it is set, at the end of a dispatch.
  with signals.deferred() as stop:
    timer = threading.Timer(60 * args.minutes, stop.set)
    timer.daemon = True
    timer.start()
    for name, line in todo.items():
      if stop.is_set():
        break
      if "measured" in result["lines"].get(name, ()):
        continue
      console.say(f"{name} ...")
      found = result["lines"][name] = _taken(line, folder / "runs")
      _write(folder, result)
      if "measured" in found:
        report.show_part(name, found["measured"], console)
      else:
        console.say(f"{name}: {found.get('failed') or found['stopped']}")
    timer.cancel()
  console.say(f"Written: {folder / 'accelerator.json'}")
  every = [result["lines"].get(name, {}) for name in todo]
  if all("measured" in one for one in every):
    return cli.FINISHED
  return cli.FAILED if any("failed" in x for x in every) else cli.STOPPED


def _read(folder: epath.Path, about: Mapping[str, Any]) -> dict[str, Any]:
  """What earlier calls left in a folder, which it makes."""
  path = folder / "accelerator.json"
  if path.exists():
    result = workdir_lib.read_json(path)
    for name, value in about.items():
      if result[name] != value:
        raise UserError(
          f"{name} must be that of the results in {folder}, {result[name]!r}, "
          f"got {value!r}; try another folder."
        )
    return result
  folder.mkdir(parents=True, exist_ok=True)
  return {**about, "lines": {}}


def _taken(line: Line, folder: epath.Path) -> dict[str, Any]:
  """What a line measured, or why it did not, with its seconds."""
  began = time.monotonic()
  try:
    found = {"measured": line(folder)}
  except Stopped as error:
    found = {"stopped": str(error)}
  # Whatever it is, the lines after it are worth their minutes.
  except Exception as error:  # noqa: BLE001
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    found = {"failed": reason, "traceback": traceback.format_exc()}
  return {"seconds": time.monotonic() - began, **found}


def _write(folder: epath.Path, result: Mapping[str, Any]) -> None:
  files.write_json(folder / "accelerator.json", result)
  text = [f"{result['machine']['date']}, {result['device']}"]
  for name, found in result["lines"].items():
    about = found.get("failed") or found.get("stopped") or ""
    text.append(f"## {name}\n\n{found['seconds']:.0f} s. {about}".rstrip())
    if "measured" in found:
      head, *rows = report.part_rows(name, found["measured"])
      rows = [dict(zip(head, row, strict=True)) for row in rows]
      text.append(tables.markdown(rows).rstrip())
  text = "\n\n".join(text) + "\n"
  files.replace(folder / "accelerator.md", text.encode())


def lines(*, rehearse: bool) -> dict[str, Line]:
  """Returns what is done, most valuable first, by its title.

  Args:
    rehearse: whether at tiny sizes.
  """
  archs, few, tiny = ("mlp_1x512", "alexnet", "inception"), (3, 0.5), ""
  together = ("mlp_1x512", (28, 28, 3), 88)
  if rehearse:
    archs, few, tiny = ("mlp_1x512",), (1, 0.0), _TINY
    together = ("mlp_1x512", (8, 8, 1), 4)
  *_, last = archs
  found: dict[str, Line] = {
    "values against the CPU's": lambda _: values.compare(archs)
  }
  timed = {
    f"{last}, batch {size}, {dtype}": functools.partial(
      _steps, last, size, dtype, *few
    )
    for size, dtype in itertools.product((128, 512), ("bfloat16", "float32"))
  }
  first = next(iter(timed))
  found[first] = timed[first]
  for arch in archs:
    found[f"{arch} fits random labels"] = functools.partial(_fit, arch, tiny)
  found[f"{together[-1]} runs together"] = lambda _: vectorized.compare(
    *together, *few
  )
  for name, grids in (("table1", None), ("figure1", ("conditions",))):
    found[f"{last} in {name}"] = functools.partial(_sweep, name, grids, tiny)
  # The others come last: on an H100 the first took over two minutes.
  return found | timed


_limits = functools.cache(machine.limits)


def _steps(
  arch: str,
  size: int,
  dtype: str,
  rounds: int,
  seconds: float,
  folder: epath.Path,
) -> dict[str, Any]:
  """Images per second of training and evaluation, PyTorch's beside them."""
  del folder
  found = steps.measure(arch, size, dtype, rounds, seconds)
  limits = _limits(dtype, rounds)
  measured = {"models": {arch: found}, "limits": limits}
  return {
    **{
      f"{what}, {who} (images/s)": rates
      for what in ("training", "evaluation")
      for who, rates in found[what].items()
    },
    "training over the better PyTorch": found["training_ratio"],
    "evaluation over the better PyTorch": found["evaluation_ratio"],
    **{f"{who} failed": why for who, why in found["failed"].items()},
    "product (FLOP/s)": limits["matmul_flops_per_second"],
    "copy (bytes/s)": limits["copy_bytes_per_second"],
    "share of the product's FLOP/s": report.share_of_limit(measured, arch),
  }


def _fit(arch: str, tiny: str, folder: epath.Path) -> dict[str, Any]:
  """Seconds until every random label is fitted, from the start to the end."""
  config = cli.load(
    f"configs/cifar.py:random_labels,arch={arch},dtype=bfloat16,"
    f"stop_at_fit=true,plots=false,tensorboard=false{tiny}"
  )
  found = train.run(config, folder / f"fit_{arch}", quiet=True)
  return {
    "seconds": found["wall_seconds"],
    "epochs to fit": found["epochs_to_fit"],
    "train accuracy": found["train_accuracy"],
    "test accuracy": found["test_accuracy"],
    "training (images/s)": found["images_per_second"],
  }


def _sweep(
  name: str, grids: tuple[str, ...] | None, tiny: str, folder: epath.Path
) -> dict[str, Any]:
  """Accuracies of small Inception's runs in a sweep, one seed of each."""
  only = "labels-seed" if tiny else "inception"
  config = cli.load(f"configs/cifar.py:{name},only={only},dtype=bfloat16{tiny}")
  with config.unlocked():
    for title in {*config.grids} - {*(grids or config.grids)}:
      del config.grids[title]
    for axes in config.grids.values():
      axes["seed"] = (0,)
      if tiny:
        axes["arch"] = ("mlp_1x512",)
  rethinking.run(config, folder / name)
  found = {}
  for row in jsonl.JsonLines(folder / name / "results.jsonl").rows():
    for what in ("train_accuracy", "test_accuracy"):
      found[f"{row['cell']}, {what}"] = row.get(what)
  return found

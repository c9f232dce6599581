"""Many runs: a grid of configs, each the run that the main job makes."""

import contextlib
import functools
import pathlib
import pkgutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking import report
from rethinking.config.fields import flagged
from rethinking.config.figures import FIGURES
from rethinking.memorization import agreement
from rethinking.runtime import backend, processes, signals
from rethinking.runtime.errors import Stopped
from rethinking.storage import files
from rethinking.storage.lock import Lock
from rethinking.sweeps import causal, cells, grid, merging
from rethinking.sweeps import rows as sweep_rows
from rethinking.sweeps.console import SweepConsole
from rethinking.training import parallel, placement
from rethinking.training import task as task_lib
from rethinking.training import workdir as workdir_lib


def run(
  config: ConfigDict, workdir: str | pathlib.Path, *, quiet: bool = False
) -> dict[str, Any]:
  """Runs every cell that has no row yet, then draws figures and tables.

  The same call again continues where an earlier one ended, however it did: a
  finished cell has its row, an unfinished one its checkpoint.

  Args:
    config: of a sweep, from a config file.
    workdir: a folder, made if it is not there; local or gs://.
    quiet: print nothing.

  Returns:
    What `summary.json` holds.

  Raises:
    UserError: for a config or a workdir that cannot be used.
    Stopped: after SIGTERM or Ctrl-C; the cell's state is saved.
  """
  began = time.monotonic()
  todo = grid.expand(config)
  # XLA reads its flags when the devices are first asked for.
  backend.configure(
    compilation_cache=config.compilation_cache,
    deterministic=config.deterministic,
  )
  quiet = quiet or not processes.is_first()
  workdir = files.workdir(workdir)
  results_file = None if quiet else "table.md"
  check = functools.partial(
    workdir_lib.check, workdir, config, results_file, anew=flagged("anew")
  )
  finished = check()
  if finished is not None:
    return finished
  with (
    checked(todo.values(), config.reference),
    Lock(workdir),
    # Several processes must stop at the same step, which only a run ensures;
    # else a signal counts between runs, too.
    contextlib.nullcontext(threading.Event())
    if processes.started()
    else signals.deferred() as stop,
  ):
    # Checks again, now that no other job can be writing.
    finished = check()
    if finished is not None:
      return finished
    workdir_lib.begin(workdir, config)
    console = SweepConsole(len(todo), config.variant, quiet=quiet)
    # What shares of this sweep made before.
    if (workdir / merging.FOLDER).exists():
      _merge(workdir, todo, console)
    with backend.shared_programs(workdir / "programs"):
      place = cells.Place(todo, workdir, config.variant)
      rows = cells.run(place, config.runs_at_once, console, stop)
      make = functools.partial(_make, workdir, stop, quiet)
      figure = FIGURES.get(config.variant)
      if figure is not None and figure.after:
        pkgutil.resolve_name(figure.after)(workdir, make)
      if config.influence:
        causal.run(workdir, make, quiet=quiet)
    _merge(workdir, todo, console)
    return conclude(rows, workdir, console, began)


def _make(
  workdir: epath.Path,
  stop: threading.Event,
  quiet: bool,
  todo: Mapping[str, ConfigDict],
  folder: epath.Path,
  figure: str,
  title: str,
) -> None:
  """Makes runs that depend on the sweep's, in a folder that is there."""
  console = SweepConsole(len(todo), title, quiet=quiet)
  try:
    cells.run(cells.Place(todo, folder, figure), None, console, stop)
  except Stopped as error:
    # The command that continues is the sweep's.
    raise Stopped(error.what, workdir) from None


def _merge(
  workdir: epath.Path, todo: Mapping[str, ConfigDict], console: SweepConsole
) -> None:
  processes.on_first(lambda: merging.merge(workdir, todo, console.warn))


def conclude(
  rows: Iterable[Mapping[str, Any]],
  workdir: epath.Path,
  console: SweepConsole,
  began: float | None = None,
) -> dict[str, Any]:
  """Draws what all runs came to, and writes summary.json.

  Args:
    rows: of all cells.
    workdir: of the sweep.
    console: shows it.
    began: when the one process that made them did, by the monotonic clock;
      None: several did.

  Returns:
    What `summary.json` holds.
  """
  if processes.is_first():
    report.draw(workdir)
    for name in report.SAID:
      if (workdir / name).exists():
        console.say((workdir / name).read_text())
  summary = sweep_rows.summary(rows) | backend.numerics()
  took = ""
  if began is not None:
    summary["wall_seconds"] = time.monotonic() - began
    took = f" in {summary['wall_seconds']:.0f} s"
  workdir_lib.finish(workdir, summary)
  console.say(
    f"{summary['cells']} cells{took}: "
    f"{summary['finished']} finished, {summary['censored']} of them never "
    f"fitted their train set; {summary['diverged']} diverged."
  )
  if summary["retired"]:
    console.say(
      f"{summary['retired']} ended before their last epoch, which saved "
      f"{summary['steps_saved']:,} steps, about "
      f"{summary['seconds_saved']:.0f} s."
    )
  console.say(f"The figures and table.md are in {workdir}.")
  return summary


@contextlib.contextmanager
def checked(
  todo: Iterable[ConfigDict], reference: str | None
) -> Iterator[None]:
  """Refuses what a run would, before anything is written.

  The data stay until the end, so that all cells have one copy of them.

  Args:
    todo: resolved configs of all cells.
    reference: the config's.

  Raises:
    UserError: in all processes, for what one of them refuses.
  """
  devices = len(placement.all_devices())
  seen, held = set(), []
  with processes.reraise_everywhere():
    for cell in todo:
      parallel.check_batch("batch_size", cell.batch_size, devices)
      size = (cell.arch, *(cell[name] for name in flagged("sized")))
      if size not in seen:
        seen.add(size)
        held += [task_lib.dataset(cell, split) for split in ("train", "test")]
        task_lib.check(cell, held[-2])
        if reference is not None:
          taken = slice(cell.subset)
          of = (held[-2].ids[taken], held[-2].labels[taken])
          agreement.read(reference, *of)
  yield

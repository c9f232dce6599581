"""Many runs: a grid of configs, each the run that the main job makes."""

import contextlib
import functools
import pathlib
import pkgutil
import threading
import time
from collections.abc import Mapping
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking.config.fields import flagged
from rethinking.config.figures import FIGURES
from rethinking.runtime import backend, processes, signals
from rethinking.runtime.errors import Stopped
from rethinking.storage import files
from rethinking.storage.lock import Lock
from rethinking.sweeps import causal, cells, ends, grid, merging
from rethinking.sweeps.console import SweepConsole
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
    ends.checked(todo.values(), config.reference),
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
    return ends.conclude(rows, workdir, console, began)


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

"""One run: from a config to a workdir with everything that was seen."""

import pathlib
import time
from typing import Any

from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking.runtime import backend, processes, signals
from rethinking.runtime.console import Console
from rethinking.storage import files
from rethinking.storage.lock import Lock
from rethinking.training import curves, parallel
from rethinking.training import summary as results
from rethinking.training import task as problem
from rethinking.training import workdir as workdir_lib
from rethinking.training.loop import Loop


def run(
  config: ConfigDict,
  workdir: str | pathlib.Path,
  *,
  quiet: bool = False,
  console: Console | None = None,
) -> dict[str, Any]:
  """Trains one model and leaves everything that was seen in `workdir`.

  Continues where an earlier call with the same config and workdir ended, to
  the same bits as if it had never been interrupted.

  Args:
    config: from a config file or `rethinking.config.default`.
    workdir: a folder, made if it is not there; local or gs://.
    quiet: print nothing.
    console: shows the run's progress; None: one of its own.

  Returns:
    What `summary.json` holds.

  Raises:
    UserError: for a config or a workdir that cannot be used; nothing was
      written.
    Diverged: when the loss is not finite.
    Stopped: after SIGTERM or Ctrl-C; the state is saved.
  """
  began = time.monotonic()
  config = config_lib.resolve(config)
  backend.configure(
    compilation_cache=config.compilation_cache,
    deterministic=config.deterministic,
  )
  quiet = quiet or not processes.is_first()
  devices = parallel.all_devices()
  parallel.check_batch("batch_size", config.batch_size, len(devices))
  workdir = files.workdir(workdir)
  results_file = None if quiet else "summary.json"
  finished = workdir_lib.check(workdir, config, results_file)
  if finished is not None:
    return finished
  with processes.reraise_everywhere():
    task = problem.load(config)
  with Lock(workdir):
    # Checks again, now that no other command can be writing.
    workdir_lib.claim(workdir, config, task.facts())
    loop = Loop(config, workdir, task, devices, began)
    title = f"{config.dataset} {config.variant} {config.arch}"
    console = console or Console(loop.steps, title, quiet=quiet)
    with console, signals.deferred() as stop:
      loop.restore(console)
      loop.train(console, stop)
    summary = loop.summary()
    if config.plots and processes.is_first():
      curves.draw(loop.rows, workdir / "curves.png", title)
    # Last: its presence says that the run is finished.
    files.write_json(workdir / "summary.json", summary)
    results.show(console, summary, task, workdir)
  return summary

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
from rethinking.training import metrics, optim, parallel, placement
from rethinking.training import summary as results
from rethinking.training import task as task_lib
from rethinking.training import workdir as workdir_lib
from rethinking.training.journal import Journal
from rethinking.training.loop import Loop
from rethinking.training.slots import Slots


def run(
  config: ConfigDict,
  workdir: str | pathlib.Path,
  *,
  quiet: bool = False,
  console: Console | None = None,
  keep_params: bool = True,
) -> dict[str, Any]:
  """Trains one model and leaves everything that was seen in `workdir`.

  Continues where an earlier call with the same config and workdir ended, to
  the same bits as if it had never been interrupted.

  Args:
    config: from a config file or `rethinking.config.default`.
    workdir: a folder, made if it is not there; local or gs://.
    quiet: print nothing.
    console: shows the run's progress; None: one of its own.
    keep_params: whether to leave the model that `trained.load` reads.

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
  devices = placement.all_devices()
  parallel.check_batch("batch_size", config.batch_size, len(devices))
  workdir = files.workdir(workdir)
  results_file = None if quiet else "summary.json"
  finished = workdir_lib.check(workdir, config, results_file)
  if finished is not None:
    return finished
  with processes.reraise_everywhere():
    task = task_lib.load(config)
  title = f"{config.dataset} {config.variant} {config.arch}"
  summary = {}

  def start(name: str) -> Journal:
    return Journal(
      name, config, task, workdir, console, began, keep_params=keep_params
    )

  def finish(one: Journal, diverged: int | None) -> None:
    del diverged
    summary.update(results.finish(one, devices, slots.num_parameters))

  with Lock(workdir):
    # Checks again, now that no other command can be writing.
    workdir_lib.claim(workdir, config, task.facts())
    slots = Slots(config, task, devices)
    steps = optim.epoch_end(
      config.epochs, len(task.train.rows), config.batch_size
    )
    log, bar = metrics.shown("log"), metrics.shown("bar")
    console = console or Console(steps, title, log, bar, quiet=quiet)
    loop = Loop(
      slots,
      [title],
      start,
      workdir / "checkpoints",
      finish,
      alone=True,
      workdir=workdir,
    )
    with (
      backend.shared_programs(workdir / "programs"),
      console,
      signals.deferred() as stop,
    ):
      loop.run(1, stop)
    results.show(console, summary, task, workdir)
  return summary

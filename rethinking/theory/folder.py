"""The workdir of an experiment: locked, and finished only once."""

import pathlib
import time
from collections.abc import Callable
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking.runtime import backend, signals
from rethinking.storage import files
from rethinking.storage.lock import Lock
from rethinking.theory import config as theory_config
from rethinking.training import workdir as workdir_lib

Say = Callable[[str], None]


def run_once(
  config: ConfigDict,
  workdir: str | pathlib.Path,
  prepare: Callable[[ConfigDict], Any],
  experiment: Callable[[ConfigDict, epath.Path, Any, Say], dict[str, Any]],
  *,
  quiet: bool,
) -> dict[str, Any]:
  """Runs an experiment in its folder, unless its summary is there already.

  Args:
    config: of the experiment, with overrides; resolved, it is written to
      config.json first.
    workdir: made if it is not there, locked meanwhile.
    prepare: returns what a resolved config is run on, before anything is
      written.
    experiment: of the resolved config, the folder, what `prepare` returned and
      a function that prints; returns the summary but for its `wall_seconds`.
      summary.json is written last.
    quiet: print nothing.

  Returns:
    The summary as JSON holds it.

  Raises:
    UserError: the config cannot be run, the folder is in use or holds a run of
      another config.
    KeyboardInterrupt: a signal came before, and was swallowed.
  """
  began = time.monotonic()
  say = (lambda _: None) if quiet else print
  config = theory_config.resolve(config)
  backend.configure(compilation_cache=config.compilation_cache)
  workdir = files.workdir(workdir)
  prepared = prepare(config)
  with Lock(workdir):
    finished = workdir_lib.check(workdir, config)
    if finished is not None:
      say(f"Finished already: {workdir / 'summary.json'} has the results.")
      return finished
    signals.end_if_asked()
    workdir_lib.begin(workdir, config)
    summary = experiment(config, workdir, prepared, say)
    summary |= backend.numerics()
    summary["wall_seconds"] = time.monotonic() - began
    workdir_lib.finish(workdir, summary)
    return workdir_lib.read_json(workdir / "summary.json")

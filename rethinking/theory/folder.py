"""The workdir of an experiment: locked, and finished only once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking import signals, writers
from rethinking import workdir as workdir_lib


def run_once(
  config: ConfigDict,
  workdir: epath.Path,
  experiment: Callable[[], dict[str, Any]],
  *,
  quiet: bool,
) -> dict[str, Any]:
  """Runs an experiment in its folder, unless its summary is there already.

  Args:
    config: resolved; written to config.json first.
    workdir: made if it is not there, locked meanwhile.
    experiment: returns the summary; summary.json is written last.
    quiet: print nothing.

  Returns:
    The summary as JSON holds it.

  Raises:
    UserError: the folder is in use or holds a run of another config.
    KeyboardInterrupt: a signal came before, and was swallowed.
  """
  with writers.Lock(workdir):
    finished = workdir_lib.check(workdir, config)
    if finished is not None:
      if not quiet:
        print(f"Finished already: {workdir / 'summary.json'} has the results.")
      return finished
    signals.end_if_asked()
    writers.write_json(workdir / "config.json", config_lib.plain(config))
    writers.write_json(workdir / "summary.json", experiment())
    return workdir_lib.read_json(workdir / "summary.json")

"""What lies in a workdir already, and whether a run may go on there."""

from __future__ import annotations

import functools
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking import files, processes
from rethinking.errors import UserError


def check(workdir: epath.Path, config: ConfigDict) -> dict[str, Any] | None:
  """Checks that what is in a workdir belongs to this config.

  Args:
    workdir: the folder; it need not be there.
    config: resolved.

  Returns:
    The summary of a finished run with the same config, else None.

  Raises:
    UserError: if it holds a run of another config.
  """
  return processes.first(functools.partial(_check, workdir, config))


def _check(workdir: epath.Path, config: ConfigDict) -> dict[str, Any] | None:
  kept = workdir / "config.json"
  if kept.exists():
    different = config_lib.differences(
      read_json(kept), config_lib.plain(config)
    )
    if different:
      raise UserError(
        f"{workdir} holds a run of another config ({'; '.join(different)}); "
        "give another workdir, or the config of that run."
      )
  done = workdir / "summary.json"
  return read_json(done) if done.exists() else None


def read_json(path: epath.Path) -> dict[str, Any]:
  """Reads a JSON object of a workdir.

  Args:
    path: the file.

  Raises:
    UserError: if it is not one.
  """
  try:
    return files.read_json(path)
  except ValueError as error:
    raise UserError(
      f"{path} is damaged ({error}); give another workdir, or delete this one."
    ) from error

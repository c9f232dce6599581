"""What a workdir holds already, and whether a run may continue there."""

from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking.runtime import processes
from rethinking.runtime.errors import UserError
from rethinking.storage import files, reading


def check(
  workdir: epath.Path,
  config: ConfigDict,
  results: str | None = None,
  anew: Sequence[str] = (),
) -> dict[str, Any] | None:
  """Checks that what is in a workdir belongs to this config.

  Args:
    workdir: the folder; it need not be there.
    config: resolved.
    results: the file to name where the run is finished; None: print nothing.
    anew: fields that ask more of a finished run where they are others.

  Returns:
    The summary of a finished run with the same config, else None.

  Raises:
    UserError: if it holds a run of another config.
  """

  def find() -> dict[str, Any] | None:
    kept = workdir / "config.json"
    new = config_lib.plain(config)
    old = read_json(kept) if kept.exists() else new
    different = config_lib.differences(old, new)
    if different:
      raise UserError(
        f"{workdir} holds a run of another config ({'; '.join(different)}); "
        "give another workdir, or the config of that run."
      )
    done = workdir / "summary.json"
    old = config_lib.recorded(old)
    asked = any(old[name] != new[name] for name in anew)
    return read_json(done) if done.exists() and not asked else None

  found = processes.on_first(find)
  if found is not None and results is not None:
    print(f"Finished already: {workdir / results} has the results.")
  return found


def claim(
  workdir: epath.Path, config: ConfigDict, facts: dict[str, Any]
) -> None:
  """Writes config.json and corruption.json, unless others are there already.

  Args:
    workdir: the folder; it is there.
    config: resolved.
    facts: of the data, from `Task.facts`.

  Raises:
    UserError: if it holds a run of another config, or on other data; nothing
      was written.
  """
  check(workdir, config)
  processes.on_first(lambda: _check_data(workdir, facts))
  files.write_json(workdir / "config.json", config_lib.plain(config))
  files.write_json(workdir / "corruption.json", facts)


def _check_data(workdir: epath.Path, facts: dict[str, Any]) -> None:
  kept = workdir / "corruption.json"
  old = read_json(kept) if kept.exists() else facts
  # Runs of earlier versions don't have those of the test set.
  of_test = {key: facts[key] for key in facts if key.startswith("test_")}
  different = other_data(of_test | old, facts)
  if different:
    raise UserError(
      f"{workdir} holds a run on other {' and '.join(different)} (SHA-256 in "
      "corruption.json); give the data_dir of that run, or another workdir."
    )


def other_data(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """Returns which parts of the data differ, such as "test images".

  Args:
    old: of a corruption.json.
    new: from `Task.facts`.
  """
  return [
    part.replace("_", " ")
    for part in ("labels", "images", "test_labels", "test_images")
    if old.get(f"{part}_sha256") != new[f"{part}_sha256"]
  ]


def read_json(path: epath.Path) -> dict[str, Any]:
  """Reads a JSON object of a workdir.

  Args:
    path: the file.

  Raises:
    UserError: if it is not one.
  """
  try:
    return reading.read_json(path)
  except ValueError as error:
    raise UserError(
      f"{path} is damaged ({error}); give another workdir, or delete this one."
    ) from error

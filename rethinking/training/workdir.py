"""What a workdir holds already, and whether a run may continue there."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking.config import records
from rethinking.corruptions.additions import added
from rethinking.runtime import processes
from rethinking.runtime.errors import UserError
from rethinking.storage import checksums, files, reading

# What a summary is made of, and what it is said to be of.
_SUMMED = (
  "config.json",
  "corruption.json",
  "metrics.jsonl",
  "results.jsonl",
  "model.npz",
)


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
    kept, done = workdir / "config.json", workdir / "summary.json"
    new = described(config)
    if done.exists() and not kept.exists():
      raise UserError(
        f"{workdir} must have a config.json beside its summary.json, got none; "
        "try to restore it, or another workdir."
      )
    old = read_json(kept) if kept.exists() else new
    different = records.differences(old, new)
    if different:
      raise UserError(
        f"{workdir} must hold a run of this config or none, got another config "
        f"({'; '.join(different)}); try another workdir, or the config of that "
        "run."
      )
    old = records.recorded(old)
    if not done.exists() or any(old[name] != new[name] for name in anew):
      return None
    check_sums(workdir)
    return read_json(done)

  found = processes.on_first(find)
  if found is not None and results is not None:
    print(f"Finished already: {workdir / results} has the results.")
  return found


def check_sums(workdir: epath.Path) -> None:
  """Refuses a finished run whose files are not those that it left.

  Args:
    workdir: of a run or a sweep, by any version.

  Raises:
    UserError: if one of them is another or gone.
  """
  if not checksums.exist(workdir):
    warnings.warn(
      f"{workdir} has no {checksums.NAME}, as in earlier versions: whether its "
      "numbers are those of its run is not known.",
      stacklevel=2,
    )
  elif damage := checksums.damage(workdir):
    raise UserError(
      f"{workdir} {damage}: it is not as the run left it; restore it, or "
      "delete summary.json to have it made again."
    )


def begin(workdir: epath.Path, config: ConfigDict) -> None:
  """Writes config.json; what a finished call left is finished no more.

  Args:
    workdir: the folder; it is there.
    config: resolved.
  """
  if processes.is_first():
    for name in ("summary.json", checksums.NAME):
      (workdir / name).unlink(missing_ok=True)
  files.write_json(workdir / "config.json", described(config))


def finish(workdir: epath.Path, summary: Mapping[str, Any]) -> None:
  """Writes summary.json, last: it says that all is there.

  Args:
    workdir: the folder.
    summary: JSON-able.
  """
  if processes.is_first():
    data = files.json_bytes(summary)
    checksums.write(workdir, _SUMMED, {"summary.json": data})
  files.write_json(workdir / "summary.json", summary)


def described(config: ConfigDict) -> dict[str, Any]:
  """Returns what config.json holds: a config, and how JAX is set to compute.

  Where it names rows that config files registered, also these files' SHA-256.

  Args:
    config: resolved.
  """
  # JAX comes with it.
  from rethinking.runtime import backend

  # JAX's own settings are not named, as in earlier versions.
  set_by_user = {k: v for k, v in backend.numerics().items() if v}
  if config.get("matmul_precision"):
    # Which counts instead of JAX's.
    set_by_user.pop("jax_default_matmul_precision", None)
  found = records.plain(config) | set_by_user
  extensions = added({*_strings(found)})
  return found | ({"extensions": extensions} if extensions else {})


def _strings(value: Any) -> Iterator[str]:
  """The strings in JSON."""
  if isinstance(value, str):
    yield value
  elif isinstance(value, Mapping | list):
    each = value.values() if isinstance(value, Mapping) else value
    for one in each:
      yield from _strings(one)


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
  begin(workdir, config)
  files.write_json(workdir / "corruption.json", facts)


def _check_data(workdir: epath.Path, facts: dict[str, Any]) -> None:
  kept = workdir / "corruption.json"
  old = read_json(kept) if kept.exists() else facts
  # Runs of earlier versions don't have those of the test set.
  of_test = {key: facts[key] for key in facts if key.startswith("test_")}
  different = other_data(of_test | old, facts)
  if different:
    raise UserError(
      f"{workdir} must hold a run on these data or none, got one on other "
      f"{' and '.join(different)} (SHA-256 in corruption.json); try the "
      "data_dir of that run, or another workdir."
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
  except (OSError, ValueError) as error:
    reason = getattr(error, "strerror", None) or error
    raise UserError(
      f"{path} is damaged ({reason}); give another workdir, or delete this one."
    ) from error

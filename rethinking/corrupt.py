"""Writes a config's corrupted data set to a folder, for any framework.

  python -m rethinking.corrupt --out=DIR \\
      --config=configs/cifar.py:partial_labels,p=0.4
  python -m rethinking.corrupt --verify=DIR \\
      --config=configs/cifar.py:partial_labels,p=0.4

DIR gets labels.npz (id, true_label, given_label, changed), the same as
labels.csv, images.npy and test_images.npy where pixels change, report.json,
transitions.png and examples.png. --verify computes all of it again and
compares. Exit codes: 0 finished, 1 a difference, 2 refused input.
"""

from __future__ import annotations

import csv
import io
import json
import pathlib
import sys
from typing import Any

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from rethinking import cli, files
from rethinking.corruptions import archives
from rethinking.errors import UserError

_OUT = flags.DEFINE_string("out", None, "Folder to write to.")
_VERIFY = flags.DEFINE_string("verify", None, "Folder to compare with.")

LABELS, TABLE, REPORT = "labels.npz", "labels.csv", "report.json"
TRANSITIONS, EXAMPLES = "transitions.png", "examples.png"
_COLUMNS = ("id", "true_label", "given_label", "changed")


def write(config: ConfigDict, out: str | pathlib.Path) -> dict[str, Any]:
  """Corrupts the data set of a config and writes it with its report.

  Args:
    config: from a config file, not yet resolved.
    out: the folder, made if it is missing; its files are replaced.

  Returns:
    The report.

  Raises:
    UserError: for a config that is refused, or a folder that can't be written.
  """
  from rethinking import corruptions, writers

  config, task, facts = _corrupt(config)
  out = pathlib.Path(out)
  columns = _columns(task)
  try:
    out.mkdir(parents=True, exist_ok=True)
    np.savez(out / LABELS, **columns)
    (out / TABLE).write_bytes(_csv(columns))
    for name, images in _images(config, task).items():
      np.save(out / name, images)
  except OSError as error:
    raise UserError(
      f"{str(out)!r} can't be written: {error.strerror}; give another folder."
    ) from error
  title = _title(config, task)
  corruptions.draw_transitions(
    out / TRANSITIONS,
    np.array(task.report["transition_counts"]),
    task.class_names,
    title,
  )
  corruptions.draw_examples(
    out / EXAMPLES,
    before=_original_images(config, len(columns["id"])),
    after=np.asarray(task.train.images),
    true_labels=columns["true_label"],
    labels=columns["given_label"],
    ids=columns["id"],
    class_names=task.class_names,
    title=title,
  )
  # Last: a folder with a report is a whole one.
  writers.write_json(out / REPORT, facts)
  return facts


def verify(config: ConfigDict, folder: str | pathlib.Path) -> list[str]:
  """Computes a config's corrupted data again and compares it with a folder.

  Args:
    config: from a config file, not yet resolved.
    folder: that `write` made.

  Returns:
    One line for each difference; empty if there is none. Pictures aren't
    compared: fonts differ between machines.

  Raises:
    UserError: for a config that is refused, or a folder that isn't there.
  """
  folder = pathlib.Path(folder)
  if not folder.is_dir():
    raise UserError(
      f"There is no folder {str(folder)!r}; write one with --out first."
    )
  config, task, facts = _corrupt(config)
  columns = _columns(task)
  found = _compare_labels(folder / LABELS, columns)
  found += _compare_bytes(folder / TABLE, _csv(columns))
  for name, images in _images(config, task).items():
    found += _compare_images(folder / name, images)
  return found + _compare_report(folder / REPORT, facts)


def _corrupt(config: ConfigDict) -> tuple[ConfigDict, Any, dict[str, Any]]:
  """The resolved config, the problem, and everything that is to be said."""
  # Imported here: --help and a mistyped config should not wait for JAX.
  from rethinking import config as config_lib
  from rethinking import corruptions, problem

  config = config_lib.resolve(config)
  task = problem.load(config)
  facts = {
    "dataset": config.dataset,
    "variant": config.variant,
    "crop": _crop(config, task),
    "source": task.source,
    **task.report,
  }
  if _pixels_change(task):
    ids, images = (np.asarray(a) for a in (task.test.ids, task.test.images))
    facts["test_images_sha256"] = corruptions.fingerprint(ids, images)
  return config, task, facts


def _pixels_change(task: Any) -> bool:
  return any(c["target"] == "images" for c in task.report["corruptions"])


def _crop(config: ConfigDict, task: Any) -> int:
  """Pixels a side of the centre crop in the written images; 0: none."""
  return config.crop if _pixels_change(task) else 0


def _columns(task: Any) -> dict[str, np.ndarray]:
  ids, given = (np.asarray(a) for a in (task.train.ids, task.train.labels))
  changed = given != task.true_labels
  return dict(
    zip(_COLUMNS, (ids, task.true_labels, given, changed), strict=True)
  )


def _images(config: ConfigDict, task: Any) -> dict[str, np.ndarray]:
  if not _pixels_change(task):
    return {}
  return {
    "images.npy": np.asarray(task.train.images),
    "test_images.npy": np.asarray(task.test.images),
  }


def _original_images(config: ConfigDict, count: int) -> np.ndarray:
  """The train images as they were, cropped as the corrupted ones are."""
  from rethinking import config as config_lib
  from rethinking import data, step

  images = data.load(
    config.dataset, "train", data_dir=config.data_dir, cache=config.data_cache
  ).images[:count]
  if any(c.target == "images" for c in config_lib.corruptions(config)):
    images = step.centre_crop(images, config.crop)
  return images


def _csv(columns: dict[str, np.ndarray]) -> bytes:
  text = io.StringIO()
  table = csv.writer(text, lineterminator="\n")
  table.writerow(columns)
  table.writerows(
    zip(*(c.astype(int).tolist() for c in columns.values()), strict=True)
  )
  return text.getvalue().encode()


def _title(config: ConfigDict, task: Any) -> str:
  rate = 100 * task.report["flip_rate"]
  return (
    f"{config.dataset}, {config.variant}, seed {config.corruption_seed}: "
    f"{rate:.1f} % of {task.report['num_examples']:,} labels wrong"
  )


def _compare_labels(
  path: pathlib.Path, columns: dict[str, np.ndarray]
) -> list[str]:
  if not path.is_file():
    return [f"{path.name} is missing"]
  # Twice what is compared leaves room for wider types and archive headers.
  most = 2 * sum(c.nbytes for c in columns.values()) + 2**20
  try:
    stored = archives.read_npz(path, columns, most_bytes=most)
  except ValueError as error:
    return [f"{path.name} is damaged: {error}"]
  found = []
  for name, values in columns.items():
    if name not in stored:
      found.append(f"{path.name} has no {name}")
    elif (stored[name].shape, stored[name].dtype) != (
      values.shape,
      values.dtype,
    ):
      found.append(
        f"{path.name}: {name} is {_kind(stored[name])}, computed "
        f"{_kind(values)}"
      )
    elif (stored[name] != values).any():
      row = np.flatnonzero(stored[name] != values)
      found.append(
        f"{path.name}: {name} differs in {len(row)} of {len(values)} rows, "
        f"first for id {columns['id'][row[0]]}: {stored[name][row[0]]}, "
        f"computed {values[row[0]]}"
      )
  return found


def _compare_bytes(path: pathlib.Path, computed: bytes) -> list[str]:
  if not path.is_file():
    return [f"{path.name} is missing"]
  with path.open("rb") as file:
    stored = file.read(len(computed) + 1)
  if stored == computed:
    return []
  lines = zip(stored.split(b"\n"), computed.split(b"\n"), strict=False)
  for number, (one, other) in enumerate(lines, 1):
    if one != other:
      return [
        f"{path.name}: line {number} is {_short(one.decode(errors='replace'))},"
        f" computed {other.decode()!r}"
      ]
  size = path.stat().st_size
  return [f"{path.name} has {size} bytes, computed {len(computed)}"]


def _compare_images(path: pathlib.Path, computed: np.ndarray) -> list[str]:
  if not path.is_file():
    return [f"{path.name} is missing"]
  try:
    stored = archives.map_npy(path)
  except ValueError as error:
    return [f"{path.name} is damaged: {error}"]
  if (stored.shape, stored.dtype) != (computed.shape, computed.dtype):
    return [f"{path.name} is {_kind(stored)}, computed {_kind(computed)}"]
  wrong = sum(
    int((stored[i : i + 1000] != computed[i : i + 1000]).any((1, 2, 3)).sum())
    for i in range(0, len(computed), 1000)
  )
  return [f"{path.name}: {wrong} images differ"] if wrong else []


def _compare_report(path: pathlib.Path, facts: dict[str, Any]) -> list[str]:
  """Differences in anything but where and how the data was read."""
  if not path.is_file():
    return [f"{path.name} is missing"]
  try:
    stored = files.read_json(path)
  except ValueError as error:
    return [f"{path.name} is damaged: {error}"]
  computed = json.loads(json.dumps(facts))
  return [
    f"{path.name}: {name if name in computed else _short(name)} is "
    f"{_short(stored.get(name))}, computed {_short(computed.get(name))}"
    for name in sorted(({*stored, *computed}) - {"source"})
    if stored.get(name) != computed.get(name)
  ]


def _kind(array: np.ndarray) -> str:
  return f"{array.dtype} of shape {list(array.shape)}"


def _short(value: Any) -> str:
  """A value from a file as a piece of one line."""
  text = repr(value)
  return text if len(text) <= 200 else f"{text[:200]}..."


def main(config: ConfigDict) -> int:
  """Writes or verifies; returns the exit code."""
  if (_OUT.value is None) == (_VERIFY.value is None):
    raise UserError("Give one of --out=DIR and --verify=DIR.")
  if _OUT.value is not None:
    facts = write(config, _OUT.value)
    print(
      f"{_OUT.value}: {facts['num_examples']} examples of {facts['dataset']}, "
      f"{facts['labels_changed']} labels changed "
      f"({100 * facts['flip_rate']:.2f} %), "
      f"{facts['images_changed'] or 0} images changed; labels SHA-256 "
      f"{facts['labels_sha256']}"
    )
    return cli.FINISHED
  found = verify(config, _VERIFY.value)
  for line in found:
    print(f"differs: {line}", file=sys.stderr)
  if not found:
    print(f"{_VERIFY.value}: the same")
  return cli.FAILED if found else cli.FINISHED


if __name__ == "__main__":
  cli.run(main)

"""Computes a config's corrupted data again and compares it with a folder."""

import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking.corruptions import array_files
from rethinking.exports import contents
from rethinking.runtime.errors import UserError
from rethinking.storage import files, reading

_MOST_SUMS = 2**16  # Bytes; a line a file.


def verify(config: ConfigDict, folder: str | os.PathLike) -> list[str]:
  """Computes a config's corrupted data again and compares it with a folder.

  Pictures and where the data was read are compared with SHA256SUMS only:
  fonts and folders differ between machines.

  Args:
    config: from a config file, not yet resolved.
    folder: that `write` made.

  Returns:
    One line for each file that differs, naming it; empty if none does.

  Raises:
    UserError: for a config that is refused, or a folder that isn't there.
  """
  config = config_lib.resolve(config)
  folder = pathlib.Path(files.local(folder, "--verify"))
  if not folder.is_dir():
    raise UserError(
      f"--verify must be a folder, got {str(folder)!r}, which is not there; "
      f"try --out={folder} first."
    )
  expected = contents.compute(config)
  comparisons = {
    contents.LABELS: (_compare_labels, expected.columns),
    contents.TABLE: (_compare_bytes, expected.csv()),
    **{name: (_compare_images, x) for name, x in expected.images.items()},
    contents.REPORT: (_compare_report, expected.facts),
  }
  found = []
  for name, (compare, computed) in comparisons.items():
    if not (folder / name).is_file():
      found.append(f"{name} is missing")
      continue
    try:
      found += compare(folder / name, computed)
    except (OSError, ValueError) as error:
      found.append(f"{name} is damaged: {error}")
  for name in (contents.IMAGES, contents.TEST_IMAGES):
    if name not in comparisons and os.path.lexists(folder / name):
      # Whoever reads the folder would take them for these labels'.
      found.append(f"{name} is of another config: no pixels change in this one")
  named = {line.partition(" ")[0].rstrip(":") for line in found}
  return found + _compare_sums(folder, expected.names(), named)


def _compare_sums(
  folder: pathlib.Path, names: list[str], named: set[str]
) -> list[str]:
  """Files that aren't as they were written, but for those named already."""
  path = folder / contents.SUMS
  if not path.is_file():
    return [f"{path.name} is missing: the folder was not written to its end"]
  try:
    stored = reading.read(path, _MOST_SUMS).split(b"\n")
  except (OSError, ValueError) as error:
    return [f"{path.name} is damaged: {error}"]
  found, lines = [], []
  listed = {line.partition(b"  ")[2] for line in stored}
  pictures = (*contents.TRANSITIONS, *contents.EXAMPLES)
  for name in names:
    known = name.encode() in listed or (folder / name).exists()
    if name in pictures and not known:
      # An earlier version drew no SVG.
      continue
    sha, wrong = "", "missing"
    if (folder / name).is_file():
      wrong = f"not as {path.name} says"
      try:
        sha = reading.sha256(folder / name)
      except (OSError, ValueError) as error:
        wrong = f"damaged: {getattr(error, 'strerror', None) or error}"
    lines.append(f"{sha}  {name}".encode())
    if name not in named and lines[-1] not in stored:
      found.append(f"{name} is {wrong}")
  if not found and not named and stored != [*lines, b""]:
    found.append(f"{path.name} is not as it was written")
  return found


def _compare_labels(
  path: pathlib.Path, columns: dict[str, np.ndarray]
) -> Iterator[str]:
  # Twice what is compared leaves room for wider types and archive headers.
  most = 2 * sum(c.nbytes for c in columns.values()) + 2**20
  stored = array_files.read_npz(path, columns, most_bytes=most)
  for name, values in columns.items():
    if name not in stored:
      yield f"{path.name} has no {name}"
    elif (kind := _kind(stored[name])) != _kind(values):
      yield f"{path.name}: {name} is {kind}, computed {_kind(values)}"
    elif (rows := np.flatnonzero(stored[name] != values)).size:
      first = rows[0]
      yield (
        f"{path.name}: {name} differs in {len(rows)} of {len(values)} rows, "
        f"first for id {columns['id'][first]}: {stored[name][first]}, "
        f"computed {values[first]}"
      )


def _compare_bytes(path: pathlib.Path, computed: bytes) -> list[str]:
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
  stored = array_files.map_npy(path)
  if _kind(stored) != _kind(computed):
    return [f"{path.name} is {_kind(stored)}, computed {_kind(computed)}"]
  wrong = sum(
    int((stored[i : i + 1000] != computed[i : i + 1000]).any((1, 2, 3)).sum())
    for i in range(0, len(computed), 1000)
  )
  return [f"{path.name}: {wrong} images differ"] if wrong else []


def _compare_report(path: pathlib.Path, facts: dict[str, Any]) -> list[str]:
  """Differences in anything but where and how the data was read."""
  stored = reading.read_json(path)
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

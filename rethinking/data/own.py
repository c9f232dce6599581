"""The data set "own": from a file, a folder, prepared data or Python arrays."""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import sys
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from rethinking.corruptions import array_files, keys, thresholds
from rethinking.corruptions.checks import check_static_rate
from rethinking.data import checked, folders, label_files, pairs
from rethinking.data.dataset import Dataset
from rethinking.runtime import memory
from rethinking.runtime.errors import UserError
from rethinking.storage import files

_NEEDED = pairs.ARRAYS[:2]
_HELD_PREFIX = "sha256:"
Raw = dict[str, dict[str, Any]]


class Own(NamedTuple):
  """Where a user's data are, as the config says it.

  Attributes:
    data: a path of an .npz file or a folder, "tfds:NAME", or "sha256:..." of
      arrays that `holding` holds.
    labels: of a CSV file, or None.
    resize: pixels a side of a folder's images, or None.
    test_fraction: of one set, the share that is the test set, or None.
  """

  data: str | None
  labels: str | None = None
  resize: int | None = None
  test_fraction: float | None = None


def of(config: Any) -> Own | None:
  """Returns where a config's own data are; None for a built-in set.

  Args:
    config: of any experiment, resolved or not.

  Raises:
    UserError: for fields of own data without `dataset=own`.
  """
  found = Own(*(config[field] for field in Own._fields))
  if config.dataset != "own":
    given = [f for f in Own._fields if config[f] is not None]
    if given:
      raise UserError(
        f"{given[0]} must be left out with dataset={config.dataset}, got "
        f"{config[given[0]]!r}; try configs/own.py."
      )
    return None
  return found


# The pair that was read last, which runs beside each other share.
_LAST: dict[Any, pairs.Pair] = {}
_HELD: dict[str, pairs.Pair] = {}
_LOCK = threading.RLock()


def pair(
  own: Own | None,
  data_dir: str | os.PathLike[str] | None = None,
  cache: bool = True,
) -> pairs.Pair:
  """Returns a user's train and test set, checked against each other.

  Identical images in both, or with different labels, are warned about.

  Args:
    own: where they are.
    data_dir: folder of prepared TFDS data, of "tfds:NAME".
    cache: whether to keep decoded images in the user's cache folder.

  Raises:
    UserError: in one line, for whatever can't be used.
  """
  if own is None or not own.data:
    raise UserError(
      f"data must say where the data are, got {own and own.data!r}; try "
      "data=FILE.npz, data=FOLDER or data=tfds:NAME."
    )
  with _LOCK:
    if own.data in _HELD:
      return _HELD[own.data]
    if own.data.startswith(_HELD_PREFIX):
      raise UserError(
        f"data must be arrays that this program holds, got {own.data!r} of "
        "another; try rethinking.run(config, workdir, train=..., test=...)."
      )
    key = (own, data_dir, cache, *map(_stamp, Own._fields, own[:2]))
    if key not in _LAST:
      _LAST.clear()
      _LAST[key] = _read(own, data_dir, cache)
    return _LAST[key]


@contextlib.contextmanager
def holding(train: Dataset, test: Dataset) -> Iterator[str]:
  """Holds arrays of a Python program; yields what the config calls them.

  Args:
    train: from `Dataset.from_arrays` or its like.
    test: likewise.

  Yields:
    The value of `data`, by which other arrays are told from these.
  """
  for name, one in (("train", train), ("test", test)):
    if not isinstance(one, Dataset):
      raise UserError(
        f"{name} must be a Dataset, got a {type(one).__name__}; try "
        "rethinking.data.Dataset.from_arrays(images, labels)."
      )
  found = pairs.together(train, test, "")
  both = "".join(one.identity for one in found)
  name = _HELD_PREFIX + hashlib.sha256(both.encode()).hexdigest()
  with _LOCK:
    _HELD[name] = found
  try:
    yield name
  finally:
    with _LOCK:
      _HELD.pop(name, None)


def config_of(config: Any, name: str) -> Any:
  """Returns a config whose data are those that are held.

  Args:
    config: of any experiment; not changed.
    name: what `holding` yielded.
  """
  found = type(config)(config.to_dict())
  for field in Own._fields[1:]:
    if config[field] is not None:
      raise UserError(
        f"{field} must be left out where train= and test= are given, got "
        f"{config[field]!r}; try it on the arrays."
      )
  found.update(dict.fromkeys(Own._fields) | {"dataset": "own", "data": name})
  return found


def _stamp(name: str, path: str | None) -> Any:
  """What tells that a file was changed, or a folder of data."""
  if path is None or path.startswith("tfds:"):
    return None
  place = pathlib.Path(files.local(path, name))
  if name == "data" and place.is_dir():
    return folders.stamp(place)
  try:
    seen = place.stat()
  except OSError:
    return None
  return seen.st_size, seen.st_mtime_ns


def _read(own: Own, data_dir: Any, cache: bool) -> pairs.Pair:
  note = ""
  path = pathlib.Path(files.local(own.data, "data"))
  if own.data.startswith("tfds:"):
    from rethinking.data import tfds

    raw, note = tfds.read(own.data, data_dir, own.resize, cache)
  elif path.is_dir():
    raw, note = folders.read(path, own.resize, cache)
  elif own.resize is not None:
    raise UserError(
      f"data must be a folder of images where resize is given, got "
      f"{own.data!r}; try without resize."
    )
  else:
    raw = _read_npz(path)
  if own.labels is not None:
    first = raw["train"] if "train" in raw else raw["all"]
    with _named(own):
      changed = label_files.replace(first, own.labels)
    print(
      f"note: {changed} of {len(first['images'])} labels are others by "
      f"labels={own.labels}.",
      file=sys.stderr,
    )
  if "all" not in raw:
    if own.test_fraction is not None:
      raise UserError(
        f"test_fraction must be left out where {own.data} has a test set, got "
        f"{own.test_fraction}; try without it."
      )
    return pairs.together(
      *(_dataset(raw[s], own) for s in ("train", "test")), note
    )
  whole = _dataset(raw["all"], own)
  if own.test_fraction is None:
    raise UserError(
      f"test_fraction must say how much of one set is the test set, got none "
      f"for {len(whole.ids)} examples of {own.data}; try test_fraction=0.2."
    )
  try:
    check_static_rate(own.test_fraction, "test_fraction")
  except ValueError as error:
    raise UserError(str(error)) from error
  key = keys.named_key(keys.root_key(0), "test_fraction")
  tested = thresholds.select(key, whole.ids, own.test_fraction, exact=False)
  if tested.all() or not tested.any():
    raise UserError(
      f"test_fraction must leave examples on both sides, got "
      f"{own.test_fraction}, which makes {int(tested.sum())} of {len(tested)} "
      "the test set; try 0.2."
    )
  print(
    f"note: {int(tested.sum())} of {len(tested)} examples are the test set "
    f"(test_fraction={own.test_fraction}).",
    file=sys.stderr,
  )
  return pairs.together(
    *(_rows(whole, part) for part in (~tested, tested)), note
  )


def _dataset(raw: dict[str, Any], own: Own) -> Dataset:
  with _named(own):
    return Dataset.from_arrays(
      **{name: raw.get(name) for name in (*pairs.ARRAYS, "class_names")}
    )


@contextlib.contextmanager
def _named(own: Own) -> Iterator[None]:
  """Says of which data an error is: `labels` is a config's field, too."""
  try:
    yield
  except UserError as error:
    raise UserError(f"{own.data}: {error}") from error


def _rows(whole: Dataset, rows: np.ndarray) -> Dataset:
  found = {name: getattr(whole, name) for name in ("names", *pairs.ARRAYS)}
  return dataclasses.replace(
    whole, **{k: None if v is None else v[rows] for k, v in found.items()}
  )


def _read_npz(path: pathlib.Path) -> Raw:
  """Arrays of an .npz file, by split; headers first."""
  if not path.is_file():
    raise UserError(
      f"data must be an .npz file, a folder or tfds:NAME, got {str(path)!r}, "
      "which is not there; try another path."
    )
  try:
    there = array_files.npz_headers(path)
    splits = {"": "all"}
    if not {*_NEEDED} <= {*there}:
      splits = {"train_": "train", "test_": "test"}
    elif {"train_images", "test_images"} & {*there}:
      raise ValueError(
        f"{path} must have one set or two, got images beside train_images or "
        "test_images; try the one or the others alone."
      )
    needed = {prefix + name for prefix in splits for name in _NEEDED}
    if "train_given_labels" in there:
      needed.remove("train_labels")
    if not needed <= {*there}:
      raise ValueError(
        f"{path} must have images and labels, or train_images, train_labels, "
        f"test_images and test_labels, got {', '.join(sorted(there)[:10])}; try"
        " np.savez_compressed with these names."
      )
    for prefix in splits:
      checked.check_kind(*there[f"{prefix}images"])
    room = memory.available_bytes()
    names = {prefix + name for prefix in splits for name in pairs.ARRAYS}
    arrays = array_files.read_npz(
      path, {*names, "class_names"}, most_bytes=room
    )
  except ValueError as error:
    raise UserError(f"data={path}: {error}") from error
  classes = arrays.get("class_names")
  return {
    split: {name: arrays.get(prefix + name) for name in pairs.ARRAYS}
    | {"class_names": classes}
    for prefix, split in splits.items()
  }

"""A folder of class folders with images, as arrays."""

import concurrent.futures
import functools
import hashlib
import itertools
import os
import pathlib
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rethinking.data import checked, pictures
from rethinking.runtime.errors import UserError
from rethinking.storage import reading

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_SHOWN = 5
_LAYOUT = "root/CLASS/IMAGE or root/train/CLASS/IMAGE and root/test/CLASS/IMAGE"


class _File(NamedTuple):
  """An image: its path below the root, with `/`, and its class."""

  path: str
  label: str


def read(
  root: pathlib.Path, resize: int | None, cache: bool
) -> tuple[dict[str, dict[str, np.ndarray]], str]:
  """Returns the arrays of a folder of class folders.

  Args:
    root: the folder: of class folders, or of `train` and `test` with them.
    resize: pixels a side; None: the images have one size.
    cache: whether to keep the decoded images in the user's cache folder.

  Returns:
    Images, labels, ids and class_names of "train" and "test", or of "all";
    how the images were stored. An id is the file's name where names are
    distinct in the whole folder, else the path below it.

  Raises:
    UserError: for a folder without classes, with files of another kind or
      links to outside, and as `pictures.decode`.
  """
  splits = _splits(root)
  files = [file for split in splits.values() for file in split]
  names = sorted({file.label for file in [*splits.values()][0]})
  # As ids are made of them: a name's accents may be letters of their own.
  plain = functools.partial(unicodedata.normalize, "NFC")
  known = {*map(plain, names)}
  other = sorted({f.label for f in files if plain(f.label) not in known})
  if other:
    raise UserError(
      f"{root}/test must have the classes of {root}/train, got {other[0]!r} "
      "too; try train images of it, or remove it."
    )
  if len(names) > checked.MOST_CLASSES:
    raise UserError(
      f"{root} must have at most {checked.MOST_CLASSES} class folders, got "
      f"{len(names)}; try {_LAYOUT}."
    )
  paths = [file.path for file in files]
  short = [path.rpartition("/")[2] for path in paths]
  distinct = {*map(plain, short)}
  ids = short if len(distinct) == len(short) else paths
  images, words = pictures.cached(
    os.path.realpath(root),
    _fingerprint(root, paths) if cache else None,
    resize,
    lambda: pictures.decode(
      paths, lambda place: (root / paths[place]).open("rb"), resize
    ),
  )
  place = {plain(name): label for label, name in enumerate(names)}
  found, start = {}, 0
  for split, own in splits.items():
    rows = slice(start, start + len(own))
    found[split] = {
      "images": images[rows],
      "labels": np.array([place[plain(f.label)] for f in own], np.int32),
      "ids": np.array(ids[rows]),
      "class_names": names,
    }
    start = rows.stop
  return found, words


def stamp(root: pathlib.Path) -> str:
  """Returns what changes when a file of the folder does: sizes and times.

  Args:
    root: the folder.

  Raises:
    UserError: as `read`, for a folder of another kind.
  """
  digest = hashlib.sha256()
  for file in itertools.chain(*_splits(root).values()):
    try:
      seen = (root / file.path).stat()
    except OSError:
      continue  # Which is named where it is read.
    about = (file.path, seen.st_size, seen.st_mtime_ns)
    digest.update(repr(about).encode())
  return digest.hexdigest()


def _splits(root: pathlib.Path) -> dict[str, list[_File]]:
  folders, _ = _entries(root, root)
  if not {"train", "test"} & {*folders}:
    return {"all": _classes(root, "", folders)}
  if sorted(folders) != ["test", "train"]:
    alone = f"data={root}/train,test_fraction=0.2"
    raise UserError(
      f"{root} must hold train and test alone, or class folders, got "
      f"{folders}; try {alone if folders == ['train'] else _LAYOUT}."
    )
  return {
    split: _classes(root, f"{split}/", _entries(root / split, root)[0])
    for split in ("train", "test")
  }


def _classes(
  root: pathlib.Path, prefix: str, folders: Sequence[str]
) -> list[_File]:
  if not folders:
    raise UserError(
      f"{root / prefix} must have a folder for each class, got none; try "
      f"{_LAYOUT}."
    )
  found, other = [], []
  for label in folders:
    inner, files = _entries(root / prefix / label, root)
    paths = [f"{prefix}{label}/{name}" for name in files]
    found += [_File(p, label) for p in paths if p.lower().endswith(_SUFFIXES)]
    other += [p for p in paths if not p.lower().endswith(_SUFFIXES)]
    other += [f"{prefix}{label}/{name}/" for name in inner]
  if other:
    raise UserError(
      f"{root} must have PNG, JPEG and WebP images alone in its class folders, "
      f"got {len(other)} other: {', '.join(other[:_SHOWN])}; remove or convert "
      "them."
    )
  empty = sorted({*folders} - {file.label for file in found})
  if empty and prefix != "test/":
    # Left out, it would change the other classes' numbers without a word.
    raise UserError(
      f"{root / prefix / empty[0]} must have images, got none; try to fill it, "
      "or to remove it."
    )
  if not found:
    raise UserError(f"{root / prefix} must have images, got none; {_LAYOUT}.")
  return found


def _entries(
  folder: pathlib.Path, root: pathlib.Path
) -> tuple[list[str], list[str]]:
  """Folders and files in it, sorted, hidden ones left out."""
  inside = os.path.realpath(root)
  folders, files = [], []
  try:
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
  except OSError as error:
    raise _unreadable(error, folder) from error
  for entry in entries:
    if entry.name.startswith("."):
      continue
    if entry.is_symlink():
      target = os.path.realpath(entry.path)
      if os.path.commonpath([inside, target]) != inside:
        raise UserError(
          f"{entry.path} must be in the folder, got a link to {target}; copy "
          "what it links to."
        )
    try:
      entry.name.encode()
    except UnicodeEncodeError:
      raise UserError(
        f"A file must be named in UTF-8, got {entry.path!r}; rename it."
      ) from None
    try:
      if not entry.is_dir() and not entry.is_file() and entry.stat():
        raise UserError(
          f"{entry.path} must be an image or a folder, got a FIFO or a device; "
          "remove it."
        )
      (folders if entry.is_dir() else files).append(entry.name)
    except OSError as error:  # Of a link that leads nowhere, or to itself.
      raise _unreadable(error, folder) from error
  return folders, files


def _fingerprint(root: pathlib.Path, paths: Sequence[str]) -> str:
  """The SHA-256 of the images and their paths."""

  def summed(path: str) -> str:
    try:
      return reading.sha256(root / path)
    except ValueError as error:
      raise UserError(
        f"{root / path} must be an image, got {error}; remove it."
      ) from error

  try:
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
      sums = [*pool.map(summed, paths)]
  except OSError as error:
    raise _unreadable(error, root) from error
  lines = [f"{p} {s}" for p, s in zip(paths, sums, strict=True)]
  return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _unreadable(error: OSError, root: pathlib.Path) -> UserError:
  what = "again, or another folder"
  if isinstance(error, PermissionError):
    what = f"`chmod -R u+rX {root}`"
  place = error.filename or root
  return UserError(
    f"{place} must be readable, got {error.strerror}; try {what}."
  )

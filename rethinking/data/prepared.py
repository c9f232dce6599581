"""Finds and describes datasets that TFDS has prepared as array_record."""

import dataclasses
import hashlib
import os
import pathlib
import re

from rethinking.data import registry
from rethinking.runtime.errors import UserError
from rethinking.storage import files, reading

_FORMAT = "array_record"
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_INFO = "dataset_info.json"
_LABELS = "label.labels.txt"
_LARGEST_TEXT = 2**20  # Bytes; the real files hold a few thousand.


@dataclasses.dataclass(frozen=True)
class Source:
  """One prepared split on disk.

  Attributes:
    name: dataset name.
    version: TFDS version, such as `3.0.2`.
    split: "train" or "test".
    folder: the folder of this version.
    files: the split's files, in order.
    examples: number of examples in all of them.
    class_names: one name per class.
    spec: what its examples look like.
  """

  name: str
  version: str
  split: str
  folder: pathlib.Path
  files: tuple[pathlib.Path, ...]
  examples: int
  class_names: tuple[str, ...]
  spec: registry.Spec


def root(data_dir: str | os.PathLike[str] | None) -> pathlib.Path:
  """Returns the folder of prepared datasets, by TFDS's own rules.

  Args:
    data_dir: the folder, or None for `TFDS_DATA_DIR`, else
      `~/tensorflow_datasets`.

  Returns:
    An absolute path, which need not exist.

  Raises:
    UserError: if it names an object store.
  """
  given = os.fspath(
    data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
  )
  return pathlib.Path(files.local(given, "data_dir")).absolute()


def find(name: str, root: pathlib.Path) -> pathlib.Path | None:
  """Returns the newest prepared version's folder, or None where there is none.

  Args:
    name: a name of `registry.SPECS` with a builder.
    root: the folder of prepared datasets.

  Raises:
    UserError: if it is prepared only in a format that needs TensorFlow, or
      its description is damaged.
  """
  try:
    folders = [
      folder
      for folder in (root / name).iterdir()
      if re.fullmatch(r"\d+\.\d+\.\d+", folder.name)
      and os.path.lexists(folder / _INFO)
    ]
  except (FileNotFoundError, NotADirectoryError):
    return None
  except OSError as error:
    raise UserError(
      f"Cannot look for {name} in {root} ({error}); make it readable or name"
      " another data_dir."
    ) from error
  folders.sort(key=lambda f: [int(n) for n in f.name.split(".")], reverse=True)
  for folder in folders:
    if _info(folder).get("fileFormat") == _FORMAT:
      return folder
  if folders:
    stored = _info(folders[0]).get("fileFormat")
    raise UserError(
      f"{folders[0]} must hold {name} as {_FORMAT!r}, which needs no "
      f"TensorFlow, got {stored!r}; try to prepare it in another folder with "
      f"`python -m rethinking.data {name} --data_dir=DIR`."
    )
  return None


def describe(name: str, split: str, folder: pathlib.Path) -> Source:
  """Returns the description of a prepared split, checked for completeness.

  Args:
    name: a name of `registry.SPECS` with a builder.
    split: "train" or "test".
    folder: what `find` returned.

  Raises:
    UserError: if files are missing or the description contradicts itself.
  """
  spec = registry.SPECS[name]
  info = _info(folder)
  try:
    (entry,) = (s for s in info["splits"] if s["name"] == split)
    lengths = [int(length) for length in entry["shardLengths"]]
    if info["name"] != name or info["version"] != folder.name:
      raise ValueError(f"it describes {info['name']} {info['version']}")
    if entry.get("filepathTemplate", _TEMPLATE) != _TEMPLATE:
      raise ValueError(f"unknown file names {entry['filepathTemplate']!r}")
    if not 0 < sum(lengths) < 2**31 or min(lengths) < 0:
      raise ValueError(f"impossible shard lengths {lengths}")
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise damaged(folder, f"{_INFO}: {error!r}") from error
  stem, count = f"{name}-{split}.{_FORMAT}", len(lengths)
  shards = [folder / f"{stem}-{i:05d}-of-{count:05d}" for i in range(count)]
  for file in shards:
    if not file.is_file():
      raise damaged(folder, f"{file.name} is missing")
  for file in folder.iterdir():
    # TFDS reads them as they are, and would wait for the end of a FIFO.
    small = _FORMAT not in file.name
    if not file.is_file() or small and file.stat().st_size > _LARGEST_TEXT:
      raise damaged(folder, f"{file.name} is no file, or too large")
  examples, class_names = sum(lengths), _class_names(folder, spec.num_classes)
  return Source(
    name, folder.name, split, folder, tuple(shards), examples, class_names, spec
  )


def fingerprint(source: Source) -> str:
  """Returns the SHA-256 of all that decides the arrays, as 64 hex digits.

  Args:
    source: what `describe` returned.
  """
  described = [str(source.examples), *source.class_names]
  digest = hashlib.sha256("\n".join(described).encode())
  try:
    for file in source.files:
      digest.update(bytes.fromhex(reading.sha256(file)))
  except (OSError, ValueError) as error:
    raise damaged(source.folder, str(error)) from error
  return digest.hexdigest()


def _info(folder: pathlib.Path) -> dict:
  """The dataset's description, as TFDS wrote it."""
  try:
    return reading.loads(reading.read(folder / _INFO, _LARGEST_TEXT))
  except (OSError, ValueError) as error:
    raise damaged(folder, f"{_INFO}: {error}") from error


def _class_names(folder: pathlib.Path, num_classes: int) -> tuple[str, ...]:
  """The names TFDS stored, or the class numbers where it stored none."""
  try:
    text = reading.read(folder / _LABELS, _LARGEST_TEXT).decode()
  except FileNotFoundError:
    return tuple(str(label) for label in range(num_classes))
  except (OSError, ValueError) as error:
    raise damaged(folder, f"{_LABELS}: {error}") from error
  names = tuple(text.splitlines())
  if len(names) != num_classes or len({*names}) != num_classes:
    raise damaged(folder, f"{_LABELS} holds {len({*names})} names")
  return names


def damaged(folder: pathlib.Path, reason: str) -> UserError:
  """Returns the error for prepared data that cannot be used.

  Args:
    folder: the folder of the prepared version, ROOT/NAME/VERSION.
    reason: what is wrong with it.
  """
  name = folder.parent.name
  reason = " ".join(reason.split())  # TFDS's own messages have many lines.
  return UserError(
    f"The prepared {name} in {folder} is damaged ({reason}); delete that"
    f" folder and run `python -m rethinking.data {name}"
    f" --data_dir={folder.parents[1]}`."
  )

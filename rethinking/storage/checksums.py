"""SHA-256 checksums of a folder's files, kept in the folder."""

import os
from collections.abc import Iterator

from etils import epath

from rethinking.storage import files, reading

_NAME = "sha256.json"


def _files(folder: epath.Path) -> Iterator[epath.Path]:
  for path in folder.iterdir():
    if path.is_dir():
      yield from _files(path)
    else:
      yield path


def _of(folder: epath.Path) -> dict[str, str]:
  """SHA-256 of each file in `folder` but the checksums, by relative path."""
  names = {os.path.relpath(path, folder): path for path in _files(folder)}
  names.pop(_NAME, None)
  return {name: reading.sha256(path) for name, path in sorted(names.items())}


def write(folder: epath.Path) -> None:
  """Writes the checksums of the folder's files into it, whole or not at all.

  Args:
    folder: of finished files, at any depth.

  Raises:
    OSError: they could not be written.
  """
  files.replace(folder / _NAME, files.dumps(_of(folder)).encode())


def exist(folder: epath.Path) -> bool:
  """Whether the folder has checksums: it was finished, if not always intact.

  Args:
    folder: a checkpoint's folder; it need not exist.
  """
  return (folder / _NAME).exists()


def damage(folder: epath.Path) -> str | None:
  """Compares the folder's files with its checksums.

  Args:
    folder: a checkpoint's folder.

  Returns:
    What is wrong, as the end of a sentence, or None where all are intact.
  """
  if not exist(folder):
    return "was not finished"
  try:
    expected = reading.read_json(folder / _NAME)
  except ValueError:
    expected = None
  if not expected:
    return f"has a damaged {_NAME}"
  found = _of(folder)
  for name, digest in expected.items():
    if name not in found:
      return f"lacks the file {name}"
    if found[name] != digest:
      return f"has a damaged file {name}"
  return None

"""SHA-256 checksums of a folder's files, kept in the folder."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping

from etils import epath

from rethinking.storage import files, reading

NAME = "sha256.json"


def paths(folder: epath.Path) -> Iterator[epath.Path]:
  """Yields a folder's files, at any depth.

  Args:
    folder: of a checkpoint or a run.
  """
  for path in folder.iterdir():
    if path.is_dir():
      yield from paths(path)
    else:
      yield path


def write(
  folder: epath.Path,
  names: Iterable[str] | None = None,
  future: Mapping[str, bytes] | None = None,
) -> None:
  """Writes the checksums of the folder's files into it, whole or not at all.

  Args:
    folder: of finished files, at any depth.
    names: of those to sum, relative to it, as far as they are there; None: all.
    future: the content of files that are written next, by name.

  Raises:
    OSError: they could not be written.
  """
  if names is None:
    names = (os.path.relpath(path, folder) for path in paths(folder))
  sums = {
    name: reading.sha256(folder / name)
    for name in sorted(names)
    if name != NAME and (folder / name).exists()
  }
  for name, data in (future or {}).items():
    sums[name] = hashlib.sha256(data).hexdigest()
  files.replace(folder / NAME, files.dumps(sums).encode())


def exist(folder: epath.Path) -> bool:
  """Whether the folder has checksums: it was finished, if not always intact.

  Args:
    folder: of a checkpoint or a run; it need not exist.
  """
  return (folder / NAME).exists()


def damage(folder: epath.Path) -> str | None:
  """Compares the folder's files with its checksums.

  Args:
    folder: of a checkpoint or a run.

  Returns:
    What is wrong, as the end of a sentence, or None where all are intact.
  """
  if files.is_link(folder):
    return "is a link"
  if not exist(folder):
    return "was not finished"
  try:
    expected = reading.read_json(folder / NAME)
  except (OSError, ValueError):
    expected = None
  if not expected:
    return f"has a damaged {NAME}"
  for name, digest in expected.items():
    shown = name if name.isprintable() else repr(name)
    try:
      if reading.sha256(folder / name) != digest:
        return f"has a damaged file {shown}"
    except FileNotFoundError:
      return f"lacks the file {shown}"
    except (OSError, ValueError) as error:
      reason = getattr(error, "strerror", None) or error
      return f"has a damaged file {shown} ({reason})"
  return None

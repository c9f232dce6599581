"""Writes a config's corrupted data to a folder."""

import contextlib
import os
import pathlib
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking import corruptions
from rethinking.exports import contents as contents_lib
from rethinking.exports.contents import Contents
from rethinking.runtime.errors import UserError
from rethinking.storage import files, reading


def write(config: ConfigDict, out: str | os.PathLike) -> dict[str, Any]:
  """Corrupts the data set of a config and writes it with its report.

  Each file is replaced whole. SHA256SUMS goes first and comes last, so a
  folder that has it is whole, whatever ended an earlier command.

  Args:
    config: from a config file, not yet resolved.
    out: the folder, made if it is missing; its files of these names are
      replaced, other ones stay.

  Returns:
    The report.

  Raises:
    UserError: for a config that is refused, or a folder that can't be written.
  """
  config = config_lib.resolve(config)
  if not files.is_local(out):
    raise UserError(f"--out is {str(out)!r}; give a folder of this machine.")
  folder = pathlib.Path(out)
  with _refused(folder):
    folder.mkdir(parents=True, exist_ok=True)
    # Before the work: whether files can be made there.
    tempfile.TemporaryFile(dir=folder).close()
  contents = contents_lib.compute(config)
  with _refused(folder):
    _write_all(contents, folder)
  return contents.facts


@contextlib.contextmanager
def _refused(folder: pathlib.Path) -> Iterator[None]:
  try:
    yield
  except OSError as error:
    raise UserError(
      f"{str(folder)!r} can't be written: {error.strerror or error}; give "
      "another folder or make room."
    ) from error


def _write_all(contents: Contents, folder: pathlib.Path) -> None:
  stale = (contents_lib.SUMS, contents_lib.IMAGES, contents_lib.TEST_IMAGES)
  for name in stale:
    # Images of an earlier command would pass for these labels'.
    (folder / name).unlink(missing_ok=True)
  columns = contents.columns

  save = {
    contents_lib.LABELS: lambda file: _save_npz(file, columns),
    contents_lib.TABLE: lambda file: file.write(contents.csv()),
    contents_lib.TRANSITIONS: lambda file: corruptions.draw_transitions(
      file,
      np.array(contents.facts["transition_counts"]),
      contents.task.class_names,
      contents.title(),
    ),
    contents_lib.EXAMPLES: lambda file: corruptions.draw_examples(
      file,
      before=contents.original_images(),
      after=np.asarray(contents.task.train.images),
      true_labels=columns["true_label"],
      labels=columns["given_label"],
      ids=columns["id"],
      class_names=contents.task.class_names,
      title=contents.title(),
    ),
    contents_lib.REPORT: lambda file: file.write(
      (files.dumps(contents.facts, indent=2) + "\n").encode()
    ),
    **{
      name: lambda file, images=images: np.save(file, images)
      for name, images in contents.images.items()
    },
  }
  for name in contents.names():
    files.save(folder / name, save[name])
  sums = "".join(
    f"{reading.sha256(folder / name)}  {name}\n" for name in contents.names()
  )
  files.replace(folder / contents_lib.SUMS, sums.encode())


def _save_npz(file: BinaryIO, columns: dict[str, np.ndarray]) -> None:
  """As np.savez, but without the time of day: the same bytes every time."""
  with zipfile.ZipFile(file, "w") as archive:
    for name, values in columns.items():
      with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
        np.lib.format.write_array(member, values, allow_pickle=False)

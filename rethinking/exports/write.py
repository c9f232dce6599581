"""Writes a config's corrupted data to a folder."""

import functools
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking import corruptions
from rethinking.exports import contents
from rethinking.storage import files, plots, reading


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
  own = (contents.LABELS, contents.TABLE, contents.REPORT, *contents.PICTURED)
  folder = make_folder(out, own)
  found = contents.compute(config)
  with files.refused("--out", folder):
    _write_all(found, folder)
  return found.facts


def make_folder(out: str | os.PathLike, names: Iterable[str]) -> pathlib.Path:
  """Makes a folder to export to, before the work: none shall be in vain.

  Args:
    out: of this machine.
    names: of the files it will get; which are there already is said.

  Raises:
    UserError: if files can't be made there.
  """
  folder = pathlib.Path(files.local(out, "--out"))
  with files.refused("--out", folder):
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()
    there = [name for name in names if (folder / name).exists()]
  if there:
    print(
      f"note: {folder} has {', '.join(there)} already; they will be replaced "
      "or removed.",
      file=sys.stderr,
    )
  return folder


def write_sums(folder: pathlib.Path, names: Iterable[str]) -> None:
  """Writes SHA256SUMS, last: it says that all is there.

  Args:
    folder: of the files.
    names: theirs, as far as they are there.
  """
  sums = "".join(
    f"{reading.sha256(folder / name)}  {name}\n"
    for name in names
    if (folder / name).exists()
  )
  files.replace(folder / contents.SUMS, sums.encode())


def _write_all(found: contents.Contents, folder: pathlib.Path) -> None:
  for name in (contents.SUMS, *contents.PICTURED):
    # Those of an earlier command would pass for these labels'.
    (folder / name).unlink(missing_ok=True)
  task, columns, title = found.task, found.columns, found.title()
  files.replace(folder / contents.LABELS, files.npz_bytes(columns))
  files.replace(folder / contents.TABLE, found.csv())
  for name, images in found.images.items():
    files.save(folder / name, functools.partial(np.save, arr=images))
  draw = functools.partial(
    corruptions.draw_transitions,
    counts=np.array(found.facts["transition_counts"]),
    class_names=task.class_names,
    title=title,
  )
  _draw(folder, contents.TRANSITIONS, draw)
  draw = functools.partial(
    corruptions.draw_examples,
    before=found.original_images(),
    after=task.train.images,
    true_labels=columns["true_label"],
    labels=columns["given_label"],
    ids=task.train.ids,
    class_names=task.class_names,
    title=title,
  )
  _draw(folder, contents.EXAMPLES, draw)
  files.write_json(folder / contents.REPORT, found.facts)
  write_sums(folder, found.names())


def _draw(
  folder: pathlib.Path, names: Sequence[str], draw: Callable[..., None]
) -> None:
  for name in names:
    form = name.rpartition(".")[2]
    with plots.drawing(name):
      files.save(folder / name, functools.partial(draw, form=form))

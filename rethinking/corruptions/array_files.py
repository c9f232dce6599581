"""Arrays in files that others made: bounded, checked, never a pickle."""

import io
import math
import os
import pathlib
import stat
import zipfile
from collections.abc import Collection
from typing import BinaryIO

import numpy as np

# Names of an archive that an error shows.
_MOST_NAMES = 10


def read_npz(
  path: str | os.PathLike[str], names: Collection[str], *, most_bytes: int
) -> dict[str, np.ndarray]:
  """Reads arrays of an .npz file.

  Args:
    path: of the file.
    names: of the arrays to read.
    most_bytes: what the file may unpack to, all arrays together.

  Returns:
    Those of the names that are there.

  Raises:
    ValueError: in one line, for a file that is damaged or too large, or holds
      Python objects or an array of another size than its header says.
  """
  path = os.fspath(path)
  try:
    size = _size(path)
    with zipfile.ZipFile(path) as archive:
      # What it says it unpacks to; no more than that is ever read.
      size = max(size, sum(i.file_size for i in archive.infolist()))
      if size <= most_bytes:
        there = {i.filename: i for i in archive.infolist()}
        return {
          name: _array(archive, there[f"{name}.npy"])
          for name in names
          if f"{name}.npy" in there
        }
  # Bytes that were made to confuse a parser make it raise anything.
  except Exception as error:
    raise ValueError(
      f"{path!r} can't be read as .npz: {_line(error)}; fetch it again."
    ) from error
  raise ValueError(
    f"{path!r} must unpack to at most {most_bytes} bytes, got {size}; try "
    "fewer arrays."
  )


def npz_headers(
  path: str | os.PathLike[str],
) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
  """Returns shape and type of each array of an .npz file, unpacking none.

  Args:
    path: of the file.

  Raises:
    ValueError: in one line, for a file that is damaged or holds Python objects
      or an array of another size than its header says.
  """
  found = {}
  try:
    with zipfile.ZipFile(path) as archive:
      for member in archive.infolist():
        with archive.open(member) as file:
          shape, dtype, _ = _header(file, member.file_size)
        found[member.filename.removesuffix(".npy")] = (shape, dtype)
  # As in read_npz.
  except Exception as error:
    raise ValueError(
      f"{os.fspath(path)!r} can't be read as .npz: {_line(error)}"
    ) from (error)
  return found


def npz_names(path: str | os.PathLike[str]) -> list[str]:
  """Returns the names of an .npz file's arrays, the first few in order.

  Args:
    path: of a file that `read_npz` could read.
  """
  with zipfile.ZipFile(path) as archive:
    names = [n for n in archive.namelist() if n.endswith(".npy")]
  return [name.removesuffix(".npy") for name in sorted(names)[:_MOST_NAMES]]


def map_npy(path: str | os.PathLike[str]) -> np.ndarray:
  """Opens an .npy file without reading more than its header.

  Args:
    path: of the file.

  Returns:
    The array, read from the file as it is used, read-only.

  Raises:
    ValueError: in one line, for a file that is damaged, holds Python objects
      or has another size than its header says.
  """
  try:
    size = _size(path)
    with pathlib.Path(path).open("rb") as file:
      shape, dtype, order = _header(file, size)
      start = file.tell()
    if 0 in shape:
      return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", start, shape, order)
  except Exception as error:
    raise ValueError(_line(error)) from error


def _size(path: str | os.PathLike[str]) -> int:
  """A file's bytes; opening a FIFO would wait for whoever writes into it."""
  status = pathlib.Path(path).stat()
  if not stat.S_ISREG(status.st_mode):
    raise ValueError("it is not a file")
  return status.st_size


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
  with archive.open(member) as packed:
    # Without a number, zipfile would unpack more than it says before it looks.
    data = packed.read(member.file_size)
  file = io.BytesIO(data)
  shape, dtype, order = _header(file, len(data))
  flat = np.frombuffer(data, dtype, math.prod(shape), file.tell())
  return flat.reshape(shape, order=order)


def _header(file: BinaryIO, size: int) -> tuple[tuple[int, ...], np.dtype, str]:
  """Reads an .npy header; refuses what the file's bytes can't be.

  NumPy evaluates the header as a literal of at most 10,000 characters.
  """
  readers = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
  }
  version = np.lib.format.read_magic(file)
  if version not in readers:
    raise ValueError(f"its version {version} is not one of {[*readers]}")
  shape, fortran, dtype = readers[version](file)
  if dtype.hasobject or not dtype.itemsize:
    raise ValueError(f"it holds {dtype}, which is never loaded")
  left = size - file.tell()
  if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != left:
    raise ValueError(
      f"{left} bytes are no array of type {dtype} and shape {list(shape)}"
    )
  return shape, dtype, "F" if fortran else "C"


def _line(error: Exception) -> str:
  """An error in one line of bounded length."""
  return " ".join(str(error).split())[:200] or type(error).__name__

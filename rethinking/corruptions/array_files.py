"""Arrays in files that others made: bounded, checked, never a pickle."""

import contextlib
import io
import math
import os
import stat
import zipfile
from collections.abc import Collection, Iterator
from typing import BinaryIO

import numpy as np

# Bytes of an archive's list of its arrays, some 80 each.
_MOST_LISTED = 2**22
# Names of an archive that an error shows.
_MOST_NAMES = 10


def read_npz(
  source: str | os.PathLike[str] | bytes,
  names: Collection[str] | None = None,
  *,
  most_bytes: int,
) -> dict[str, np.ndarray]:
  """Reads arrays of an .npz file.

  Args:
    source: the file's path, or what is in it.
    names: of the arrays to read; None: all.
    most_bytes: what the file may unpack to, all arrays together.

  Returns:
    Those of the names that are there.

  Raises:
    ValueError: in one line, for a file that is damaged or too large, or holds
      Python objects or an array of another size than its header says.
  """
  said = "it" if isinstance(source, bytes) else repr(os.fspath(source))
  try:
    with _archive(source) as (archive, size):
      # What it says it unpacks to; no more than that is ever read.
      size = max(size, sum(i.file_size for i in archive.infolist()))
      if size <= most_bytes:
        there = {
          i.filename.removesuffix(".npy"): i
          for i in archive.infolist()
          if i.filename.endswith(".npy")
        }
        return {
          name: _array(archive, there[name])
          for name in (there if names is None else names)
          if name in there
        }
  # Bytes that were made to confuse a parser make it raise anything.
  except Exception as error:
    raise ValueError(
      f"{said} can't be read as .npz: {_line(error)}; fetch it again."
    ) from error
  raise ValueError(
    f"{said} must unpack to at most {most_bytes} bytes, got {size}; try "
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
    with _archive(path) as (archive, _):
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
  with _archive(path) as (archive, _):
    names = [n for n in archive.namelist() if n.endswith(".npy")]
  return [name.removesuffix(".npy") for name in sorted(names)[:_MOST_NAMES]]


def map_npy(
  path: str | os.PathLike[str], *, most_bytes: int | None = None
) -> np.ndarray:
  """Opens an .npy file without reading more than its header.

  Args:
    path: of the file.
    most_bytes: how large it may be; None: any size.

  Returns:
    The array, read from the file as it is used, read-only.

  Raises:
    ValueError: in one line, for a file that is damaged, holds Python objects
      or has another size than its header says; for one that is too large.
  """
  try:
    with _open(path) as file:
      size = _size(file)
      if most_bytes is not None and size > most_bytes:
        raise ValueError(f"it has {size} bytes, more than {most_bytes}")
      shape, dtype, order = _header(file, size)
      start = file.tell()
    if 0 in shape:
      return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", start, shape, order)
  except Exception as error:
    raise ValueError(_line(error)) from error


class _File(io.BufferedReader):
  """A file, of which no more than `most` bytes are read at a time."""

  most: int | None = None

  def read(self, size: int | None = -1) -> bytes:
    if size is None or size < 0:
      size = _size(self) - self.tell()
    if self.most is not None and size > self.most:
      raise ValueError(f"its list of arrays has {size} bytes")
    return super().read(size)


def _size(file: BinaryIO) -> int:
  """Returns a file's bytes; where it is read goes on."""
  here = file.tell()
  size = file.seek(0, os.SEEK_END)
  file.seek(here)
  return size


def _open(path: str | os.PathLike[str]) -> _File:
  """Opens a file; a FIFO would wait for whoever writes into it."""
  number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
  if not stat.S_ISREG(os.fstat(number).st_mode):
    os.close(number)
    raise ValueError("it is not a file")
  return _File(io.FileIO(number))


@contextlib.contextmanager
def _archive(
  source: str | os.PathLike[str] | bytes,
) -> Iterator[tuple[zipfile.ZipFile, int]]:
  """Opens an .npz file in which each array is there once; its bytes, too."""
  file = (
    _File(io.BytesIO(source)) if isinstance(source, bytes) else _open(source)
  )
  with file:
    size = _size(file)
    # zipfile believes what the file says of the size of its list.
    file.most = _MOST_LISTED
    with zipfile.ZipFile(file) as archive:
      file.most = None
      names = [n.removesuffix(".npy") for n in archive.namelist()]
      if len({*names}) < len(names):
        raise ValueError("an array of it is there twice")
      yield archive, size


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

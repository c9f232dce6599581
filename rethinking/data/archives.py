"""Plain readers of the archives that CIFAR and MNIST are distributed in.

Nothing is unpacked to disk, so no member's name can lead out of a folder, and
every read is bounded, so no archive can fill the memory.
"""

import gzip
import io
import math
import os
import pathlib
import tarfile
import zlib
from collections.abc import Collection

import numpy as np

from rethinking.runtime.errors import UserError
from rethinking.storage import reading

_LARGEST = 2**28  # Bytes unpacked; the largest real archive has 2**27.5.
_CIFAR_PIXELS = 32 * 32 * 3
_IDX_UINT8 = 0x08
_BROKEN = (OSError, EOFError, ValueError, zlib.error)


def read_tar(
  path: str | os.PathLike[str], names: Collection[str]
) -> dict[str, bytes]:
  """Returns the named members of a gzipped tar archive.

  Args:
    path: the archive.
    names: full names of regular files in it.

  Raises:
    UserError: if it is damaged or unpacks to more than 256 MiB, or a member is
      missing or is not a regular file.
  """
  contents = {}
  try:
    with tarfile.open(fileobj=_unpacked(path)) as archive:
      for member in archive:
        if member.name not in names:
          continue
        if not member.isreg():
          raise ValueError(f"{member.name} isn't a file")
        contents[member.name] = archive.extractfile(member).read()
  # Bytes that were made to confuse a parser make it raise anything.
  except Exception as error:
    raise _refused(path, error) from error
  missing = sorted(set(names) - set(contents))
  if missing:
    raise _refused(path, f"it lacks {missing}")
  return contents


def _unpacked(path: str | os.PathLike[str]) -> io.BytesIO:
  """What a gzip file holds, read to its end, where gzip's own checksum is."""
  whole = io.BytesIO()
  with gzip.open(path) as file:
    while part := file.read(2**20):
      whole.write(part)
      if whole.tell() > _LARGEST:
        raise ValueError(f"it unpacks to more than {_LARGEST} bytes")
  whole.seek(0)
  return whole


def read_cifar(
  content: bytes, num_labels: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the labels and images of a file in CIFAR's binary layout.

  Each example is `num_labels` bytes of labels and 3,072 bytes of pixels, all
  of red first, then green, then blue.

  Args:
    content: the file's bytes.
    num_labels: 1 for CIFAR-10, 2 (coarse, fine) for CIFAR-100.

  Returns:
    Labels uint8 `[N, num_labels]` and images uint8 `[N, 32, 32, 3]`.

  Raises:
    UserError: if the length is no multiple of an example's.

  Reference:
    Krizhevsky, Learning multiple layers of features from tiny images, 2009.
  """
  row = num_labels + _CIFAR_PIXELS
  if not content or len(content) % row:
    raise UserError(
      f"{len(content)} bytes aren't a whole number of CIFAR examples of {row}"
      " bytes; delete the archive and run again."
    )
  rows = np.frombuffer(content, np.uint8).reshape(-1, row)
  planes = rows[:, num_labels:].reshape(-1, 3, 32, 32)
  return rows[:, :num_labels], np.moveaxis(planes, 1, -1)


def read_idx(path: str | os.PathLike[str], dimensions: int) -> np.ndarray:
  """Returns the uint8 array in a gzipped idx file, MNIST's layout.

  Args:
    path: the file.
    dimensions: 3 for images `[N, H, W]`, 1 for labels `[N]`.

  Raises:
    UserError: if it is damaged, holds another kind of array or more than
      256 MiB.

  Reference:
    LeCun, Cortes and Burges, The MNIST database of handwritten digits, 1998.
  """
  try:
    with gzip.open(path) as file:
      magic = file.read(4)
      if magic != bytes([0, 0, _IDX_UINT8, dimensions]):
        raise ValueError(f"its first bytes are {magic.hex()}")
      sizes = np.frombuffer(file.read(4 * dimensions), ">u4")
      shape = tuple(sizes.reshape(dimensions).tolist())
      size = math.prod(shape)
      if size > _LARGEST:
        raise ValueError(f"an array of shape {shape} is too large")
      content = file.read(size + 1)
  except _BROKEN as error:
    raise _refused(path, error) from error
  if len(content) != size:
    raise _refused(path, f"its header and its length differ, shape {shape}")
  return np.frombuffer(content, np.uint8).reshape(shape)


def check(path: str | os.PathLike[str], sha256: str) -> None:
  """Refuses an archive other than the published one.

  Args:
    path: the archive.
    sha256: of the published one, hex digits.

  Raises:
    UserError: if it is another.
  """
  try:
    found = reading.sha256(path)
  except _BROKEN as error:
    raise _refused(path, error) from error
  if found != sha256:
    raise _refused(path, f"its SHA-256 must be {sha256}, got {found}")


def _refused(path: str | os.PathLike[str], reason: object) -> UserError:
  # A recursion error, say, has no words, and tarfile's may have many lines.
  reason = " ".join(str(reason).split())[:300] or type(reason).__name__
  return UserError(
    f"The archive {pathlib.Path(path).name} cannot be used ({reason}); delete"
    f" {os.fspath(path)} and run again."
  )

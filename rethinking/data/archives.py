"""Plain readers of the archives that CIFAR and MNIST are distributed in.

Nothing is unpacked to disk, so no member's name can lead out of a folder, and
every read is bounded, so no archive can fill the memory.
"""

import gzip
import math
import os
import pathlib
import tarfile
import zlib
from collections.abc import Collection

import numpy as np

from rethinking.runtime.errors import UserError

_LARGEST = 2**28  # Bytes of one member; the largest real one holds 2**27.2.
_CIFAR_PIXELS = 32 * 32 * 3
_IDX_UINT8 = 0x08
_BROKEN = (OSError, EOFError, ValueError, zlib.error, tarfile.TarError)


def read_tar(
  path: str | os.PathLike[str], names: Collection[str]
) -> dict[str, bytes]:
  """Returns the named members of a gzipped tar archive.

  Args:
    path: the archive.
    names: full names of regular files in it.

  Raises:
    UserError: if it is damaged, a member is missing, is not a regular file
      or is larger than 256 MiB.
  """
  contents = {}
  try:
    with tarfile.open(path, "r|gz") as archive:
      for member in archive:
        if member.name not in names:
          continue
        if not member.isreg() or member.size > _LARGEST:
          raise ValueError(f"{member.name} isn't a file of a known size")
        contents[member.name] = archive.extractfile(member).read(member.size)
  except _BROKEN as error:
    raise _refused(path, error) from error
  missing = sorted(set(names) - set(contents))
  if missing:
    raise _refused(path, f"it lacks {missing}")
  return contents


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


def _refused(path: str | os.PathLike[str], reason: object) -> UserError:
  return UserError(
    f"The archive {pathlib.Path(path).name} cannot be used ({reason}); delete"
    f" {os.fspath(path)} and run again."
  )

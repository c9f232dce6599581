"""TFRecord files without TensorFlow: the framing and its checksums."""

import pathlib
import struct

import numpy as np

from rethinking.runtime import memory
from rethinking.storage import reading

_HEAD, _FOOT = struct.Struct("<QI"), struct.Struct("<I")
_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected.


def read(path: pathlib.Path) -> list[bytes]:
  """Returns the records of a file.

  Each is its length, uint64, the length's checksum, the bytes and theirs: a
  CRC-32C, rotated and shifted, all little-endian.

  Args:
    path: of the file.

  Raises:
    OSError: it could not be read.
    ValueError: in one line, where it is cut off, damaged, or larger than the
      free memory.
  """
  data = reading.read(path, memory.available_bytes())
  found, heads, sums, start = [], [], [], 0
  while start < len(data):
    try:
      length, head_sum = _HEAD.unpack_from(data, start)
      end = start + _HEAD.size + length
      (own,) = _FOOT.unpack_from(data, end)
    except struct.error:
      raise ValueError(f"cut off in record {len(found)}") from None
    heads.append(data[start : start + 8])
    found.append(data[start + _HEAD.size : end])
    sums += [head_sum, own]
    start = end + _FOOT.size
  parts = [part for pair in zip(heads, found, strict=True) for part in pair]
  wrong = np.flatnonzero(checksums(parts) != np.array(sums, np.uint32))
  if wrong.size:
    raise ValueError(f"record {wrong[0] // 2} is damaged")
  return found


def checksums(parts: list[bytes]) -> np.ndarray:
  """Returns the masked CRC-32C of each of several byte strings, uint32 [N].

  All at once, a column of bytes after another.

  Args:
    parts: N byte strings.

  >>> hex(checksums([b"123456789"])[0])
  '0xc78ab0e5'
  """
  lengths = np.array([len(part) for part in parts], np.int64)
  # Longest first, so that those which are not done are in front.
  order = np.argsort(-lengths, kind="stable")
  ends = lengths[order]
  flat = np.frombuffer(b"".join(parts), np.uint8)
  starts = (np.cumsum(lengths) - lengths)[order]
  crc = np.full(len(parts), 0xFFFFFFFF, np.uint32)
  active = len(parts)
  for column in range(int(ends[0]) if active else 0):
    while ends[active - 1] <= column:
      active -= 1
    now = crc[:active]
    byte = (now ^ flat[starts[:active] + column]) & np.uint32(0xFF)
    crc[:active] = _TABLE[byte] ^ (now >> np.uint32(8))
  crc = ~crc
  rotated = (crc >> np.uint32(15)) | (crc << np.uint32(17))
  found = np.empty_like(crc)
  found[order] = rotated + np.uint32(0xA282EAD8)
  return found


def _table() -> np.ndarray:
  found = np.arange(256, dtype=np.uint32)
  for _ in range(8):
    low = (found & np.uint32(1)) * np.uint32(_POLYNOMIAL)
    found = (found >> np.uint32(1)) ^ low
  return found


_TABLE = _table()

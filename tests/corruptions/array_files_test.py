"""Array files that somebody made to do harm."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from rethinking.corruptions import array_files


def npy(shape, descr="'<i8'", data=b""):
  """An .npy file whose header says anything."""
  header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
  size = struct.pack("<H", len(header))
  return b"\x93NUMPY\x01\x00" + size + header.encode() + data


def saved(array):
  file = io.BytesIO()
  np.save(file, array, allow_pickle=True)
  return file.getvalue()


BAD = {
  "more than there is": npy("(1000000000000,)"),
  "less than there is": npy("(1,)", data=bytes(16)),
  "a negative size": npy("(-2,)", data=bytes(16)),
  "a size that overflows": npy(f"({2**62}, {2**62}, 4)"),
  "no bytes each": npy("(1000000000000,)", "'|S0'"),
  "Python objects": saved(np.array([{"a": 1}])),
  "objects in a field": npy("(1,)", "[('a', '|O')]", bytes(8)),
  "code": npy("__import__('os').abort()"),
  "nested": npy("(" * 5000),
  "a long header": b"\x93NUMPY\x02\x00"
  + struct.pack("<I", 2**20)
  + bytes(2**20),
  "another version": b"\x93NUMPY\x09\x00" + bytes(100),
  "no array": b"hello",
  "nothing": b"",
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_array_is_refused_in_a_line(tmp_path, what):
  path = tmp_path / "a.npz"
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("x.npy", BAD[what])
  with pytest.raises(ValueError, match=r"a\.npz' can't be read") as caught:
    array_files.read_npz(path, ["x"], most_bytes=2**22)
  assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
  path = tmp_path / "x.npy"
  path.write_bytes(BAD[what])
  with pytest.raises(ValueError) as caught:
    array_files.map_npy(path)
  assert "\n" not in str(caught.value)


def test_arrays_come_back_as_they_were(tmp_path):
  arrays = {
    "a": np.arange(6, dtype=np.int32).reshape(2, 3),
    "b": np.asfortranarray(np.ones((2, 3))),
    "c": np.float32(1.5),
    "d": np.zeros((0, 4), bool),
  }
  np.savez_compressed(tmp_path / "a.npz", **arrays)
  found = array_files.read_npz(
    tmp_path / "a.npz", ["d", "c", "b", "a", "none"], most_bytes=10_000
  )
  assert found.keys() == arrays.keys()
  assert array_files.npz_names(tmp_path / "a.npz") == ["a", "b", "c", "d"]
  for name, array in arrays.items():
    np.save(tmp_path / "x.npy", array)
    for one in (found[name], array_files.map_npy(tmp_path / "x.npy")):
      assert (one.dtype, one.shape) == (array.dtype, array.shape)
      np.testing.assert_array_equal(one, array)


def test_a_flipped_bit_anywhere_is_another_array_for_nobody(tmp_path):
  path = tmp_path / "a.npz"
  array = np.arange(50, dtype=np.int64)
  np.savez(path, x=array)
  data = path.read_bytes()
  for at in range(len(data)):
    path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
    try:
      found = array_files.read_npz(path, ["x"], most_bytes=10_000)
    except ValueError as error:
      assert "\n" not in str(error)
    else:
      # A bit of the archive's own, such as a date or a name.
      assert "x" not in found or (found["x"] == array).all()


def test_a_bomb_is_not_unpacked(tmp_path):
  path = tmp_path / "a.npz"
  size = 2**26
  with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("x.npy", npy(f"({size},)", "'|u1'", bytes(size)))
  data = path.read_bytes()
  assert len(data) < 2**17
  # One that says so, and one that lies.
  entry = data.rindex(b"PK\x01\x02") + 24
  lying = data[:entry] + struct.pack("<I", 1000) + data[entry + 4 :]
  for content in (data, lying):
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match="must unpack to|can't be read"):
      array_files.read_npz(path, ["x"], most_bytes=2**22)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21


def test_what_zip_cannot_open_is_refused_in_a_line(tmp_path):
  path = tmp_path / "a.npz"
  np.savez(path, x=np.arange(3))
  data = path.read_bytes()
  start, entry = data.index(b"PK\x03\x04"), data.rindex(b"PK\x01\x02")
  encrypted = bytearray(data)
  encrypted[start + 6] |= 1
  encrypted[entry + 8] |= 1
  method = bytearray(data)
  method[start + 8] = method[entry + 10] = 99
  for content in (encrypted, method, data[: len(data) // 2], b""):
    path.write_bytes(content)
    with pytest.raises(ValueError, match="can't be read as .npz") as caught:
      array_files.read_npz(path, ["x"], most_bytes=10_000)
    assert "\n" not in str(caught.value)

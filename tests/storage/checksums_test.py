"""Sums of a folder find every change of it."""

import json

from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from rethinking.storage import checksums


def _folder(path):
  folder = epath.Path(path)
  (folder / "deep").mkdir()
  (folder / "a").write_bytes(b"first")
  (folder / "deep" / "b").write_bytes(bytes(range(256)))
  checksums.write(folder)
  return folder


def test_an_untouched_folder_is_whole(tmp_path):
  folder = epath.Path(tmp_path)
  assert not checksums.exist(folder)
  assert checksums.damage(folder) == "was not finished"
  folder = _folder(tmp_path)
  assert checksums.exist(folder) and checksums.damage(folder) is None
  names = json.loads((folder / "sha256.json").read_text())
  assert sorted(names) == ["a", "deep/b"]


def test_every_flipped_bit_is_seen(tmp_path):
  folder = _folder(tmp_path)
  whole = (folder / "deep" / "b").read_bytes()

  @given(st.integers(0, 8 * len(whole) - 1))
  def flip(bit):
    bad = bytearray(whole)
    bad[bit // 8] ^= 1 << bit % 8
    (folder / "deep" / "b").write_bytes(bytes(bad))
    assert checksums.damage(folder) == "has a damaged file deep/b"

  flip()


def test_what_is_missing_is_named(tmp_path):
  folder = _folder(tmp_path)
  (folder / "a").unlink()
  assert checksums.damage(folder) == "lacks the file a"
  (folder / "sha256.json").write_text("[" * 100_000)
  assert checksums.damage(folder) == "has a damaged sha256.json"

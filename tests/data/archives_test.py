import gzip
import io
import tarfile
import tracemalloc

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from rethinking.data import archives
from rethinking.runtime.errors import UserError


def _tar(path, *members):
  with tarfile.open(path, "w:gz") as archive:
    for name, content, kind in members:
      member = tarfile.TarInfo(name)
      member.type = kind
      if kind == tarfile.REGTYPE:
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
      else:
        member.linkname = content.decode()
        archive.addfile(member)
  return path


def _idx(path, shape, content, magic=None):
  magic = magic or bytes([0, 0, 8, len(shape)])
  header = magic + np.array(shape, ">u4").tobytes()
  path.write_bytes(gzip.compress(header + content))
  return path


@hypothesis.given(
  st.sampled_from([1, 2]),
  st_np.arrays(np.uint8, st.tuples(st.integers(1, 3), st.just(3074))),
)
def test_cifar_rows_are_labels_then_red_green_blue(num_labels, rows):
  rows = rows[:, : num_labels + 3072]
  labels, images = archives.read_cifar(rows.tobytes(), num_labels)
  np.testing.assert_array_equal(labels, rows[:, :num_labels])
  for channel in range(3):
    start = num_labels + 1024 * channel
    np.testing.assert_array_equal(
      images[..., channel].reshape(len(rows), -1), rows[:, start : start + 1024]
    )


@pytest.mark.parametrize("size", [0, 3072, 3074])
def test_cifar_of_a_broken_length_is_refused(size):
  with pytest.raises(UserError, match=f"{size} bytes"):
    archives.read_cifar(bytes(size), 1)


@pytest.mark.parametrize("shape", [(3,), (2, 4, 5)])
def test_idx_holds_its_array(shape, tmp_path):
  array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
  path = _idx(tmp_path / "a.gz", shape, array.tobytes())
  np.testing.assert_array_equal(archives.read_idx(path, len(shape)), array)


@pytest.mark.parametrize(
  ("shape", "size", "magic"),
  [
    ((4,), 3, None),
    ((4,), 5, None),
    ((4,), 4, b"\0\0\x0d\1"),  # Floats.
    ((2, 2), 4, None),  # Two dimensions where one is wanted.
  ],
)
def test_idx_that_contradicts_itself_is_refused(shape, size, magic, tmp_path):
  path = _idx(tmp_path / "a.gz", shape, bytes(size), magic)
  with pytest.raises(UserError, match=r"a\.gz cannot be used") as error:
    archives.read_idx(path, 1)
  assert "\n" not in str(error.value)


def test_an_idx_that_claims_four_gigabytes_is_refused(tmp_path):
  path = _idx(tmp_path / "a.gz", (2**32 - 1,), b"four")
  with pytest.raises(UserError, match="too large"):
    archives.read_idx(path, 1)


def test_an_idx_bomb_does_not_fill_the_memory(tmp_path):
  path = _idx(tmp_path / "a.gz", (10,), bytes(2**26))
  tracemalloc.start()
  with pytest.raises(UserError):
    archives.read_idx(path, 1)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert peak < 2**23


@pytest.mark.parametrize("kept", [0, 1, 9, 30, -9, -1])
def test_a_truncated_archive_is_refused(kept, tmp_path):
  path = _idx(tmp_path / "a.gz", (50,), bytes(range(50)))
  path.write_bytes(path.read_bytes()[:kept])
  with pytest.raises(UserError, match=r"a\.gz cannot be used"):
    archives.read_idx(path, 1)
  path = _tar(tmp_path / "b.gz", ("x", bytes(range(256)) * 9, tarfile.REGTYPE))
  path.write_bytes(path.read_bytes()[: kept if kept >= 0 else kept - 150])
  with pytest.raises(UserError, match=r"b\.gz cannot be used"):
    archives.read_tar(path, ["x"])


def test_tar_returns_exactly_the_members_asked_for(tmp_path):
  path = _tar(
    tmp_path / "a.tar.gz",
    ("d/x", b"one", tarfile.REGTYPE),
    ("d/y", b"two", tarfile.REGTYPE),
    ("d/z", b"", tarfile.REGTYPE),
  )
  assert archives.read_tar(path, ["d/x", "d/z"]) == {"d/x": b"one", "d/z": b""}
  with pytest.raises(UserError, match=r"lacks \['d/w'\]"):
    archives.read_tar(path, ["d/x", "d/w"])


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_in_place_of_a_file_is_refused(kind, tmp_path):
  secret = tmp_path / "secret"
  secret.write_bytes(b"secret")
  path = _tar(tmp_path / "a.tar.gz", ("d/x", str(secret).encode(), kind))
  with pytest.raises(UserError, match="d/x isn't a file"):
    archives.read_tar(path, ["d/x"])


def test_members_that_lead_out_of_the_folder_lead_nowhere(
  tmp_path, monkeypatch
):
  inside = tmp_path / "inside"
  inside.mkdir()
  monkeypatch.chdir(inside)
  path = _tar(
    inside / "a.tar.gz",
    ("../escaped", b"bad", tarfile.REGTYPE),
    (str(tmp_path / "absolute"), b"bad", tarfile.REGTYPE),
    ("x", b"good", tarfile.REGTYPE),
  )
  assert archives.read_tar(path, ["x"]) == {"x": b"good"}
  assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.tar.gz", "inside"]


def test_a_tar_bomb_is_refused_before_it_is_read(tmp_path, monkeypatch):
  monkeypatch.setattr(archives, "_LARGEST", 99)
  path = _tar(tmp_path / "a.tar.gz", ("x", bytes(100), tarfile.REGTYPE))
  with pytest.raises(UserError, match="unpacks to more than 99 bytes"):
    archives.read_tar(path, ["x"])

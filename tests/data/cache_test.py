import json
import warnings

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from refusals import full_disk_of

from rethinking.data import cache
from rethinking.data.arrays import Arrays
from rethinking.runtime import paths
from rethinking.storage import reading

_SOURCE = "5" * 64


def _arrays(count=4):
  rng = np.random.default_rng(0)
  return Arrays(
    images=rng.integers(0, 256, (count, 3, 3, 1), dtype=np.uint8),
    labels=rng.integers(0, 10, count, dtype=np.int32),
    ids=np.arange(count, dtype=np.uint32),
    encoding="PNG",
  )


def _assert_equal(first, second):
  for name in ("images", "labels", "ids"):
    one, other = getattr(first, name), getattr(second, name)
    assert one.dtype == other.dtype
    np.testing.assert_array_equal(one, other)
  assert first.encoding == second.encoding


def test_what_is_stored_is_loaded_without_a_word():
  assert cache.load("k", lambda: _SOURCE) is None
  cache.store("k", _SOURCE, _arrays())
  _assert_equal(cache.load("k", lambda: _SOURCE), _arrays())


def test_the_folder_follows_xdg(monkeypatch, tmp_path):
  assert paths.cache_folder() == tmp_path / "cache/rethinking"
  monkeypatch.setenv("HOME", str(tmp_path))
  for ignored in ("", "relative"):
    monkeypatch.setenv("XDG_CACHE_HOME", ignored)
    assert paths.cache_folder() == tmp_path / ".cache/rethinking"


@hypothesis.given(st.data())
@hypothesis.settings(
  max_examples=60,
  deadline=None,
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_any_damage_is_said_and_mended(data):
  cache.store("k", _SOURCE, _arrays())
  names = ["images.npy", "labels.npy", "ids.npy", "meta.json"]
  path = paths.cache_folder() / "k" / data.draw(st.sampled_from(names))
  content = bytearray(path.read_bytes())
  position = data.draw(st.integers(0, len(content) - 1))
  if data.draw(st.booleans()):
    content[position] ^= 1 << data.draw(st.integers(0, 7))
  else:
    del content[position:]
  path.write_bytes(content)
  with pytest.warns(RuntimeWarning, match="unusable"):
    assert cache.load("k", lambda: _SOURCE) is None
  cache.store("k", _SOURCE, _arrays())
  _assert_equal(cache.load("k", lambda: _SOURCE), _arrays())


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "ids.npy"])
def test_a_missing_file_is_said(name):
  cache.store("k", _SOURCE, _arrays())
  (paths.cache_folder() / "k" / name).unlink()
  with pytest.warns(RuntimeWarning, match=name):
    assert cache.load("k", lambda: _SOURCE) is None


def test_the_cache_of_another_source_is_refused():
  cache.store("k", "6" * 64, _arrays())
  with pytest.warns(RuntimeWarning, match="another source"):
    assert cache.load("k", lambda: _SOURCE) is None


@pytest.mark.parametrize("content", ["[]", "{}", "", "null", '{"checksum": 1}'])
def test_a_meta_of_another_kind_is_refused(content):
  cache.store("k", _SOURCE, _arrays())
  (paths.cache_folder() / "k/meta.json").write_text(content)
  with pytest.warns(RuntimeWarning, match="unusable"):
    assert cache.load("k", lambda: _SOURCE) is None


def test_pickles_are_never_opened():
  cache.store("k", _SOURCE, _arrays())
  entry = paths.cache_folder() / "k"
  np.save(entry / "images.npy", np.array([{"a": 1}]), allow_pickle=True)
  meta = json.loads((entry / "meta.json").read_text())
  meta["sha256"]["images"] = reading.sha256(entry / "images.npy")
  meta["checksum"] = cache._checksum(meta)
  (entry / "meta.json").write_text(json.dumps(meta))
  with pytest.warns(RuntimeWarning, match="Python objects"):
    assert cache.load("k", lambda: _SOURCE) is None


def test_another_layout_is_refused(monkeypatch):
  cache.store("k", _SOURCE, _arrays())
  monkeypatch.setattr(cache, "_LAYOUT", cache._LAYOUT + 1)
  with pytest.warns(RuntimeWarning, match="another version"):
    assert cache.load("k", lambda: _SOURCE) is None


def test_a_cache_that_cannot_be_written_is_done_without(cache_home):
  cache_home.write_text("not a folder")
  with pytest.warns(RuntimeWarning, match="without a cache"):
    cache.store("k", _SOURCE, _arrays())


def test_a_full_disk_leaves_nothing_half_written():
  arrays = _arrays(count=10_000)
  with (
    full_disk_of(20_000),
    warnings.catch_warnings(record=True) as caught,
  ):
    warnings.simplefilter("always")
    cache.store("k", _SOURCE, arrays)
  assert ["without a cache" in str(w.message) for w in caught] == [True]
  assert [p.name for p in (paths.cache_folder() / "k").iterdir()] == ["lock"]
  assert cache.load("k", lambda: _SOURCE) is None


def test_a_second_writer_leaves_it_to_the_first():
  import fcntl

  entry = paths.cache_folder() / "k"
  entry.mkdir(parents=True)
  with (entry / "lock").open("w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    cache.store("k", _SOURCE, _arrays())
  assert [p.name for p in entry.iterdir()] == ["lock"]

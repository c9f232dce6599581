"""What is kept between runs is checked: cache, compiled programs, archives."""

import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
import tracemalloc
import types
import warnings

import damage
import jax
import numpy as np
import pytest
from refusals import alarm, refused

from rethinking.data import archives, cache
from rethinking.data.arrays import Arrays
from rethinking.runtime import backend, cli, output, signals
from rethinking.runtime.errors import UserError
from rethinking.storage import events


@pytest.fixture
def cached(tmp_path, monkeypatch):
  """A cache with an entry; its folder."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  cache.store("k", "5" * 64, _arrays())
  return tmp_path / "cache" / "rethinking"


def _arrays():
  images = np.arange(48, dtype=np.uint8).reshape(4, 3, 4, 1)
  labels, ids = np.arange(4, dtype=np.int32), np.arange(4, dtype=np.uint32)
  return Arrays(images, labels, ids, "PNG")


def _load():
  with alarm(20):
    return cache.load("k", lambda: "5" * 64)


def _reseal(folder, change):
  """Changes meta.json and makes its own sum right."""
  meta = json.loads((folder / "meta.json").read_text())
  change(meta)
  del meta["checksum"]
  text = json.dumps(meta, sort_keys=True)
  meta["checksum"] = hashlib.sha256(text.encode()).hexdigest()
  (folder / "meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize("field", ["sha256", "source", "encoding", "layout"])
@pytest.mark.parametrize("value", [..., None, 3, []])
def test_a_cache_whose_description_lacks_a_field_is_made_again(
  cached, field, value
):
  def change(meta):
    meta[field] = value
    if value is ...:
      del meta[field]

  _reseal(cached / "k", change)
  with pytest.warns(RuntimeWarning, match="unusable .*; it is made again"):
    assert _load() is None
  cache.store("k", "5" * 64, _arrays())
  np.testing.assert_array_equal(_load().images, _arrays().images)


@pytest.mark.parametrize("name", ["meta.json", "images.npy", "ids.npy"])
@pytest.mark.parametrize("kind", damage.DAMAGE)
def test_a_damaged_cache_is_made_again(cached, name, kind):
  damage.DAMAGE[kind](cached / "k" / name)
  if name == "meta.json" and kind in ("gone", "loop", "nowhere"):
    assert _load() is None
  else:
    with pytest.warns(RuntimeWarning, match="unusable"):
      assert _load() is None
  if kind != "folder":
    cache.store("k", "5" * 64, _arrays())
    assert _load() is not None


@pytest.mark.parametrize(
  "images",
  [
    np.zeros((4, 3, 4, 1), np.int8),
    np.zeros((4, 12), np.uint8),
    np.zeros((3, 3, 4, 1), np.uint8),
  ],
)
def test_cached_arrays_are_of_their_type_and_shape(cached, images):
  path = cached / "k" / "images.npy"
  np.save(path, images)
  digest = hashlib.sha256(path.read_bytes()).hexdigest()
  _reseal(cached / "k", lambda meta: meta["sha256"].update(images=digest))
  with pytest.warns(RuntimeWarning, match="unusable"):
    assert _load() is None


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
@pytest.mark.parametrize("name", [".", "k"])
def test_a_cache_that_others_can_write_is_not_used(cached, mode, name):
  assert (cached.stat().st_mode & 0o777) == 0o700
  assert ((cached / "k").stat().st_mode & 0o777) == 0o700
  (cached / name).chmod(mode)
  assert _load() is None
  with pytest.warns(RuntimeWarning, match="writable by you alone, got owner"):
    cache.store("k", "5" * 64, _arrays())
  (cached / name).chmod(0o700)
  assert _load() is not None


def test_a_cache_of_another_user_is_not_used(cached, monkeypatch):
  user = os.geteuid()
  monkeypatch.setattr(os, "geteuid", lambda: user + 1)
  assert _load() is None
  with pytest.warns(RuntimeWarning, match="must be yours"):
    cache.store("k", "5" * 64, _arrays())


def test_programs_are_not_kept_where_others_can_write(cached, monkeypatch):
  before = jax.config.jax_compilation_cache_dir
  jax.config.update("jax_compilation_cache_dir", None)
  try:
    (cached / "xla").mkdir()
    (cached / "xla").chmod(0o777)
    with pytest.warns(UserWarning, match="No cache of compiled programs"):
      backend.configure()
    assert jax.config.jax_compilation_cache_dir is None
    (cached / "xla").rmdir()
    with monkeypatch.context() as other:
      other.setenv("XDG_CACHE_HOME", f"{cached}/\udcff")
      with pytest.warns(UserWarning, match=r"udcff.*be a name in UTF-8"):
        backend.configure()
    assert jax.config.jax_compilation_cache_dir is None
    backend.configure()
    assert jax.config.jax_compilation_cache_dir == str(cached / "xla")
    assert ((cached / "xla").stat().st_mode & 0o777) == 0o700
  finally:
    jax.config.update("jax_compilation_cache_dir", before)


def test_a_damaged_program_is_said_how_to_replace(capsys):
  def act():
    for name in ("_step", "__fun"):
      text = f"persistent compilation cache entry for 'jit{name}': cut off"
      warnings.warn(f"Error reading {text}", stacklevel=1)
    return 0

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(warnings, "showwarning", None)
    patch.setattr(sys, "unraisablehook", sys.unraisablehook)
    patch.setattr(output, "protect", lambda: None)
    patch.setattr(signals, "end_at_once", lambda: None)
    patch.setattr(signals, "ignore", lambda: None)
    # What the user may have chosen.
    folder = types.SimpleNamespace(jax_compilation_cache_dir="/chosen")
    patch.setattr(jax, "config", folder)
    with warnings.catch_warnings(), pytest.raises(SystemExit):
      warnings.simplefilter("always")
      cli.call(act, "")
  [line] = capsys.readouterr().err.splitlines()
  assert line.endswith("compiled anew each time until /chosen is removed")


# Archives.


def _header(kind, size):
  """One tar header that claims so many bytes."""
  member = tarfile.TarInfo("././@LongLink")
  member.type, member.size = kind, size
  return member.tobuf(tarfile.GNU_FORMAT)


def _pax(record):
  data = record.ljust(512, b"\0")
  return _header(tarfile.XHDTYPE, len(record)) + data


@pytest.mark.parametrize(
  "content",
  [
    _header(tarfile.GNUTYPE_LONGNAME, 7 * 2**29) + bytes(2**20),
    (_header(tarfile.GNUTYPE_LONGNAME, 4) + b"name".ljust(512, b"\0")) * 2000,
    _pax(b"100000000000000000000 path=x\n"),
    _pax(b"0 path=x\n"),
    _header(tarfile.GNUTYPE_SPARSE, 2**40),
    _header(tarfile.REGTYPE, 2**62),
    b"",
    bytes(3),
  ],
  ids="longname longnames pax pax0 sparse size empty short".split(),
)
def test_an_archive_made_to_do_harm_is_refused_in_a_line(tmp_path, content):
  path = tmp_path / "a.tar.gz"
  path.write_bytes(gzip.compress(content))
  tracemalloc.start()
  refused(lambda: archives.read_tar(path, ["x"]), "a.tar.gz cannot be used")
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert peak < 2**26


def test_a_long_name_that_is_there_is_not_read_whole(tmp_path, monkeypatch):
  monkeypatch.setattr(archives, "_LARGEST", 2**20)
  path, size = tmp_path / "a.tar.gz", 2**26
  content = _header(tarfile.GNUTYPE_LONGNAME, size) + bytes(size)
  path.write_bytes(gzip.compress(content, 1))
  del content
  tracemalloc.start()
  refused(lambda: archives.read_tar(path, ["x"]), "a.tar.gz cannot be used")
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert peak < 2**24


def _tar(path, content):
  with tarfile.open(path, "w:gz") as archive:
    member = tarfile.TarInfo("x")
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def test_every_flipped_bit_of_an_archive_is_seen(tmp_path):
  path, content = tmp_path / "a.tar.gz", bytes(range(256)) * 20
  _tar(path, content)
  whole = path.read_bytes()
  unread = 0
  # From behind gzip's header, whose time stamp is nobody's.
  for at in range(20, len(whole)):
    data = bytearray(whole)
    data[at] ^= 1
    path.write_bytes(data)
    try:
      # A bit that no reader looks at, as those that fill up the last byte.
      assert archives.read_tar(path, ["x"]) == {"x": content}
      unread += 1
    except UserError as error:
      assert "cannot be used" in str(error)
  assert unread < 9


@pytest.mark.parametrize("kind", ["FIFO", "huge", "device", "loop"])
def test_events_that_cannot_be_read_begin_anew(tmp_path, kind):
  events.Events(tmp_path).append(1, {"a": 1.0})
  [path] = tmp_path.iterdir()
  damage.DAMAGE[kind](path)
  with pytest.warns(UserWarning, match="begins anew: "):
    with alarm(20):
      resumed = events.Events(tmp_path, last_step=5)
  resumed.append(2, {"a": 2.0})
  assert path.is_file() and not path.is_symlink()
  assert 0 < path.stat().st_size < 1000

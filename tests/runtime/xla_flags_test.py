"""Flags that an installed jaxlib takes: tried once, remembered, never fatal."""

import json
import subprocess

import pytest

from rethinking.runtime import backend, xla_flags

_TAKEN = "--xla_cpu_enable_fast_math=false"
_UNKNOWN = "--xla_no_such_flag=1"


@pytest.fixture
def cache(tmp_path, monkeypatch):
  """An empty cache folder, and two flags of which XLA knows one."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  monkeypatch.setattr(xla_flags, "CPU_FLAGS", (_TAKEN, _UNKNOWN))
  return tmp_path / "cache"


def _no_process(*args, **kwargs):
  pytest.fail("a process was started")


def _remembered(cache):
  (path,) = (cache / "rethinking" / "xla_flags").iterdir()
  return path


def test_an_unknown_flag_is_left_out_and_tried_once(cache, monkeypatch):
  assert xla_flags.accepted() == (_TAKEN,)
  monkeypatch.setattr(subprocess, "run", _no_process)
  assert xla_flags.accepted() == (_TAKEN,)
  known = json.loads(_remembered(cache).read_text())
  assert known == {_TAKEN: True, _UNKNOWN: False}


def test_another_jaxlib_is_tried_anew(cache, monkeypatch):
  asked = []
  monkeypatch.setattr(xla_flags, "_runs", lambda f: not asked.append(f))
  assert xla_flags.accepted() == (_TAKEN, _UNKNOWN)
  monkeypatch.setattr(xla_flags.jaxlib, "__version__", "99.0")
  assert xla_flags.accepted() == (_TAKEN, _UNKNOWN)
  assert len(asked) == 2


@pytest.mark.parametrize(
  "text",
  ["", "{}", "[" * 60_000, "[1]", "null", f'{{"{_TAKEN}": true}}', '{"x'],
  ids=range(7),
)
def test_a_damaged_answer_is_tried_again(cache, monkeypatch, text):
  monkeypatch.setattr(xla_flags, "_runs", lambda flags: True)
  xla_flags.accepted()
  path = _remembered(cache)
  path.write_text(text)
  assert xla_flags.accepted() == (_TAKEN, _UNKNOWN)
  assert json.loads(path.read_text()) == {_TAKEN: True, _UNKNOWN: True}


def test_without_an_answer_no_flag_is_set_and_none_remembered(
  cache, monkeypatch
):
  monkeypatch.setattr(xla_flags, "_TRIAL_SECONDS", 0.01)
  with pytest.warns(RuntimeWarning, match="could not be tried.*timed out"):
    assert xla_flags.accepted() == ()
  assert not cache.exists()
  monkeypatch.setattr(xla_flags, "_runs", lambda flags: False)
  with pytest.warns(RuntimeWarning, match="JAX does not start"):
    assert xla_flags.accepted() == ()
  assert not cache.exists()


def test_a_folder_that_cannot_be_written_changes_nothing(cache, monkeypatch):
  cache.write_text("a file")
  monkeypatch.setattr(xla_flags, "_runs", lambda flags: _UNKNOWN not in flags)
  assert xla_flags.accepted() == (_TAKEN,)


def test_nothing_is_tried_once_jax_has_started(monkeypatch):
  """XLA would not read them, and the summary would name flags that are off."""
  import jax

  jax.devices()
  monkeypatch.setenv("XLA_FLAGS", "")
  monkeypatch.setattr(xla_flags, "accepted", _no_process)
  backend.configure(compilation_cache=False)
  assert backend.describe(jax.devices())["xla_flags"] == ""

import json
import math
import os
import resource
import signal

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethinking.storage import files, reading


@pytest.fixture
def no_space():
  """No file may grow past 100 bytes, as on a disk that is full."""
  handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
  yield
  resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  signal.signal(signal.SIGXFSZ, handler)


def test_replace_is_whole_and_leaves_nothing_beside_it(tmp_path):
  files.replace(tmp_path / "a", b"old")
  files.replace(tmp_path / "a", b"new")
  assert (tmp_path / "a").read_bytes() == b"new"
  assert os.listdir(tmp_path) == ["a"]


def test_replace_on_a_full_disk_keeps_the_old_file(tmp_path, no_space):
  files.replace(tmp_path / "a", b"old")
  with pytest.raises(OSError, match="too large"):
    files.replace(tmp_path / "a", b"x" * 101)
  assert (tmp_path / "a").read_bytes() == b"old"
  assert os.listdir(tmp_path) == ["a"]


def test_a_reader_never_sees_half_of_a_replaced_file(tmp_path, monkeypatch):
  files.replace(tmp_path / "a", b"old")
  seen = []
  fsync = os.fsync

  def look(descriptor):
    seen.append((tmp_path / "a").read_bytes())
    fsync(descriptor)

  monkeypatch.setattr(files.os, "fsync", look)
  files.replace(tmp_path / "a", b"new")
  assert seen == [b"old"]


def test_append_on_a_full_disk_leaves_the_file_as_it_was(tmp_path, no_space):
  files.append(tmp_path / "a", b"x" * 90)
  with pytest.raises(OSError, match="too large"):
    files.append(tmp_path / "a", b"y" * 20)
  assert (tmp_path / "a").read_bytes() == b"x" * 90


@given(st.floats() | st.integers())
def test_numbers_come_back_exactly_or_as_null(number):
  back = json.loads(files.dumps({"x": number}))["x"]
  assert back == (number if math.isfinite(number) else None)


def test_array_values_become_plain_numbers():
  obj = {
    "a": np.float32(0.5),
    "b": jnp.arange(2),
    "c": np.array([[1.0, np.inf]]),
    "d": (True, None, "ü"),
  }
  assert files.dumps(obj) == (
    '{"a": 0.5, "b": [0, 1], "c": [[1.0, null]], "d": [true, null, "ü"]}'
  )


def test_write_json_keeps_the_order_of_keys(tmp_path):
  files.write_json(tmp_path / "a.json", {"b": 1, "a": float("nan")})
  text = (tmp_path / "a.json").read_text()
  assert text == '{\n  "b": 1,\n  "a": null\n}\n'


@pytest.mark.parametrize(
  ("data", "says"),
  [
    (b"", "Expecting value"),
    (b"[]", "no JSON object"),
    (b"[" * 10**6, "nested too deeply"),
    (b'{"a": NaN}', "NaN is not JSON"),
    (b'{"a": -Infinity}', "-Infinity is not JSON"),
    (b'{"a": "\xff"}', "utf-8"),
    (b'{"a": ' + b"1" * 10_000 + b"}", "digits"),
    (b"{" + b" " * 2**24 + b"}", "more than 16777216 bytes"),
  ],
  ids=lambda x: None if isinstance(x, str) else "",
)
def test_what_is_no_json_object_is_refused_in_a_line(tmp_path, data, says):
  (tmp_path / "a.json").write_bytes(data)
  with pytest.raises(ValueError, match=says) as caught:
    reading.read_json(tmp_path / "a.json")
  assert "\n" not in str(caught.value)

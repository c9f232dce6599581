import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethinking.runtime.errors import UserError
from rethinking.storage import jsonl

ROWS = [{"step": step, "train_loss": 1 / (step + 1)} for step in range(5)]


def filled(path):
  lines = jsonl.JsonLines(path)
  for row in ROWS:
    lines.append(row)
  return lines


@pytest.fixture
def path(tmp_path):
  return tmp_path / "metrics.jsonl"


def test_rows_come_back_in_order_from_a_new_object(path):
  filled(path)
  lines = jsonl.JsonLines(path)
  assert lines.rows() == ROWS
  assert lines.warnings == []


def test_the_checksum_of_the_first_lines_changes_with_any_of_them(path):
  lines = filled(path)
  before = lines.sha256(3)
  lines.append({"step": 5})
  assert lines.sha256(3) == before
  data = path.read_bytes()
  end = sum(len(line) + 1 for line in data.split(b"\n")[:3])
  for at in range(end):
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert lines.sha256(3) != before


def test_a_missing_file_has_no_rows(path):
  lines = jsonl.JsonLines(path)
  assert lines.rows() == []
  lines.truncate(lambda row: False)
  assert not lines.path.exists()


def test_every_row_is_on_disk_when_append_returns(path):
  lines = jsonl.JsonLines(path)
  for count, row in enumerate(ROWS, 1):
    lines.append(row)
    assert jsonl.JsonLines(path).rows() == ROWS[:count]


def test_a_row_torn_anywhere_is_dropped_with_a_warning(path):
  data = filled(path).path.read_bytes()
  start = data[:-1].rindex(b"\n") + 1
  for end in range(start + 1, len(data)):
    filled_path = jsonl.JsonLines(path).path
    filled_path.write_bytes(data[:end])
    lines = jsonl.JsonLines(path)
    assert lines.rows() == ROWS[:-1]
    assert lines.warnings == [
      f"{lines.path}: dropped its torn last line, number 5"
      f" ({end - start} bytes)."
    ]
    lines.append(ROWS[-1])
    assert lines.path.read_bytes() == data


def test_a_single_torn_row_is_line_1(tmp_path):
  (tmp_path / "a").write_bytes(b'{"st')
  lines = jsonl.JsonLines(tmp_path / "a")
  assert "number 1 (4 bytes)" in lines.warnings[0]
  assert lines.rows() == []


@pytest.mark.parametrize(
  "line", [b"", b"{", b"[]", b"3", b'{"a": \xff}', b"\0\0", b"[" * 10**5]
)
def test_damage_in_the_middle_is_refused_with_its_line(path, line):
  lines = filled(path)
  all_lines = lines.path.read_bytes().split(b"\n")
  all_lines[2] = line
  damaged = b"\n".join(all_lines)
  lines.path.write_bytes(damaged)
  for use in (lines.rows, lambda: lines.truncate(lambda row: False)):
    with pytest.raises(UserError, match="damaged in line 3") as caught:
      use()
    assert "\n" not in str(caught.value)
  assert lines.path.read_bytes() == damaged


def test_truncate_drops_later_rows_and_keeps_the_others_bytes(path):
  lines = filled(path)
  data = lines.path.read_bytes()
  lines.truncate(lambda row: row["step"] <= 2)
  assert lines.rows() == ROWS[:3]
  assert data.startswith(lines.path.read_bytes())


def test_a_truncate_that_drops_nothing_writes_nothing(tmp_path):
  lines = filled(tmp_path / "a")
  before = lines.path.stat()
  lines.truncate(lambda row: True)
  assert lines.path.stat() == before


def test_a_crash_in_truncate_leaves_every_row(tmp_path, monkeypatch):
  lines = filled(tmp_path / "a")

  def crash(source, target):
    raise KeyboardInterrupt

  monkeypatch.setattr(jsonl.files.os, "replace", crash)
  with pytest.raises(KeyboardInterrupt):
    lines.truncate(lambda row: False)
  assert jsonl.JsonLines(tmp_path / "a").rows() == ROWS


@given(
  st.dictionaries(
    st.text(),
    st.none()
    | st.text()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False),
  )
)
def test_any_row_is_one_line(tmp_path_factory, row):
  lines = jsonl.JsonLines(tmp_path_factory.mktemp("rows") / "a")
  lines.append(row)
  data = lines.path.read_bytes()
  assert data.count(b"\n") == 1
  assert json.loads(data) == row
  assert lines.rows() == [row]

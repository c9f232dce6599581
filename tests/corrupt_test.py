"""The command: what it writes, and that it notices any change of it."""

import csv
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from rethinking import corrupt
from rethinking.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]


def config(variant):
  sys.path.insert(0, str(ROOT / "configs"))
  try:
    import digits
  finally:
    sys.path.pop(0)
  return digits.get_config(f"{variant},subset=200")


@pytest.fixture(scope="module", params=["partial_labels", "random_pixels"])
def written(request, tmp_path_factory):
  folder = tmp_path_factory.mktemp(request.param)
  corrupt.write(config(request.param), folder)
  return request.param, folder


@pytest.fixture
def copy(written, tmp_path):
  shutil.copytree(written[1], tmp_path / "copy")
  return written[0], tmp_path / "copy"


def test_the_files_say_the_same(written):
  variant, folder = written
  with np.load(folder / corrupt.LABELS, allow_pickle=False) as file:
    columns = dict(file)
  rows = list(csv.DictReader((folder / corrupt.TABLE).read_text().splitlines()))
  facts = json.loads((folder / corrupt.REPORT).read_text())
  assert [int(r["id"]) for r in rows] == columns["id"].tolist()
  for name in ("true_label", "given_label", "changed"):
    assert [int(r[name]) for r in rows] == columns[name].astype(int).tolist()
  wrong = columns["true_label"] != columns["given_label"]
  np.testing.assert_array_equal(columns["changed"], wrong)
  assert facts["labels_changed"] == wrong.sum()
  assert wrong.any() == (variant == "partial_labels")
  names = {p.name for p in folder.iterdir()}
  pictures = {corrupt.TRANSITIONS, corrupt.EXAMPLES}
  assert pictures <= names
  pixels = {"images.npy", "test_images.npy"}
  assert names & pixels == (pixels if variant == "random_pixels" else set())


def test_the_same_again_is_the_same(written):
  variant, folder = written
  assert corrupt.verify(config(variant), folder) == []


def test_another_config_differs(written):
  variant, folder = written
  other = config(variant)
  other.seed = 1
  assert corrupt.verify(other, folder)


def test_any_changed_byte_is_noticed(copy):
  variant, folder = copy
  names = [corrupt.LABELS, corrupt.TABLE, corrupt.REPORT]
  names += [p.name for p in folder.glob("*.npy")]
  for name in names:
    path = folder / name
    whole = path.read_bytes()
    data = bytearray(whole)
    # A digit of the last row; the middle of an array's data.
    data[-2 if name == corrupt.TABLE else len(data) // 2] ^= 1
    path.write_bytes(data)
    found = corrupt.verify(config(variant), folder)
    assert found and all(line.startswith(name) for line in found), name
    path.write_bytes(whole)


def test_changed_values_are_named(copy):
  variant, folder = copy
  with np.load(folder / corrupt.LABELS, allow_pickle=False) as file:
    columns = dict(file)
  columns["given_label"][7] += 1
  np.savez(folder / corrupt.LABELS, **columns)
  [line] = corrupt.verify(config(variant), folder)
  assert "given_label differs in 1 of 200 rows, first for id 7" in line


@pytest.mark.parametrize(
  "content",
  [
    b"",
    b"\0" * 100,
    b"PK\x03\x04" + bytes(100),
    b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False, "
    b"'shape': (1000000000000,), }",
    b"[" * 100_000,
    b'{"a": ' * 10_000,
    b'{"dataset": NaN}',
    b'{"x\\n": "' + b"y" * 1000 + b'"}',
    # Larger than what it is compared with.
    b"1,2\n" * 10_000_000,
  ],
  ids=[
    "empty",
    "zeros",
    "zip",
    "huge",
    "deep",
    "deeper",
    "nan",
    "long",
    "large",
  ],
)
def test_files_made_to_do_harm_differ_in_a_line(copy, content):
  variant, folder = copy
  names = [corrupt.LABELS, corrupt.TABLE, corrupt.REPORT]
  names += [p.name for p in folder.glob("*.npy")]
  for name in names:
    (folder / name).write_bytes(content)
  found = corrupt.verify(config(variant), folder)
  assert {line.partition(":")[0].split()[0] for line in found} == set(names)
  for line in found:
    assert "\n" not in line and len(line) < 500


def test_missing_files_are_named(copy):
  variant, folder = copy
  (folder / corrupt.TABLE).unlink()
  assert corrupt.verify(config(variant), folder) == ["labels.csv is missing"]
  with pytest.raises(UserError, match="There is no folder"):
    corrupt.verify(config(variant), folder / "none")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
  (tmp_path / "file").touch()
  with pytest.raises(UserError, match="can't be written"):
    corrupt.write(config("true_labels"), tmp_path / "file")


def test_the_command_needs_one_flag():
  done = subprocess.run(
    [
      sys.executable,
      "-m",
      "rethinking.corrupt",
      "--config=configs/digits.py:random_labels",
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert done.returncode == 2
  assert done.stderr.splitlines() == [
    "error: Give one of --out=DIR and --verify=DIR."
  ]

"""The command: what it writes, and that it notices any change of it."""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from rethinking import config as config_lib
from rethinking import corruptions
from rethinking import export as command
from rethinking.exports import contents as contents_lib
from rethinking.exports.verify import verify
from rethinking.exports.write import write
from rethinking.runtime.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]


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
  write(config(request.param), folder)
  return request.param, folder


@pytest.fixture
def copy(written, tmp_path):
  shutil.copytree(written[1], tmp_path / "copy")
  return written[0], tmp_path / "copy"


def test_the_files_say_the_same(written):
  variant, folder = written
  with np.load(folder / "labels.npz", allow_pickle=False) as file:
    columns = dict(file)
  rows = list(csv.DictReader((folder / "labels.csv").read_text().splitlines()))
  facts = json.loads((folder / "report.json").read_text())
  assert [int(r["id"]) for r in rows] == columns["id"].tolist()
  for name in ("true_label", "given_label", "changed"):
    assert [int(r[name]) for r in rows] == columns[name].astype(int).tolist()
  wrong = columns["true_label"] != columns["given_label"]
  np.testing.assert_array_equal(columns["changed"], wrong)
  assert facts["labels_changed"] == wrong.sum()
  assert wrong.any() == (variant == "partial_labels")
  expected = {"labels.npz", "labels.csv", "report.json", "SHA256SUMS"}
  expected |= {*contents_lib.TRANSITIONS, *contents_lib.EXAMPLES}
  if variant == "random_pixels":
    expected |= {"images.npy", "test_images.npy"}
  assert {p.name for p in folder.iterdir()} == expected


def test_checksums_are_those_of_sha256sum(written):
  done = subprocess.run(
    ["sha256sum", "--check", "--strict", "SHA256SUMS"],
    cwd=written[1],
    capture_output=True,
    text=True,
    timeout=60,
  )
  assert done.returncode == 0, done.stdout
  assert len(done.stdout.splitlines()) == len(list(written[1].iterdir())) - 1


def test_the_same_again_is_the_same(copy):
  variant, folder = copy
  assert verify(config(variant), folder) == []
  sums = (folder / "SHA256SUMS").read_text()
  write(config(variant), folder)
  assert (folder / "SHA256SUMS").read_text() == sums


def test_another_config_differs(written):
  variant, folder = written
  other = config(variant)
  other.seed = 1
  assert verify(other, folder)


def test_any_changed_byte_is_noticed(copy):
  variant, folder = copy
  for path in sorted(folder.iterdir()):
    whole = path.read_bytes()
    for place in (1, len(whole) // 2, len(whole) - 2):
      data = bytearray(whole)
      data[place] ^= 1
      path.write_bytes(data)
      found = verify(config(variant), folder)
      assert found, (path.name, place)
      if path.name != "SHA256SUMS":
        assert all(line.startswith(path.name) for line in found), found
    path.write_bytes(whole)
  assert verify(config(variant), folder) == []


def test_changed_values_are_named(copy):
  variant, folder = copy
  with np.load(folder / "labels.npz", allow_pickle=False) as file:
    columns = dict(file)
  columns["given_label"][7] += 1
  np.savez(folder / "labels.npz", **columns)
  [line] = verify(config(variant), folder)
  assert "given_label differs in 1 of 200 rows, first for id 7" in line
  columns["given_label"] = columns["given_label"].astype(float)
  np.savez(folder / "labels.npz", **columns)
  [line] = verify(config(variant), folder)
  assert "given_label is float64 of shape [200], computed int32" in line


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
  names = ["labels.npz", "labels.csv", "report.json", "SHA256SUMS"]
  names += [p.name for p in folder.glob("*.npy")]
  for name in names:
    (folder / name).write_bytes(content)
  found = verify(config(variant), folder)
  named = {line.partition(":")[0].split()[0] for line in found}
  # Damaged sums show at the pictures, or are themselves too large.
  assert named - {*contents_lib.PICTURED} >= set(names[:3])
  for line in found:
    assert "\n" not in line and len(line) < 500


def test_a_folder_of_before_pictures_were_svg_is_whole(copy):
  variant, folder = copy
  sums = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
  for path in folder.glob("*.svg"):
    path.unlink()
  (folder / "SHA256SUMS").write_text(
    "".join(line for line in sums if ".svg" not in line)
  )
  assert verify(config(variant), folder) == []


def test_missing_files_are_named(copy):
  variant, folder = copy
  for path in sorted(folder.iterdir()):
    path.rename(folder / "away")
    [line] = verify(config(variant), folder)
    assert line.startswith(f"{path.name} is missing")
    (folder / "away").rename(path)
  with pytest.raises(
    UserError, match="--verify must be a folder, got .* not there; try --out"
  ):
    verify(config(variant), folder / "none")


def test_images_of_another_export_are_named(tmp_path):
  write(config("partial_labels"), tmp_path)
  for name in ("images.npy", "test_images.npy"):
    np.save(tmp_path / name, np.zeros((200, 8, 8, 1), np.uint8))
    [line] = verify(config("partial_labels"), tmp_path)
    assert line.startswith(f"{name} is of another config")
    (tmp_path / name).unlink()


@pytest.mark.parametrize("last", range(1, 9))
def test_a_kill_leaves_whole_files_and_no_checksums(copy, last, monkeypatch):
  """Of another command's folder, before the file number `last` is in place."""
  variant, folder = copy
  before = {p.name: p.read_bytes() for p in folder.iterdir()}
  other = config("partial_labels")
  other.seed = 1
  replace, done = os.replace, []

  def stop(source, target):
    if len(done) == last:
      raise KeyboardInterrupt
    done.append(pathlib.Path(target).name)
    replace(source, target)

  monkeypatch.setattr(os, "replace", stop)
  for name in ("draw_examples", "draw_transitions"):
    # Drawing is slow, and tested elsewhere.
    monkeypatch.setattr(
      corruptions, name, lambda file, *_, **__: file.write(b"a picture")
    )
  if last < 8:
    with pytest.raises(KeyboardInterrupt):
      write(other, folder)
    assert not (folder / "SHA256SUMS").exists()
    assert any(
      line.startswith("SHA256SUMS is missing") for line in verify(other, folder)
    )
    for path in folder.iterdir():
      # The old one or the new one.
      assert (path.name in done) != (path.read_bytes() == before[path.name])
  monkeypatch.setattr(os, "replace", replace)
  write(other, folder)
  assert verify(other, folder) == []
  # Images that were not of these labels are gone.
  assert not list(folder.glob("*.npy")) and not list(folder.glob(".*"))


def test_other_files_of_the_folder_stay_and_what_is_replaced_is_said(
  copy, capsys
):
  variant, folder = copy
  (folder / "notes.txt").write_text("mine")
  write(config(variant), folder)
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f"note: {folder} has labels.npz, labels.csv, ")
  assert "report.json" in line and line.endswith("replaced or removed.")
  assert (folder / "notes.txt").read_text() == "mine"
  assert verify(config(variant), folder) == []


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(contents_lib, "compute", lambda config: 1 / 0)
  (tmp_path / "file").touch()
  for out in (tmp_path / "file", tmp_path / "file" / "below", "/proc/none"):
    with pytest.raises(
      UserError,
      match="must be a folder that you may write to, got .*; try another",
    ):
      write(config("true_labels"), out)
  with pytest.raises(
    UserError, match="--out must be a path of this machine, got 'gs:"
  ):
    write(config("true_labels"), "gs://bucket/labels")


def test_a_full_disk_is_refused_in_a_line(tmp_path, monkeypatch):
  def full(descriptor):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(os, "fsync", full)
  with pytest.raises(
    UserError, match="No space left on device of '.*npz'.; try .*make room"
  ):
    write(config("true_labels"), tmp_path)
  assert list(tmp_path.iterdir()) == []


def test_examples_are_drawn_beside_their_own_originals():
  chosen = config("true_labels,validation=50")
  contents = contents_lib.compute(config_lib.resolve(chosen))
  np.testing.assert_array_equal(
    contents.original_images(), contents.task.train.images
  )


def run(*flags):
  return subprocess.run(
    [
      sys.executable,
      "-m",
      "rethinking.export",
      "--config=configs/digits.py:random_labels,subset=200",
      *flags,
    ],
    cwd=ROOT,
    # One device here: what is written must not depend on how many there are.
    env={**os.environ, "XLA_FLAGS": ""},
    capture_output=True,
    text=True,
    timeout=300,
  )


def test_the_command_verifies_what_another_machine_wrote(tmp_path):
  write(config("random_labels"), tmp_path)
  done = run(f"--verify={tmp_path}")
  assert (done.returncode, done.stderr) == (0, ""), done.stderr
  assert done.stdout == f"{tmp_path}: the same\n"


def test_exit_codes(tmp_path, monkeypatch, capsys):
  from absl import flags

  if not flags.FLAGS.is_parsed():
    flags.FLAGS(["test"])
  monkeypatch.setattr(flags.FLAGS["out"], "_value", str(tmp_path))
  assert command.main(config("random_labels")) == 0
  assert "200 examples of digits, 181 labels" in capsys.readouterr().out
  monkeypatch.setattr(flags.FLAGS["verify"], "_value", str(tmp_path))
  with pytest.raises(UserError, match="must be given, got both; try --out=DIR"):
    command.main(config("random_labels"))
  monkeypatch.setattr(flags.FLAGS["out"], "_value", None)
  assert command.main(config("random_labels")) == 0
  assert capsys.readouterr().out == f"{tmp_path}: the same\n"
  data = bytearray((tmp_path / "labels.npz").read_bytes())
  data[len(data) // 2] ^= 1
  (tmp_path / "labels.npz").write_bytes(data)
  assert command.main(config("random_labels")) == 1
  assert "differs: labels.npz" in capsys.readouterr().err

import json
import pathlib

import pytest

from rethinking import data
from rethinking.data import prepared
from rethinking.runtime.errors import UserError


def _edit(folder, change):
  path = folder / "dataset_info.json"
  info = json.loads(path.read_text())
  change(info)
  path.write_text(json.dumps(info))


def _load(folder):
  return data.load("cifar10", "train", data_dir=folder.parents[1], cache=False)


def test_the_folder_is_given_or_from_the_environment(monkeypatch, tmp_path):
  monkeypatch.setenv("HOME", str(tmp_path))
  monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
  assert prepared.root(None) == tmp_path / "tensorflow_datasets"
  monkeypatch.setenv("TFDS_DATA_DIR", "~/env")
  assert prepared.root(None) == tmp_path / "env"
  assert prepared.root("~/given") == tmp_path / "given"
  assert prepared.root(pathlib.Path("x")) == pathlib.Path.cwd() / "x"
  with pytest.raises(UserError, match="data_dir must be a path of this"):
    prepared.root("gs://bucket/data")


def test_the_default_folder_is_that_of_tfds(monkeypatch):
  from tensorflow_datasets.core import constants

  monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
  assert str(prepared.root(None)) == constants.get_default_data_dir()


def test_the_newest_complete_version_is_found(tmp_path):
  for version, content in {
    "3.0.2": '{"fileFormat": "array_record"}',
    "3.0.10": '{"fileFormat": "array_record"}',
    "3.1.0": '{"fileFormat": "tfrecord"}',
    "incomplete.ABC_4.0.0": '{"fileFormat": "array_record"}',
  }.items():
    folder = tmp_path / "mnist" / version
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(content)
  (tmp_path / "mnist/5.0.0").mkdir()
  assert prepared.find("mnist", tmp_path).name == "3.0.10"
  assert prepared.find("cifar10", tmp_path) is None


def test_a_format_that_needs_tensorflow_is_refused(tmp_path):
  folder = tmp_path / "mnist/3.0.1"
  folder.mkdir(parents=True)
  (folder / "dataset_info.json").write_text('{"fileFormat": "tfrecord"}')
  with pytest.raises(UserError, match="tfrecord.*--data_dir=DIR"):
    data.load("mnist", "train", data_dir=tmp_path)


@pytest.mark.parametrize(
  "content",
  ["", "{", "[]", "\xff", "[" * 100_000],
  ids=["empty", "cut", "list", "latin-1", "deep"],
)
def test_a_damaged_description_is_one_line(content, prepared_cifar10):
  folder, _ = prepared_cifar10
  (folder / "dataset_info.json").write_text(content, encoding="latin-1")
  with pytest.raises(UserError, match="is damaged.*delete that") as error:
    _load(folder)
  assert "\n" not in str(error.value)


def test_a_description_without_end_is_not_read(prepared_cifar10):
  folder, _ = prepared_cifar10
  with (folder / "dataset_info.json").open("ab") as file:
    file.write(b" " * 2**21)
  with pytest.raises(UserError, match="more than 1048576 bytes"):
    _load(folder)


@pytest.mark.parametrize(
  "change",
  [
    lambda info: info.pop("splits"),
    lambda info: info.update(splits=[]),
    lambda info: info.update(splits=3),
    lambda info: info.update(name="../mnist"),
    lambda info: info.update(version="9.9.9"),
    lambda info: info["splits"][0].update(filepathTemplate="../../x"),
    lambda info: info["splits"][0].update(shardLengths=["-1"]),
    lambda info: info["splits"][0].update(shardLengths=["many"]),
    lambda info: info["splits"][0].update(shardLengths=[]),
    lambda info: info["splits"][0].update(shardLengths=["25", "25"]),
    lambda info: info["splits"][0].update(shardLengths=["51"]),
  ],
)
def test_a_description_that_contradicts_the_files_is_refused(
  change, prepared_cifar10
):
  folder, _ = prepared_cifar10
  _edit(
    folder, lambda info: info["splits"].sort(key=lambda s: s["name"] != "train")
  )
  _edit(folder, change)
  with pytest.raises(UserError, match="is damaged"):
    _load(folder)


def test_missing_class_names_become_numbers(prepared_cifar10):
  folder, _ = prepared_cifar10
  (folder / "label.labels.txt").unlink()
  assert _load(folder).class_names == tuple("0123456789")


def test_a_wrong_number_of_class_names_is_refused(prepared_cifar10):
  folder, _ = prepared_cifar10
  (folder / "label.labels.txt").write_text("cat\ndog\n")
  with pytest.raises(UserError, match="holds 2 names"):
    _load(folder)


def _shard(folder):
  return folder / "cifar10-train.array_record-00000-of-00001"


def test_the_fingerprint_follows_every_byte(prepared_cifar10):
  folder, _ = prepared_cifar10
  source = prepared.describe("cifar10", "train", folder)
  before = prepared.fingerprint(source)
  content = bytearray(_shard(folder).read_bytes())
  content[-1] ^= 1
  _shard(folder).write_bytes(content)
  assert prepared.fingerprint(source) != before

"""Downloads and prepared data that others changed are never believed."""

import json
import os
import random
import shutil

import pytest
from refusals import refused

from rethinking import data
from rethinking.data import preparation


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_an_archive_that_is_there_is_hashed_before_it_is_read(
  name, serve, tmp_path
):
  serve(name)
  root = tmp_path / "data"
  preparation.prepare(name, root)
  shutil.rmtree(root / name)
  archives = [p for p in (root / "downloads").rglob("*.gz") if p.is_file()]
  assert archives
  draw = random.Random(0)
  for archive in archives:
    whole = archive.read_bytes()
    for _ in range(5):
      bad = bytearray(whole)
      bad[draw.randrange(len(bad))] ^= 1 << draw.randrange(8)
      archive.write_bytes(bad)
      refused(
        lambda: preparation.prepare(name, root),
        archive.name,
        "its SHA-256 must",
      )
      assert not [*(root / name).glob("*.*.*")]
    archive.write_bytes(whole)
  assert preparation.prepare(name, root).is_dir()


def _rename(folder):
  path = folder / "dataset_info.json"
  path.write_text(path.read_text().replace("numBytes", "numBits"))


def _info(change):
  def act(folder):
    path = folder / "dataset_info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))

  return act


def _features(text):
  return lambda folder: (folder / "features.json").write_text(text)


def _fifo(folder):
  (folder / "features.json").unlink()
  os.mkfifo(folder / "features.json")


def _huge(folder):
  os.truncate(folder / "features.json", 2**40)


@pytest.mark.parametrize(
  "change",
  [
    _rename,
    _info(lambda info: info.update(splits=3)),
    _info(lambda info: info.update(splits=["train"])),
    _info(lambda info: info.update(version=[])),
    _info(lambda info: info.update(moduleName=5)),
    _features("[" * 60_000),
    _features("{}"),
    _features(""),
    _fifo,
    _huge,
  ],
)
def test_prepared_data_of_another_form_is_damaged(
  change, prepared_cifar10, tmp_path
):
  folder, _ = prepared_cifar10
  change(folder)
  refused(
    lambda: data.load(
      "cifar10", "train", data_dir=tmp_path / "data", cache=False
    ),
    f"The prepared cifar10 in {folder} is damaged",
    "delete that folder",
  )

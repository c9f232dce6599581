"""Prepared sets of any name: array_record and tfrecord alike."""

import io
import json
import struct

import numpy as np
import pytest
from own_sets import make
from PIL import Image

from rethinking import data
from rethinking.data import own, tfrecord
from rethinking.runtime.errors import UserError

IMAGES, LABELS, NAMES = make(30)
SPLITS = {"train": slice(20), "test": slice(20, None)}
FEATURES = {
  "photo": {
    "pythonClassName": "tensorflow_datasets.core.features.image_feature.Image",
    "image": {"dtype": "uint8", "encodingFormat": "png"},
  },
  "kind": {
    "pythonClassName": (
      "tensorflow_datasets.core.features.class_label_feature.ClassLabel"
    ),
    "classLabel": {"numClasses": "3"},
  },
}


def _example(i):
  from tensorflow_datasets.proto import tf_example_pb2

  buffer, example = io.BytesIO(), tf_example_pb2.Example()
  Image.fromarray(IMAGES[i]).save(buffer, "PNG")
  feature = example.features.feature
  feature["photo"].bytes_list.value.append(buffer.getvalue())
  feature["kind"].int64_list.value.append(int(LABELS[i]))
  return example.SerializeToString()


def _write_tfrecord(path, records):
  with path.open("wb") as file:
    for record in records:
      head = struct.pack("<Q", len(record))
      sums = tfrecord.checksums([head, record]).tolist()
      file.write(head + struct.pack("<I", sums[0]))
      file.write(record + struct.pack("<I", sums[1]))


def _write_array_record(path, records):
  from array_record.python import array_record_module

  writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
  for record in records:
    writer.write(record)
  writer.close()


def _prepare(root, form, name="mine/plain", version="1.2.0"):
  """A set as TFDS prepares it, of two shards a split."""
  folder = root / name / version
  folder.mkdir(parents=True)
  write = {"tfrecord": _write_tfrecord, "array_record": _write_array_record}
  splits = []
  for split, rows in SPLITS.items():
    records = [_example(i) for i in range(30)[rows]]
    for shard, part in enumerate((records[:7], records[7:])):
      write[form](folder / f"mine-{split}.{form}-{shard:05d}-of-00002", part)
    lengths = ["7", str(len(records) - 7)]
    splits.append({"name": split, "shardLengths": lengths})
  info = {"name": "mine", "version": version, "fileFormat": form}
  (folder / "dataset_info.json").write_text(
    json.dumps({**info, "splits": splits})
  )
  features = {"featuresDict": {"features": FEATURES}}
  (folder / "features.json").write_text(json.dumps(features))
  (folder / "kind.labels.txt").write_text("ant\nbee\ncat\n")
  return folder


def _read(root, name, **fields):
  return own.pair(own.Own(name, **fields), root, cache=False)


@pytest.mark.parametrize("form", ["array_record", "tfrecord"])
def test_both_formats_are_the_arrays(tmp_path, form):
  _prepare(tmp_path, form)
  for split, found in zip(
    SPLITS, _read(tmp_path, "tfds:mine/plain"), strict=True
  ):
    rows = SPLITS[split]
    np.testing.assert_array_equal(found.images[..., 0], IMAGES[rows])
    np.testing.assert_array_equal(found.labels, LABELS[rows])
    assert found.ids.tolist() == [*range(len(LABELS[rows]))]
    assert found.class_names == ("ant", "bee", "cat")
    assert found.identity.startswith(
      f"own {split} (mine 1.2.0, train 20 PNG; test 10 PNG) sha256:"
    )


def test_a_set_we_prepare_is_the_same(prepared_cifar10):
  folder, _ = prepared_cifar10
  mine = data.load("cifar10", "train", data_dir=folder.parents[1])
  train, test = _read(folder.parents[1], "tfds:cifar10")
  order = np.lexsort((train.labels, train.images.reshape(50, -1)[:, 0]))
  other = np.lexsort((mine.labels, mine.images.reshape(50, -1)[:, 0]))
  np.testing.assert_array_equal(train.images[order], mine.images[other])
  np.testing.assert_array_equal(train.labels[order], mine.labels[other])
  assert (train.num_classes, len(test.ids)) == (10, 20)


def test_a_version_is_chosen(tmp_path):
  for version in ("1.2.0", "1.10.0"):
    _prepare(tmp_path, "tfrecord", "mine", version)
  assert "mine 1.10.0" in _read(tmp_path, "tfds:mine")[0].identity
  assert "mine 1.2.0" in _read(tmp_path, "tfds:mine:1.2.0")[0].identity


def test_one_split_is_divided(tmp_path):
  folder = _prepare(tmp_path, "tfrecord")
  info = json.loads((folder / "dataset_info.json").read_text())
  del info["splits"][1]
  (folder / "dataset_info.json").write_text(json.dumps(info))
  train, test = _read(tmp_path, "tfds:mine/plain", test_fraction=0.3)
  assert len(train.ids) + len(test.ids) == 20


def _flip(folder):
  path = folder / "mine-train.tfrecord-00001-of-00002"
  content = bytearray(path.read_bytes())
  content[-40] ^= 1
  path.write_bytes(content)


def _cut(folder):
  path = folder / "mine-test.tfrecord-00000-of-00002"
  path.write_bytes(path.read_bytes()[:-2])


def _lose(folder):
  (folder / "mine-test.tfrecord-00000-of-00002").unlink()


def _features(**changed):
  def write(folder):
    features = {**FEATURES, **changed}
    features = {k: v for k, v in features.items() if v is not None}
    described = {"featuresDict": {"features": features}}
    (folder / "features.json").write_text(json.dumps(described))

  return write


def _info(**changed):
  def write(folder):
    path = folder / "dataset_info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))

  return write


def _names_in_a_folder(folder):
  (folder / "kind.labels.txt").unlink()
  (folder / "kind.labels.txt").mkdir()


def _classes(count):
  """Without the names that would be as many."""

  def act(folder):
    (folder / "kind.labels.txt").unlink()
    kind = {**FEATURES["kind"], "classLabel": {"numClasses": count}}
    _features(kind=kind)(folder)

  return act


_LENGTHS = [{"name": "train", "shardLengths": ["7", "12"]}]


@pytest.mark.parametrize(
  ("spoil", "match"),
  [
    (_flip, "mine-train.tfrecord-00001-of-00002: record 12 is damaged"),
    (_cut, "mine-test.tfrecord-00000-of-00002: cut off in record 6"),
    (_lose, "mine-test.tfrecord-00000-of-00002 is missing"),
    (_features(more=FEATURES["photo"]), "it has 2 features of type Image"),
    (_features(kind=None), "it has 0 features of type ClassLabel"),
    (
      _features(photo={**FEATURES["photo"], "image": {"dtype": "uint16"}}),
      "its images are uint16",
    ),
    (_features(photo={**FEATURES["photo"], "image": 3}), "no attribute"),
    (_classes("300000000"), "it has 300000000 classes, not 2 to 1000"),
    (_names_in_a_folder, "a folder, not a file"),
    (_info(splits="train"), "no attribute"),
    (_info(splits=[{**_LENGTHS[0], "shardLengths": []}]), "0 of 0 train exam"),
    (_info(fileFormat="riegeli"), "it is stored as riegeli"),
    (_info(splits=_LENGTHS), "20 of 19 train examples"),
    (_info(splits=[]), r"no split train, but \[\]"),
    (lambda folder: (folder / "features.json").unlink(), "no prepared version"),
    (
      lambda f: (f / "dataset_info.json").write_text("["),
      "what TFDS prepared, got",
    ),
  ],
)
def test_what_cannot_be_read_says_how_to_make_a_folder(tmp_path, spoil, match):
  spoil(_prepare(tmp_path, "tfrecord"))
  with pytest.raises(
    UserError, match=f"{match}.*; try a folder of it"
  ) as error:
    _read(tmp_path, "tfds:mine/plain")
  assert "\n" not in str(error.value)


@pytest.mark.parametrize(
  "name", ["", "../x", "a/b/c", "mine:9", "mine:..", "/"]
)
def test_names_that_are_none(tmp_path, name):
  with pytest.raises(UserError, match="try a folder of it"):
    _read(tmp_path, f"tfds:{name}")

import io
import pathlib

import cv2
import numpy as np
import pytest
import tensorflow_datasets
from PIL import Image

from rethinking import data
from rethinking.data import prepared, records, registry
from rethinking.runtime.errors import UserError


def _load(folder):
  return data.load("cifar10", "train", data_dir=folder.parents[1], cache=False)


def _shard(folder):
  return folder / "cifar10-train.array_record-00000-of-00001"


def test_damaged_records_are_refused_wherever_they_are(prepared_cifar10):
  folder, served = prepared_cifar10
  original = _shard(folder).read_bytes()
  rng = np.random.default_rng(0)
  for position in rng.integers(0, len(original), 40):
    content = bytearray(original)
    content[position] ^= 0xFF
    _shard(folder).write_bytes(content)
    try:
      loaded = _load(folder)
    except UserError as error:
      assert "is damaged" in str(error)
    else:  # Padding: nothing that was read has changed.
      np.testing.assert_array_equal(loaded.images, served.arrays["train"][0])
      np.testing.assert_array_equal(loaded.labels, served.arrays["train"][1])


def test_where_a_package_is_missing_no_data_are_damaged(
  prepared_cifar10, monkeypatch
):
  # TFDS says so of whatever it cannot import.
  monkeypatch.delattr(tensorflow_datasets, "builder_from_directory")
  with pytest.raises(UserError, match="must be installed .*builder_from_dir"):
    _load(prepared_cifar10[0])


@pytest.mark.parametrize("kept", [0, 10, 1000, 70_000, -1])
def test_a_truncated_shard_is_refused(kept, prepared_cifar10):
  folder, _ = prepared_cifar10
  _shard(folder).write_bytes(_shard(folder).read_bytes()[:kept])
  with pytest.raises(UserError, match="is damaged"):
    _load(folder)


def _record(**changes):
  from tensorflow_datasets.proto import tf_example_pb2

  image = np.arange(3072, dtype=np.uint8).reshape(32, 32, 3)
  _, encoded = cv2.imencode(".png", image)
  values = {
    "image": encoded.tobytes(),
    "label": 3,
    "id": b"train_00017",
    **changes,
  }
  example = tf_example_pb2.Example()
  for key, value in values.items():
    if isinstance(value, bytes):
      example.features.feature[key].bytes_list.value.append(value)
    elif value is not None:
      example.features.feature[key].int64_list.value.append(value)
  return example.SerializeToString()


def _png(array):
  return cv2.imencode(".png", array)[1].tobytes()


def _read(monkeypatch, *examples):
  monkeypatch.setattr(records, "_examples", lambda source: list(examples))
  return records.read(
    prepared.Source(
      name="cifar10",
      version="3.0.2",
      split="train",
      folder=pathlib.Path("/data/cifar10/3.0.2"),
      files=(),
      examples=len(examples),
      class_names=(),
      spec=registry.SPECS["cifar10"],
    )
  )


def test_channels_are_red_green_blue_as_pillow_reads_them(monkeypatch):
  image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
  for kind, options in (("PNG", {}), ("JPEG", {"quality": 90})):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    arrays = _read(monkeypatch, _record(image=file.getvalue()))
    expected = np.asarray(Image.open(file))
    tolerance = 0 if kind == "PNG" else 2  # Two JPEG libraries may round.
    np.testing.assert_allclose(
      arrays.images[0].astype(int), expected.astype(int), atol=tolerance
    )
    assert arrays.encoding == kind


def test_rows_are_in_the_order_of_their_ids(monkeypatch):
  texts = [b"train_00020", b"train_00003", b"train_00017"]
  arrays = _read(
    monkeypatch,
    *(_record(id=text, label=i) for i, text in enumerate(texts)),
  )
  assert arrays.ids.tolist() == [3, 17, 20]
  assert arrays.labels.tolist() == [1, 2, 0]


@pytest.mark.parametrize(
  "changes",
  [
    {"label": 10},
    {"label": -1},
    {"label": None},
    {"id": b"test_00017"},
    {"id": b"train_-0001"},
    {"id": b"train_99999999999"},
    {"id": b"\xff"},
    {"id": None},
    {"image": b""},
    {"image": b"no image"},
    {"image": _png(np.zeros((32, 31, 3), np.uint8))},
    {"image": _png(np.zeros((32, 32), np.uint8))},
    {"image": _png(np.zeros((32, 32, 4), np.uint8))},
    {"image": _png(np.zeros((32, 32, 3), np.uint16))},
  ],
)
def test_a_record_of_another_kind_is_refused(changes, monkeypatch):
  with pytest.raises(UserError, match="record 0"):
    _read(monkeypatch, _record(**changes))


def test_an_id_that_comes_twice_is_refused(monkeypatch):
  with pytest.raises(UserError, match="share an id"):
    _read(monkeypatch, _record(), _record())

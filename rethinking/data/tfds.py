"""Sets that TFDS has prepared by any name, as array_record or tfrecord."""

import hashlib
import io
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rethinking.data import checked, pictures, prepared, tfrecord
from rethinking.runtime.errors import UserError
from rethinking.storage import reading

_MOST_TEXT = 2**20
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_KINDS = {"Image": "image_feature.Image", "ClassLabel": "class_label"}
_FOLDER = (
  "a folder of it instead: where TensorFlow is, write the images of "
  "tfds.load(NAME) to FOLDER/CLASS/NUMBER.png and give data=FOLDER"
)


class _Features(NamedTuple):
  """The one image and the one label of each example, by name."""

  image: str
  label: str
  num_classes: int


def read(
  data: str, data_dir: Any, resize: int | None, cache: bool
) -> tuple[dict[str, dict[str, Any]], str]:
  """Returns the arrays of a prepared set.

  Args:
    data: "tfds:NAME[/CONFIG][:VERSION]"; without a version the newest.
    data_dir: folder of prepared sets; None: as for the built-in ones.
    resize: pixels a side; None: the images have one size.
    cache: whether to keep the decoded images in the user's cache folder.

  Returns:
    Images, labels and class_names of "train" and "test", or of "all" where
    there is only train; ids are positions in the prepared set. And how the
    images were stored.

  Raises:
    UserError: for what can't be read, saying how to make a folder of it.
  """
  try:
    folder = _folder(data, prepared.root(data_dir))
    info = reading.read_json(folder / "dataset_info.json")
    features = _features(folder)
    lengths = {
      split["name"]: [int(n) for n in split["shardLengths"]]
      for split in info["splits"]
      if split.get("filepathTemplate", _TEMPLATE) == _TEMPLATE
    }
    names = _class_names(folder, features)
    if "train" not in lengths:
      raise ValueError(f"it has no split train, but {sorted(lengths)}")
    splits = ("train", "test") if "test" in lengths else ("train",)
    found, words = {}, []
    for split in splits:
      stem = f"{info['name']}-{split}.{info['fileFormat']}"
      count = len(lengths[split])
      files = [folder / f"{stem}-{i:05d}-of-{count:05d}" for i in range(count)]
      records = _records(files, info["fileFormat"])
      if not records or len(records) != sum(lengths[split]):
        raise ValueError(
          f"{len(records)} of {sum(lengths[split])} {split} examples"
        )
      encoded, labels = _examples(records, features)
      images, stored = _decoded(folder, split, encoded, resize, cache)
      words.append(f"{split} {stored}")
      found["all" if len(splits) == 1 else split] = {
        "images": images,
        "labels": labels,
        "class_names": names,
      }
  # JSON of another form raises any of the latter.
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    line = " ".join(str(error).split())[:300].rstrip(".")
    raise UserError(
      f"data must be what TFDS prepared, got {data!r} ({line}); try {_FOLDER}."
    ) from error
  return found, f"{info['name']} {info['version']}, {'; '.join(words)}"


def _folder(data: str, root: pathlib.Path) -> pathlib.Path:
  """The folder of a version."""
  name, _, version = data.removeprefix("tfds:").partition(":")
  if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name) or ".." in name:
    raise ValueError(f"{name!r} is no NAME or NAME/CONFIG")
  base = root / name
  there = [p.name for p in base.iterdir()] if base.is_dir() else []
  versions = [
    found
    for found in there
    if _VERSION.fullmatch(found) and (base / found / "features.json").is_file()
  ]
  if version and version not in versions:
    raise ValueError(f"{base} has the versions {sorted(versions)}")
  if not versions:
    raise ValueError(f"there is no prepared version in {base}")
  newest = max(versions, key=lambda v: [int(n) for n in v.split(".")])
  return base / (version or newest)


def _features(folder: pathlib.Path) -> _Features:
  described = reading.read_json(folder / "features.json")
  fields = described["featuresDict"]["features"]
  chosen = {}
  for kind, words in _KINDS.items():
    own = [n for n, f in fields.items() if words in f["pythonClassName"]]
    if len(own) != 1:
      raise ValueError(f"it has {len(own)} features of type {kind}, not one")
    chosen[kind] = own[0]
  dtype = fields[chosen["Image"]]["image"].get("dtype", "uint8")
  if dtype != "uint8":
    raise ValueError(f"its images are {dtype}, not uint8")
  label = chosen["ClassLabel"]
  classes = int(fields[label]["classLabel"]["numClasses"])
  if not 2 <= classes <= checked.MOST_CLASSES:
    raise ValueError(
      f"it has {classes} classes, not 2 to {checked.MOST_CLASSES}"
    )
  return _Features(chosen["Image"], label, classes)


def _class_names(folder: pathlib.Path, features: _Features) -> list[str]:
  path = folder / f"{features.label}.labels.txt"
  try:
    names = reading.read(path, _MOST_TEXT).decode().splitlines()
  except FileNotFoundError:
    return [str(label) for label in range(features.num_classes)]
  if len(names) != features.num_classes:
    raise ValueError(f"{path.name} holds {len(names)} names")
  return names


def _records(files: Sequence[pathlib.Path], form: str) -> Sequence[bytes]:
  """The serialized examples, in the order they are stored."""
  if form not in ("array_record", "tfrecord"):
    raise ValueError(f"it is stored as {form}, not array_record or tfrecord")
  for file in files:
    if not file.is_file():
      raise ValueError(f"{file.name} is missing")
  if form == "tfrecord":
    found = []
    for file in files:
      try:
        found += tfrecord.read(file)
      except ValueError as error:
        raise ValueError(f"{file.name}: {error}") from error
    return found
  from array_record.python import array_record_data_source

  try:
    source = array_record_data_source.ArrayRecordDataSource(
      [os.fspath(file) for file in files]
    )
    return source.__getitems__(range(len(source)))
  except (RuntimeError, LookupError) as error:
    raise ValueError(str(error)) from error


def _examples(
  records: Sequence[bytes], features: _Features
) -> tuple[list[bytes], np.ndarray]:
  """The encoded images and the labels."""
  from google.protobuf import message
  from tensorflow_datasets.proto import tf_example_pb2

  encoded, labels = [], np.empty(len(records), np.int32)
  for i, record in enumerate(records):
    try:
      feature = tf_example_pb2.Example.FromString(record).features.feature
      (image,) = feature[features.image].bytes_list.value
      (labels[i],) = feature[features.label].int64_list.value
    except (message.DecodeError, ValueError, OverflowError) as error:
      raise ValueError(f"record {i}: {error}") from error
    encoded.append(image)
  return encoded, labels


def _decoded(
  folder: pathlib.Path,
  split: str,
  encoded: Sequence[bytes],
  resize: int | None,
  cache: bool,
) -> tuple[np.ndarray, str]:
  names = [f"{split} {place}" for place in range(len(encoded))]
  digest = hashlib.sha256()
  for image in encoded if cache else ():
    digest.update(hashlib.sha256(image).digest())
  return pictures.cached(
    f"{os.path.realpath(folder)}/{split}",
    digest.hexdigest() if cache else None,
    resize,
    lambda: pictures.decode(
      names, lambda place: io.BytesIO(encoded[place]), resize
    ),
  )

"""Reads prepared records through TFDS and decodes them with OpenCV."""

import concurrent.futures
import functools
import os
from collections.abc import Sequence

import numpy as np

from rethinking.data import prepared
from rethinking.data.arrays import Arrays
from rethinking.runtime.errors import UserError

_SIGNATURES = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG"}
_CHUNK = 2500  # Examples decoded by one task of the thread pool.


def read(source: prepared.Source) -> Arrays:
  """Reads and decodes a prepared split.

  Args:
    source: what `prepared.describe` returned.

  Returns:
    The examples in ascending order of id.

  Raises:
    UserError: if a record is damaged or isn't what the dataset should hold.
  """
  examples = _examples(source)
  if len(examples) != source.examples:
    raise prepared.damaged(
      source.folder,
      f"{len(examples)} of {source.examples} {source.split} examples",
    )
  count = len(examples)
  images = np.empty((count, *source.spec.shape), np.uint8)
  labels = np.empty(count, np.int32)
  ids = np.arange(count, dtype=np.uint32)
  decode = functools.partial(_decode, source, examples, (images, labels, ids))
  starts = range(0, count, _CHUNK)
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    encodings = set().union(*pool.map(decode, starts))
  ids, order = np.unique(ids, return_index=True)
  if len(ids) < count:
    raise prepared.damaged(source.folder, "two examples share an id")
  if source.spec.numbered:
    images, labels = images[order], labels[order]
  encoding = encodings.pop() if len(encodings) == 1 else "mixed"
  return Arrays(images, labels, ids, encoding)


def _examples(source: prepared.Source) -> Sequence[bytes]:
  """The serialized examples of a split, in the order they are stored."""
  # Imported late: TFDS takes a second, and a valid cache doesn't need it.
  import tensorflow_datasets as tfds

  try:
    # TFDS imports what it needs where that is first read.
    open_folder = tfds.builder_from_directory
    # Raw bytes: TFDS's own deserialization is slower than parsing them here.
    method = tfds.decode.DeserializeMethod.RAW_BYTES
  except AttributeError as error:
    raise _incomplete(error.__context__ or error) from error
  try:
    data_source = open_folder(source.folder).as_data_source(
      split=source.split, deserialize_method=method
    )
    return data_source.__getitems__(range(len(data_source)))
  except ImportError as error:
    raise _incomplete(error) from error
  # TFDS, protobuf and array_record raise anything for files that are damaged.
  except Exception as error:
    raise prepared.damaged(source.folder, str(error)) from error


def _incomplete(reason: BaseException) -> UserError:
  return UserError(
    "TensorFlow Datasets must be installed with what it needs, got "
    f"{' '.join(str(reason).split())!r}; try `pip install "
    "tensorflow-datasets array_record`."
  )


def _decode(
  source: prepared.Source,
  examples: Sequence[bytes],
  arrays: tuple[np.ndarray, np.ndarray, np.ndarray],
  start: int,
) -> set[str]:
  """Decodes one chunk into the given arrays; returns the encodings seen."""
  import cv2
  from google.protobuf import message
  from tensorflow_datasets.proto import tf_example_pb2

  images, labels, ids = arrays
  shape, prefix = source.spec.shape, f"{source.split}_"
  encodings = set()
  for i in range(start, min(start + _CHUNK, len(examples))):
    try:
      feature = tf_example_pb2.Example.FromString(examples[i]).features.feature
      (encoded,) = feature["image"].bytes_list.value
      (label,) = feature["label"].int64_list.value
      if source.spec.numbered:
        (text,) = feature["id"].bytes_list.value
        ids[i] = int(text.decode("ascii").removeprefix(prefix))
      pixels = cv2.imdecode(
        np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED
      )
      if (
        pixels is None
        or pixels.dtype != np.uint8
        or pixels.shape != (shape if shape[-1] > 1 else shape[:2])
        or not 0 <= label < source.spec.num_classes
      ):
        raise ValueError(f"not a labelled image of shape {shape}")
    except (message.DecodeError, ValueError, OverflowError, cv2.error) as error:
      raise prepared.damaged(
        source.folder, f"{source.split} record {i}: {error}"
      ) from error
    if shape[-1] == 3:
      pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    images[i] = pixels.reshape(shape)
    labels[i] = label
    names = (e for s, e in _SIGNATURES.items() if encoded.startswith(s))
    encodings.add(next(names, "other"))
  return encodings

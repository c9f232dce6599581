"""TFDS's own dataset builders, made to work without TensorFlow.

Versions, features, addresses and checksums are TFDS's. Only the reading of
the archives and the PNG encoding, which TFDS leaves to TensorFlow, are done
here. Importing this module imports TFDS, which takes a second.
"""

import io
import itertools
import os
import urllib.parse
from collections.abc import Iterator

import cv2
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import checksums
from tensorflow_datasets.image_classification import cifar, mnist

from rethinking.data import archives
from rethinking.runtime.errors import UserError

_Examples = Iterator[tuple[int, dict[str, object]]]


class _CifarBuilder:
  """Reads CIFAR's binary archive; the layout comes from TFDS's own builder."""

  def urls(self) -> dict[str, str]:
    """Returns the address of each file to download."""
    return {"archive": self._cifar_info.url}

  def _split_generators(
    self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, _Examples]:
    layout = self._cifar_info
    splits = {"train": layout.train_files, "test": layout.test_files}
    wanted = [*layout.label_files, *splits["train"], *splits["test"]]
    contents = archives.read_tar(
      _downloaded(self, dl_manager)["archive"],
      [layout.prefix + name for name in wanted],
    )
    for key, file in zip(layout.label_keys, layout.label_files, strict=True):
      lines = contents[layout.prefix + file].decode("ascii").splitlines()
      self.info.features[key].names = [line for line in lines if line]
    return {
      split: self._generate_examples(
        split, [contents[layout.prefix + file] for file in files]
      )
      for split, files in splits.items()
    }

  def _generate_examples(self, split: str, contents: list[bytes]) -> _Examples:
    keys = self._cifar_info.label_keys
    rows = itertools.chain.from_iterable(
      zip(*archives.read_cifar(content, len(keys)), strict=True)
      for content in contents
    )
    for index, (labels, image) in enumerate(rows):
      example = dict(zip(keys, map(int, labels), strict=True))
      example["id"] = f"{split}_{index:05d}"
      example["image"] = _png(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
      yield index, example


class _IdxBuilder:
  """Reads the four gzipped idx files that MNIST and its kin come in."""

  def urls(self) -> dict[str, str]:
    """Returns the address of each file to download."""
    return {
      f"{split} {kind}": urllib.parse.urljoin(
        self.URL, f"{prefix}-{kind}-idx{rank}-ubyte.gz"
      )
      for split, prefix in (("train", "train"), ("test", "t10k"))
      for kind, rank in (("images", 3), ("labels", 1))
    }

  def _split_generators(
    self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, _Examples]:
    paths = _downloaded(self, dl_manager)
    return {
      split: self._generate_examples(
        paths[f"{split} images"], paths[f"{split} labels"]
      )
      for split in ("train", "test")
    }

  def _generate_examples(
    self, images_path: os.PathLike[str], labels_path: os.PathLike[str]
  ) -> _Examples:
    images = archives.read_idx(images_path, 3)
    labels = archives.read_idx(labels_path, 1)
    if len(images) != len(labels):
      raise UserError(
        f"{images_path} holds {len(images)} images, {labels_path}"
        f" {len(labels)} labels; delete both and run again."
      )
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
      yield index, {"image": _png(image), "label": int(label)}


def _downloaded(
  builder: tfds.core.DatasetBuilder, dl_manager: tfds.download.DownloadManager
) -> dict[str, os.PathLike[str]]:
  """Downloads the archives; each is the published one.

  TFDS believes a file that is there already by its name.
  """
  urls = builder.urls()
  paths = dl_manager.download(urls)
  published = checksums.get_all_url_infos() | (builder.url_infos or {})
  for key, path in paths.items():
    archives.check(path, published[urls[key]].checksum)
  return paths


def _png(image: np.ndarray) -> io.BytesIO:
  """The PNG file of an image in OpenCV's channel order."""
  _, encoded = cv2.imencode(".png", image)
  return io.BytesIO(encoded.tobytes())


# Unregistered, so that they may bear the names of TFDS's own builders. TFDS
# looks for checksums beside a builder's module, so they are passed on.
class Cifar10(_CifarBuilder, cifar.Cifar10, skip_registration=True):
  """CIFAR-10 as TFDS defines it."""

  url_infos = cifar.Cifar10.url_infos


class Cifar100(_CifarBuilder, cifar.Cifar100, skip_registration=True):
  """CIFAR-100 as TFDS defines it."""

  url_infos = cifar.Cifar100.url_infos


class MNIST(_IdxBuilder, mnist.MNIST, skip_registration=True):
  """MNIST as TFDS defines it."""

  url_infos = mnist.MNIST.url_infos


class FashionMNIST(_IdxBuilder, mnist.FashionMNIST, skip_registration=True):
  """Fashion-MNIST as TFDS defines it."""

  url_infos = mnist.FashionMNIST.url_infos

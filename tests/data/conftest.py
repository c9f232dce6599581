"""Small archives in the real layouts, served on the loopback address."""

import contextlib
import dataclasses
import functools
import gzip
import hashlib
import http.server
import io
import pathlib
import pkgutil
import tarfile
import threading

import numpy as np
import pytest

_TRAIN, _TEST = 50, 20
_COARSE, _FINE = "coarse_label_names.txt", "fine_label_names.txt"


@dataclasses.dataclass(frozen=True)
class Served:
  """A data set made for a test and what its archives were made of.

  Attributes:
    name: the data set it stands in for.
    folder: the folder of the archives.
    urls: the address of each archive, by the builder's own keys.
    arrays: images and labels of each split.
    requests: the paths asked for so far.
  """

  name: str
  folder: pathlib.Path
  urls: dict[str, str]
  arrays: dict[str, tuple[np.ndarray, np.ndarray]]
  requests: list[str]

  def url_infos(self):
    """The archives' right checksums, as TFDS keeps them."""
    from tensorflow_datasets.core.download import checksums

    return {
      url: checksums.UrlInfo(
        size=len(content),
        checksum=hashlib.sha256(content).hexdigest(),
        filename=url.rsplit("/", 1)[1],
      )
      for url in self.urls.values()
      for content in [(self.folder / url.rsplit("/", 1)[1]).read_bytes()]
    }


def _arrays(shape, num_classes):
  rng = np.random.default_rng(7)
  return {
    split: (
      rng.integers(0, 256, (count, *shape), dtype=np.uint8),
      rng.integers(0, num_classes, count, dtype=np.uint8),
    )
    for split, count in (("train", _TRAIN), ("test", _TEST))
  }


def _cifar_rows(images, labels, coarse):
  columns = [labels[:, None]]
  if coarse:
    columns.insert(0, labels[:, None] // 5)
  planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
  return np.concatenate([*columns, planes], axis=1).tobytes()


def _tar(path, prefix, members):
  with tarfile.open(path, "w:gz") as archive:
    for name, content in members.items():
      member = tarfile.TarInfo(prefix + name)
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))


def _write_cifar10(folder, arrays):
  images, labels = arrays["train"]
  members = {
    "batches.meta.txt": "".join(f"class{i}\n" for i in range(10)).encode()
  }
  for i, rows in enumerate(np.split(np.arange(_TRAIN), 5), 1):
    members[f"data_batch_{i}.bin"] = _cifar_rows(
      images[rows], labels[rows], False
    )
  members["test_batch.bin"] = _cifar_rows(*arrays["test"], False)
  _tar(folder / "cifar-10.tar.gz", "cifar-10-batches-bin/", members)
  return {"archive": "cifar-10.tar.gz"}


def _write_cifar100(folder, arrays):
  members = {
    _COARSE: "".join(f"group{i}\n" for i in range(20)).encode(),
    _FINE: "".join(f"class{i}\n" for i in range(100)).encode(),
    "train.bin": _cifar_rows(*arrays["train"], True),
    "test.bin": _cifar_rows(*arrays["test"], True),
  }
  _tar(folder / "cifar-100.tar.gz", "cifar-100-binary/", members)
  return {"archive": "cifar-100.tar.gz"}


def _write_idx(folder, arrays):
  files = {}
  for split, (images, labels) in arrays.items():
    for kind, array in (("images", images[..., 0]), ("labels", labels)):
      header = (
        bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
      )
      files[f"{split} {kind}"] = f"{split}-{kind}.gz"
      content = gzip.compress(header + array.tobytes())
      (folder / f"{split}-{kind}.gz").write_bytes(content)
  return files


_MAKERS = {
  "cifar10": ((32, 32, 3), 10, _write_cifar10),
  "cifar100": ((32, 32, 3), 100, _write_cifar100),
  "mnist": ((28, 28, 1), 10, _write_idx),
  "fashion_mnist": ((28, 28, 1), 10, _write_idx),
}


class _Handler(http.server.SimpleHTTPRequestHandler):
  def log_message(self, *_):
    self.server.requests.append(self.path)


class _Server(http.server.ThreadingHTTPServer):
  def handle_error(self, *_):
    pass  # A client that hangs up after the first bytes is no news.


@contextlib.contextmanager
def _serve(folder):
  server = _Server(
    ("127.0.0.1", 0), functools.partial(_Handler, directory=folder)
  )
  server.requests = []
  thread = threading.Thread(target=server.serve_forever, args=(0.01,))
  thread.start()
  try:
    yield server
  finally:
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def cache_home(tmp_path, monkeypatch) -> pathlib.Path:
  """A cache folder of the test's own."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  return tmp_path / "cache"


@pytest.fixture
def prepared_cifar10(serve, tmp_path):
  """A prepared stand-in for CIFAR-10: its folder and what was served."""
  from rethinking.data import preparation

  served = serve("cifar10")
  return preparation.prepare("cifar10", tmp_path / "data"), served


@pytest.fixture
def serve(tmp_path, monkeypatch):
  """Serves a small stand-in and points TFDS's builder at it."""
  from rethinking.data import registry

  with contextlib.ExitStack() as stack:

    def start(name: str, url_infos=None) -> Served:
      shape, num_classes, write = _MAKERS[name]
      folder = tmp_path / f"served-{name}"
      folder.mkdir()
      arrays = _arrays(shape, num_classes)
      files = write(folder, arrays)
      server = stack.enter_context(_serve(folder))
      base = f"http://127.0.0.1:{server.server_port}/"
      urls = {key: base + file for key, file in files.items()}
      served = Served(name, folder, urls, arrays, server.requests)
      builder = pkgutil.resolve_name(registry.SPECS[name].builder)
      monkeypatch.setattr(builder, "urls", lambda self: dict(urls))
      monkeypatch.setattr(builder, "url_infos", url_infos or served.url_infos())
      return served

    yield start

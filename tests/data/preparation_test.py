import json
import pkgutil
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest

from rethinking import data
from rethinking.data import __main__ as command
from rethinking.data import builders, preparation
from rethinking.runtime.errors import UserError


def _contents(images, labels):
  return sorted(
    image.tobytes() + bytes([label])
    for image, label in zip(images, labels, strict=True)
  )


@pytest.mark.parametrize("name", [n for n in data.SPECS if n != "digits"])
def test_what_was_served_is_what_is_loaded(name, serve, tmp_path):
  served = serve(name)
  for split, (images, labels) in served.arrays.items():
    loaded = data.load(name, split, data_dir=tmp_path / "data")
    assert loaded.images.dtype == np.uint8
    assert loaded.labels.dtype == np.int32
    assert loaded.ids.dtype == np.uint32
    np.testing.assert_array_equal(loaded.ids, np.arange(len(images)))
    assert "PNG" in loaded.identity
    if name.startswith("cifar"):  # The original order.
      np.testing.assert_array_equal(loaded.images, images)
      np.testing.assert_array_equal(loaded.labels, labels)
      assert loaded.class_names == tuple(
        f"class{i}" for i in range(loaded.num_classes)
      )
    else:  # TFDS's order, which shuffles.
      assert _contents(loaded.images, loaded.labels) == _contents(
        images, labels
      )


def test_tfds_itself_reads_what_was_prepared(serve, tmp_path):
  import tensorflow_datasets as tfds

  served = serve("cifar10")
  preparation.prepare("cifar10", tmp_path / "data")
  source = tfds.data_source(
    "cifar10", split="train", data_dir=tmp_path / "data", download=False
  )
  images, labels = served.arrays["train"]
  for example in source:
    index = int(example["id"].removeprefix(b"train_"))
    np.testing.assert_array_equal(example["image"], images[index])
    assert example["label"] == labels[index]


def test_two_preparations_agree(serve, tmp_path):
  serve("mnist")
  first = data.load("mnist", "train", data_dir=tmp_path / "a", cache=False)
  second = data.load("mnist", "train", data_dir=tmp_path / "b", cache=False)
  assert first.identity == second.identity
  np.testing.assert_array_equal(first.images, second.images)


def test_wrong_checksum_is_refused(serve, tmp_path):
  served = serve("cifar10")
  archive = served.folder / "cifar-10.tar.gz"
  content = bytearray(archive.read_bytes())
  content[4] ^= 1  # The time stamp: still a valid archive.
  archive.write_bytes(content)
  with pytest.raises(UserError, match="wrong checksum") as error:
    preparation.prepare("cifar10", tmp_path / "data")
  assert "\n" not in str(error.value)
  assert not list((tmp_path / "data/cifar10").glob("*"))


def test_unknown_checksum_is_refused(serve, tmp_path):
  served = serve("cifar10")
  builders.Cifar10.url_infos.clear()
  assert served.urls
  with pytest.raises(ValueError, match="Missing checksums"):
    preparation.prepare("cifar10", tmp_path / "data")


@pytest.mark.parametrize(
  "name", [n for n, s in data.SPECS.items() if s.builder]
)
def test_tfds_knows_the_checksums_of_the_real_archives(name, tmp_path):
  from tensorflow_datasets.core.download import checksums

  known = checksums.get_all_url_infos()
  builder = pkgutil.resolve_name(data.SPECS[name].builder)(data_dir=tmp_path)
  known.update(builder.url_infos or {})
  assert builder.name == name
  for url in builder.urls().values():
    assert len(known[url].checksum) == 64


_PREPARE = """
import json, pathlib, sys
from tensorflow_datasets.core.download import checksums
from rethinking.data import builders, preparation
urls, infos = json.loads(sys.argv[1])
builders.Cifar10.urls = lambda self: urls
builders.Cifar10.url_infos = {
  url: checksums.UrlInfo(*info) for url, info in infos.items()
}
print("ready", flush=True)
sys.stdin.readline()
print(preparation.prepare("cifar10", pathlib.Path(sys.argv[2])))
"""


def test_two_processes_prepare_once(serve, tmp_path):
  served = serve("cifar10")
  infos = {
    url: (info.size, info.checksum, info.filename)
    for url, info in served.url_infos().items()
  }
  processes = [
    subprocess.Popen(
      [
        sys.executable,
        "-c",
        _PREPARE,
        json.dumps([served.urls, infos]),
        str(tmp_path / "data"),
      ],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for _ in range(2)
  ]
  for process in processes:
    assert process.stdout.readline() == "ready\n"
  for process in processes:
    process.stdin.write("\n")
    process.stdin.flush()
  for process in processes:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert str(tmp_path / "data/cifar10") in out
  # One look whether the server answers and one download.
  assert served.requests == ["/cifar-10.tar.gz"] * 2
  loaded = data.load("cifar10", "train", data_dir=tmp_path / "data")
  np.testing.assert_array_equal(loaded.images, served.arrays["train"][0])


def _closed_port():
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


def test_closed_network_fails_with_the_offline_command(tmp_path, monkeypatch):
  url = f"http://127.0.0.1:{_closed_port()}/cifar.tar.gz"
  monkeypatch.setattr(builders.Cifar10, "urls", lambda self: {"archive": url})
  with pytest.raises(UserError) as error:
    data.load("cifar10", "train", data_dir=tmp_path)
  message = str(error.value)
  assert url in message
  assert str(tmp_path / "cifar10") in message
  assert "python -m rethinking.data cifar10 --data_dir=DIR" in message
  assert "TFDS_DATA_DIR=DIR" in message
  assert "\n" not in message


def test_a_server_that_never_answers_is_given_up(tmp_path, monkeypatch):
  monkeypatch.setattr(preparation, "_PROBE_SECONDS", 0.2)
  with socket.create_server(("127.0.0.1", 0)) as silent:
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/cifar.tar.gz"
    monkeypatch.setattr(builders.Cifar10, "urls", lambda self: {"a": url})
    with pytest.raises(UserError, match=r"no answer in 0\.2 s"):
      preparation.prepare("cifar10", tmp_path)


def test_a_missing_file_on_the_server_is_named(serve, tmp_path):
  served = serve("cifar10")
  (served.folder / "cifar-10.tar.gz").unlink()
  with pytest.raises(UserError, match="HTTP status 404"):
    preparation.prepare("cifar10", tmp_path / "data")


def test_an_archive_brought_by_hand_needs_no_network(serve, tmp_path):
  served = serve("cifar10")
  manual = tmp_path / "data/downloads/manual"
  manual.mkdir(parents=True)
  (served.folder / "cifar-10.tar.gz").rename(manual / "cifar-10.tar.gz")
  assert preparation.prepare("cifar10", tmp_path / "data").is_dir()
  assert served.requests == []


def test_a_downloaded_archive_is_not_downloaded_again(serve, tmp_path):
  served = serve("cifar10")
  folder = preparation.prepare("cifar10", tmp_path / "data")
  asked = list(served.requests)
  shutil.rmtree(folder)
  assert preparation.prepare("cifar10", tmp_path / "data") == folder
  assert served.requests == asked


def test_prepared_data_asks_nobody(serve, tmp_path):
  served = serve("mnist")
  preparation.prepare("mnist", tmp_path / "data")
  asked = list(served.requests)
  preparation.prepare("mnist", tmp_path / "data")
  assert served.requests == asked


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
  (tmp_path / "file").touch()
  with pytest.raises(UserError, match="Cannot prepare mnist in .*file/data"):
    preparation.prepare("mnist", tmp_path / "file" / "data")


def test_a_disk_that_fills_up_while_writing_is_one_line(
  serve, tmp_path, monkeypatch
):
  serve("cifar10")

  def full(*_, **__):
    raise RuntimeError("write() failed:\nNo space left on device")

  monkeypatch.setattr(builders.Cifar10, "_generate_examples", full)
  with pytest.raises(UserError, match="No space left on device") as error:
    preparation.prepare("cifar10", tmp_path / "data")
  assert "\n" not in str(error.value)
  assert not list((tmp_path / "data/cifar10").iterdir())


def test_the_command_prepares_and_prints_the_folder(serve, tmp_path, capsys):
  serve("fashion_mnist")
  arguments = ["digits", "fashion_mnist", f"--data_dir={tmp_path / 'data'}"]
  assert command.main(arguments) == 0
  out = capsys.readouterr().out
  assert out.endswith(f"TFDS_DATA_DIR={tmp_path / 'data'}\n")
  assert str(tmp_path / "data/fashion_mnist/3.0.1") in out


def test_the_command_refuses_in_one_line(tmp_path, monkeypatch, capsys):
  url = f"http://127.0.0.1:{_closed_port()}/cifar.tar.gz"
  monkeypatch.setattr(builders.Cifar10, "urls", lambda self: {"a": url})
  assert command.main(["cifar10", f"--data_dir={tmp_path}"]) == 2
  assert capsys.readouterr().err.count("\n") == 1

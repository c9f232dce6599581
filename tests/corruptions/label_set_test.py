"""Human labels from a file."""

import os
import pathlib
import zipfile

import numpy as np
import pytest

from rethinking import corruptions
from rethinking.corruptions import label_set


def apply(path, array="worse", labels=(0, 1, 2), ids=(2, 1, 0)):
  one = corruptions.Corruption.create("human", path=str(path), array=array)
  return corruptions.apply(
    [one], seed=0, labels=np.array(labels), ids=np.array(ids), num_classes=3
  )


@pytest.fixture
def path(tmp_path):
  np.savez(
    tmp_path / "human.npz",
    clean_label=np.uint8([2, 1, 0]),
    worse=np.uint8([2, 0, 1]),
    objects=np.array([None, 1]),
  )
  return tmp_path / "human.npz"


def test_labels_come_by_id(path):
  done = apply(path)
  assert done.labels.tolist() == [1, 0, 2]
  step = done.report["corruptions"][0]
  assert (step["drawn"], step["changed"]) == (None, 2)
  assert step["nominal_rate"] is None and len(step["file_sha256"]) == 64


def test_what_does_not_fit_is_refused(path):
  with pytest.raises(ValueError, match="Example 2 has label 1, .* class 0"):
    apply(path, labels=(1, 1, 2))
  with pytest.raises(ValueError, match=r"no array 'x'; choose one of \['clean"):
    apply(path, array="x")
  with pytest.raises(ValueError, match="holds object, which is never loaded"):
    apply(path, array="objects")
  with pytest.raises(ValueError, match="no file of human labels"):
    apply(path.with_name("missing.npz"))


def test_a_damaged_file_is_refused(path):
  data = bytearray(path.read_bytes())
  data[len(data) // 4] ^= 1
  path.write_bytes(data)
  with pytest.raises(ValueError, match="can't be read as .npz"):
    apply(path)
  path.write_bytes(b"no archive")
  with pytest.raises(ValueError, match="can't be read as .npz"):
    apply(path)


def test_an_archive_that_unpacks_to_too_much_is_refused(path, monkeypatch):
  monkeypatch.setattr(label_set, "_MOST_BYTES", 10_000)
  with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("worse2.npy", bytes(20_000))
  assert path.stat().st_size < 10_000
  with pytest.raises(ValueError, match="unpacks to .* at most 10000 are read"):
    apply(path)


def test_cifar10n():
  """The published rates of the published file, where the machine has it."""
  path = pathlib.Path(os.environ.get("CIFAR10N", "missing"))
  if not path.is_file():
    pytest.skip(
      "no CIFAR-10N: point CIFAR10N at an .npz of its arrays in the original "
      "order (clean_label, worse_label, ...)"
    )
  clean = np.load(path)["clean_label"]
  one = corruptions.Corruption.create(
    "human", path=str(path), array="worse_label"
  )
  done = corruptions.apply(
    [one], seed=0, labels=clean, ids=np.arange(50_000), num_classes=10
  )
  assert round(100 * done.report["flip_rate"], 2) == 40.21

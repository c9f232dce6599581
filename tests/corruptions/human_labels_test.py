"""Human labels from a file."""

import os
import pathlib
import zipfile

import numpy as np
import pytest

from rethinking import corruptions
from rethinking.corruptions import human_labels


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
  with pytest.raises(
    ValueError, match="Example 2 must be of class 0, .* got 1;"
  ):
    apply(path, labels=(1, 1, 2))
  with pytest.raises(
    ValueError, match=r"array must be one of \['clean.*, got 'x'"
  ):
    apply(path, array="x")
  with pytest.raises(ValueError, match="holds object, which is never loaded"):
    apply(path, array="objects")
  with pytest.raises(ValueError, match="must be a file of human labels"):
    apply(path.with_name("missing.npz"))


def test_other_noise_before_is_replaced_whole(path):
  """The clean labels are compared with the true ones, not with noisy ones."""
  noise = corruptions.Corruption.create("symmetric", level=1.0)
  human = corruptions.Corruption.create("human", path=str(path), array="worse")
  done = corruptions.apply(
    [noise, human],
    seed=0,
    labels=np.array([0, 1, 2]),
    ids=np.array([2, 1, 0]),
    num_classes=3,
  )
  np.testing.assert_array_equal(done.labels, apply(path).labels)


def test_a_damaged_file_is_refused(path):
  whole = path.read_bytes()
  expected = apply(path).labels
  refused = 0
  for place in range(len(whole)):
    data = bytearray(whole)
    data[place] ^= 1 + place % 255
    path.write_bytes(data)
    # Some bytes say nothing, such as the time of day of a member.
    try:
      found = apply(path).labels
    except ValueError:
      refused += 1
    else:
      np.testing.assert_array_equal(found, expected)
  assert refused > len(whole) // 4
  path.write_bytes(b"PK no archive \0")
  with pytest.raises(ValueError, match="can't be read as .npz"):
    apply(path)


def test_an_archive_that_unpacks_to_too_much_is_refused(path, monkeypatch):
  monkeypatch.setattr(human_labels, "_MOST_BYTES", 10_000)
  with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("worse2.npy", bytes(20_000))
  assert path.stat().st_size < 10_000
  with pytest.raises(
    ValueError, match="must unpack to at most 10000 bytes, got"
  ):
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

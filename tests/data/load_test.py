import re
import subprocess
import sys

import numpy as np
import pytest

from rethinking import data
from rethinking.config import listing
from rethinking.data import __main__ as command
from rethinking.runtime.errors import UserError


def test_unknown_names_list_the_choices():
  with pytest.raises(UserError, match=r"one of \['cifar10'.*'imagenet'"):
    data.load("imagenet", "train")
  with pytest.raises(UserError, match=r"one of \['test'.*'valid'"):
    data.load("digits", "valid")


def _mine(split):
  images = np.full((3, 2, 2, 1), 9 if split == "train" else 8, np.uint8)
  return images, np.arange(3, dtype=np.int32), np.arange(3, dtype="u4"), "mine"


def test_a_set_that_is_there_is_one_row(monkeypatch, tmp_path, capsys):
  monkeypatch.setitem(sys.modules, "mine", sys.modules[__name__])
  row = data.registry.Spec((2, 2, 1), 3, reader="mine:_mine")
  monkeypatch.setitem(data.SPECS, "mine", row)
  loaded = data.load("mine", "test")
  assert (loaded.images == 8).all() and loaded.identity == "mine"
  assert (loaded.num_classes, loaded.class_names) == (3, ("0", "1", "2"))
  assert command.main(["mine", f"--data_dir={tmp_path}"]) == 0
  assert capsys.readouterr().out.startswith("mine: nothing to prepare\n")
  listed = listing.text()
  assert re.search(r"\n  mine +2x2x1, 3 classes, no download\n", listed)


def test_the_second_load_is_the_first(prepared_cifar10, monkeypatch):
  folder, _ = prepared_cifar10
  first = data.load("cifar10", "train", data_dir=folder.parents[1])
  monkeypatch.setattr(data.loading.records, "read", None)  # Must not be used.
  second = data.load("cifar10", "train", data_dir=folder.parents[1])
  assert first.identity == second.identity
  for name in ("images", "labels", "ids"):
    np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_another_source_is_decoded_anew(prepared_cifar10, cache_home):
  folder, _ = prepared_cifar10
  first = data.load("cifar10", "train", data_dir=folder.parents[1])
  names = folder / "label.labels.txt"
  names.write_text(names.read_text().replace("class0", "zero"))
  with pytest.warns(RuntimeWarning, match="another source"):
    second = data.load("cifar10", "train", data_dir=folder.parents[1])
  assert second.class_names[0] == "zero"
  assert second.identity != first.identity
  assert len(list(cache_home.rglob("images.npy"))) == 1


def test_without_cache_nothing_is_written(prepared_cifar10, cache_home):
  folder, _ = prepared_cifar10
  data.load("cifar10", "test", data_dir=folder.parents[1], cache=False)
  assert not cache_home.exists()


def test_a_damaged_cache_is_rebuilt_with_a_warning(
  prepared_cifar10, cache_home
):
  folder, served = prepared_cifar10
  data.load("cifar10", "train", data_dir=folder.parents[1])
  (path,) = cache_home.rglob("images.npy")
  path.write_bytes(path.read_bytes()[:-1])
  with pytest.warns(RuntimeWarning, match=r"images\.npy is damaged"):
    again = data.load("cifar10", "train", data_dir=folder.parents[1])
  np.testing.assert_array_equal(again.images, served.arrays["train"][0])
  data.load("cifar10", "train", data_dir=folder.parents[1])


_LIGHT = """
import sys
from rethinking import data
heavy = {"tensorflow_datasets", "cv2", "sklearn", "jax", "tensorflow"}
data.load("digits", "train")
assert not heavy & set(sys.modules), heavy & set(sys.modules)
data.load("cifar10", "train", data_dir=sys.argv[1])
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def test_digits_and_a_valid_cache_import_nothing_heavy(prepared_cifar10):
  root = str(prepared_cifar10[0].parents[1])
  data.load("cifar10", "train", data_dir=root)
  subprocess.run([sys.executable, "-c", _LIGHT, root], check=True)


def test_cifar10_is_in_its_original_order(tfds_dir):
  train = data.load("cifar10", "train", data_dir=tfds_dir, cache=False)
  assert train.images.shape == (50_000, 32, 32, 3)
  assert train.labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
  np.testing.assert_array_equal(np.bincount(train.labels), [5000] * 10)
  np.testing.assert_array_equal(train.ids, np.arange(50_000))
  assert train.class_names[6] == "frog"
  assert abs(train.images.mean() / 255 - 0.4734) < 1e-3


def test_mnist_is_mnist(tfds_dir):
  if not (tfds_dir / "mnist").is_dir():
    pytest.skip(
      "no prepared MNIST: run `python -m rethinking.data mnist`"
      f" --data_dir={tfds_dir}"
    )
  train = data.load("mnist", "train", data_dir=tfds_dir, cache=False)
  test = data.load("mnist", "test", data_dir=tfds_dir, cache=False)
  assert train.images.shape == (60_000, 28, 28, 1)
  assert test.images.shape == (10_000, 28, 28, 1)
  assert np.bincount(train.labels).tolist() == [
    5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
  ]  # fmt: skip
  assert round(float(train.images.mean()) / 255, 4) == 0.1307
  assert round(float(train.images.std()) / 255, 4) == 0.3081

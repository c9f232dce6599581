import gzip
import types

import numpy as np
import pytest
from sklearn import datasets

from rethinking import data
from rethinking.data import digits
from rethinking.runtime.errors import UserError


def test_the_digits_are_those_of_scikit_learn():
  bunch = datasets.load_digits()
  train, test = data.load("digits", "train"), data.load("digits", "test")
  images = np.concatenate([train.images, test.images])
  assert images.dtype == np.uint8
  np.testing.assert_array_equal(
    images, np.round(bunch.images * 255 / 16)[..., None]
  )
  labels = np.concatenate([train.labels, test.labels])
  assert labels.dtype == np.int32
  np.testing.assert_array_equal(labels, bunch.target)
  ids = np.concatenate([train.ids, test.ids])
  assert ids.dtype == np.uint32
  np.testing.assert_array_equal(ids, np.arange(1797))
  assert (len(train.ids), len(test.ids)) == (1437, 360)
  assert train.identity != test.identity


@pytest.mark.parametrize(
  "content",
  [b"", b"no gzip", gzip.compress(b"1,2\n"), gzip.compress(b"a,b\n")],
  ids=["empty", "no gzip", "too small", "no numbers"],
)
def test_a_damaged_file_is_named(content, tmp_path, monkeypatch):
  path = tmp_path / "datasets/data/digits.csv.gz"
  path.parent.mkdir(parents=True)
  path.write_bytes(content)
  spec = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
  monkeypatch.setattr(digits.importlib.util, "find_spec", lambda _: spec)
  with pytest.raises(UserError, match=r"digits\.csv\.gz"):
    data.load("digits", "train")


def test_without_scikit_learn_the_command_is_named(monkeypatch):
  monkeypatch.setattr(digits.importlib.util, "find_spec", lambda _: None)
  with pytest.raises(UserError, match="pip install scikit-learn"):
    data.load("digits", "train")

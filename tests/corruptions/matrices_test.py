"""Transition matrices, class maps, and the two conventions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethinking import corruptions
from rethinking.corruptions import matrices

CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()


@given(p=st.floats(0, 1), num_classes=st.integers(2, 20))
def test_rows_sum_to_one_and_rates_are_as_defined(p, num_classes):
  for make, wrong in (
    (corruptions.uniform_matrix, p * (num_classes - 1) / num_classes),
    (corruptions.symmetric_matrix, p),
    (corruptions.pair_flip_matrix, p),
  ):
    matrix = make(p, num_classes)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    np.testing.assert_allclose(1 - np.diag(matrix), wrong, atol=1e-12)


@given(p=st.floats(0, 1), num_classes=st.integers(2, 1000))
def test_conversions_are_inverse(p, num_classes):
  wrong = corruptions.exclusive_rate(p, num_classes)
  assert wrong == pytest.approx(p * (num_classes - 1) / num_classes)
  if wrong <= (num_classes - 1) / num_classes:
    assert corruptions.inclusive_rate(wrong, num_classes) == pytest.approx(p)


def test_an_unreachable_rate_is_refused():
  with pytest.raises(ValueError, match="rate must be at most 0.9, .* got 0.95"):
    corruptions.inclusive_rate(0.95, 10)


def test_cifar10_map():
  pairs = {
    (CIFAR10[i], CIFAR10[j])
    for i, j in enumerate(matrices.MAPS["cifar10"])
    if i != j
  }
  assert pairs == {
    ("truck", "automobile"),
    ("bird", "airplane"),
    ("deer", "horse"),
    ("cat", "dog"),
    ("dog", "cat"),
  }


def test_mnist_map():
  found = {(i, j) for i, j in enumerate(matrices.MAPS["mnist"]) if i != j}
  assert found == {(7, 1), (2, 7), (5, 6), (6, 5), (3, 8)}


def test_cifar100_map_goes_round_superclasses_of_five():
  following = matrices.MAPS["cifar100"]
  assert sorted(following) == list(range(100))
  for start in range(100):
    circle = [start]
    while following[circle[-1]] != start:
      circle.append(following[circle[-1]])
    assert len(circle) == 5
  # beaver -> dolphin -> otter -> seal -> whale -> beaver.
  assert [following[i] for i in (4, 30, 55, 72, 95)] == [30, 55, 72, 95, 4]


@pytest.mark.parametrize(
  ("map", "message"),
  [
    ("mnist2", "map must be one of .*, got 'mnist2'"),
    ((0, 1), "label for each of 3 classes, got 2 in"),
    ((0, 1, 3), "must be of integers in 0..2, got 3;"),
    ((0, 1, 0.5), "must be of integers in 0..2, got 0.5;"),
  ],
)
def test_bad_maps_are_refused(map, message):
  with pytest.raises(ValueError, match=message):
    matrices.flip_map(map, 3)

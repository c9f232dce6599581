"""Subsets: sizes, counts, both sides, and who travels with whom."""

import hashlib

import numpy as np
import pytest

from rethinking.memorization import design, pack, unpack

SIZES = (7, 351, 501, 1437, 60_000)
DESIGNS = (
  (0.7, 10, 3),
  (0.7, 10, 1),
  (0.1, 10, 2),
  (0.9, 10, 1),
  (0.5, 2, 5),
  (0.8, 5, 1),
  (2 / 3, 3, 2),
)


def _labels(n):
  return np.arange(n) ** 2 % 10


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("ratio", "members", "permutations"), DESIGNS)
def test_sizes_are_one_and_counts_within_one(n, ratio, members, permutations):
  masks = design(n, _labels(n), ratio, members, permutations, 0)
  assert masks.shape == (members * permutations, n)
  size = masks.sum(axis=1)
  assert (size == size[0]).all()
  assert abs(size[0] - ratio * n) < 1 or n < members
  counts = masks.reshape(permutations, members, n).sum(axis=1)
  ones = round(ratio * members)
  if n % members == 0:
    assert (counts == ones).all()
  elif n > members:
    other = (counts != ones).sum(axis=1)
    assert np.abs(counts - ones).max() == 1
    assert (other < 2 * members).all()
  if members > 2 or n % 2 == 0:
    assert 0 < counts.min() and counts.max() < members
  else:
    assert (counts == 0).sum(axis=1).tolist() == [1] * permutations
    assert ((counts == 0).sum(axis=0) < permutations).all()


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("members", [10, 2])
def test_the_size_is_the_nearest_integer(n, members):
  masks = design(n, _labels(n), 0.5, members, 2, 0)
  assert abs(masks[0].sum() - n / 2) <= 0.5


@pytest.mark.parametrize("n", [3, 7, 1437])
def test_two_runs_of_an_odd_number_share_it_out(n):
  masks = design(n, _labels(n), 0.5, 2, 1, 0)
  assert (masks.sum(axis=0) == 1).all()
  assert sorted(masks.sum(axis=1)) == [n // 2, n // 2 + 1]
  masks = design(n, _labels(n), 0.5, 2, 2, 0)
  assert masks.any(axis=0).all() and not masks.all(axis=0).any()


@pytest.mark.parametrize("n", range(2, 40))
def test_every_small_set_has_both_sides(n):
  for ratio, members, permutations in DESIGNS:
    masks = design(n, _labels(n), ratio, members, permutations, n)
    assert masks.any(axis=0).all() and not masks.all(axis=0).any()


def _together(masks):
  """Root mean square correlation over runs of two examples' membership."""
  kept = np.corrcoef(masks.T.astype(float))
  return np.sqrt((kept[np.triu_indices(len(kept), 1)] ** 2).mean())


def test_examples_travel_together_as_in_independent_subsets():
  """1 / sqrt(K) of independent ones; T / (T - 1) more variance of balanced."""
  balanced = _together(design(1437, _labels(1437), 0.7, 10, 10, 0))
  independent = _together(design(1437, _labels(1437), 0.7, 1, 100, 0))
  assert abs(independent - 0.1) < 0.002
  assert abs(balanced - 0.1 * np.sqrt(10 / 9)) < 0.002


def test_neighbours_in_a_chunk_do_not_stay_together():
  """Sorted by one label alone, the order is one random permutation of ids."""
  masks = design(1000, np.zeros(1000, int), 0.5, 10, 1, 0)
  # Ten of the 252 subsets of five runs would be all that there is, did chunks
  # not permute their runs.
  assert len(np.unique(masks, axis=1).T) > 100


def test_one_permutation_is_stratified_by_label():
  labels = np.repeat(np.arange(10), 145)
  masks = design(1450, labels, 0.8, 5, 1, 3)
  inside = masks.reshape(5, 10, 145).sum(axis=2)
  assert (inside == 116).all()
  loose = design(1450, np.zeros(1450, int), 0.8, 5, 1, 3)
  assert np.ptp(loose.reshape(5, 10, 145).sum(axis=2)) > 4


def test_independent_subsets_have_one_size_and_promise_no_side():
  masks = design(351, _labels(351), 0.7, 1, 5, 0)
  assert masks.sum(axis=1).tolist() == [246] * 5
  counts = masks.sum(axis=0)
  assert counts.min() < 2 and counts.max() == 5


def test_draws_follow_ids_and_the_seed():
  ids = np.arange(351, dtype=np.uint32) * 7 + 3
  order = np.random.default_rng(0).permutation(351)
  for permutations in (1, 3):
    masks = design(ids, _labels(351), 0.7, 10, permutations, 5)
    again = design(ids[order], _labels(351)[order], 0.7, 10, permutations, 5)
    np.testing.assert_array_equal(again, masks[:, order])
    other = design(ids, _labels(351), 0.7, 10, permutations, 6)
    assert (other != masks).mean() > 0.3
  np.testing.assert_array_equal(design(351, _labels(351), 0.7, 10, 3, 5), masks)


def test_earlier_permutations_do_not_depend_on_how_many_follow():
  few, many = (design(351, _labels(351), 0.7, 10, r, 0) for r in (2, 5))
  np.testing.assert_array_equal(many[:20], few)


def test_masks_are_the_same_everywhere():
  packed = pack(design(1437, _labels(1437), 0.7, 10, 10, 1))
  assert hashlib.sha256(packed.tobytes()).hexdigest() == (
    "198037dc81d47be75736190bab2e35f0d3cbf7bbfa88d7aec884c68abe81de15"
  )


@pytest.mark.parametrize("n", [1, 7, 8, 9])
def test_packed_masks_come_back(n):
  masks = np.random.default_rng(n).random((5, n)) < 0.5
  packed = pack(masks)
  assert packed.shape == (5, (n + 7) // 8) and packed.dtype == np.uint8
  np.testing.assert_array_equal(unpack(packed, n), masks)
  with pytest.raises(ValueError, match=rf"of {n + 8} examples must be uint8"):
    unpack(packed, n + 8)


@pytest.mark.parametrize(
  ("changed", "message"),
  [
    ({"ratio": 0.75}, r"an integer, got 0.75 \* 10; try members=4\."),
    ({"ratio": 0.01}, r"an integer, got 0.01 \* 10; try members=100\."),
    ({"ratio": 0}, r"ratio must be in \(0, 1\), got 0;"),
    ({"ratio": 1.0}, r"ratio must be in \(0, 1\), got 1.0;"),
    ({"ratio": float("nan")}, r"ratio must be in \(0, 1\), got nan;"),
    ({"ratio": 0.01, "members": 1}, "1 to 19 of the 20 examples, got 0 at"),
    ({"ratio": 0.99, "members": 1}, "1 to 19 of the 20 examples, got 20 at"),
    ({"examples": 1, "labels": [0]}, "1 to 0 of the 1 examples, got 0 at"),
    ({"labels": np.zeros(19, int)}, "one a label, got 20 for 19 labels"),
    ({"labels": np.zeros(20)}, "must be integers"),
    ({"examples": [3] * 20}, "Ids must be distinct, got 3"),
    ({"examples": 0}, "examples must be .*, got 0"),
    ({"members": 0}, "members must be .*, got 0"),
    ({"permutations": 0}, "permutations must be .*, got 0"),
    ({"seed": -1}, "seed must be .*, got -1"),
  ],
)
def test_bad_input_is_one_line(changed, message):
  arguments = {
    "examples": 20,
    "labels": np.zeros(20, int),
    "ratio": 0.7,
    "members": 10,
    "permutations": 2,
    "seed": 0,
  }
  with pytest.raises(ValueError, match=message) as found:
    design(**{**arguments, **changed})
  assert "\n" not in str(found.value)

"""Influence against a loop, and pairs that were planted."""

import importlib

import numpy as np
import pytest

from rethinking.memorization import design, influence, pairs

# By its full name, since the room has a function of that name.
module = importlib.import_module("rethinking.memorization.influence")


def _whole(masks, correct):
  return np.concatenate([tile for _, tile in influence(masks, correct)])


@pytest.mark.parametrize("entries", [1, 33, 2**22])
def test_influence_is_that_of_a_loop(monkeypatch, entries):
  monkeypatch.setattr(module, "_TILE", entries)
  random = np.random.default_rng(0)
  masks = random.random((17, 23)) < np.linspace(0.1, 0.9, 23)
  masks[:, 5], masks[:, 6] = True, False
  correct = random.random((17, 11)) < 0.6
  found = np.full((23, 11), 9.0)
  for rows, tile in influence(masks, correct):
    assert tile.size <= max(entries, 11)
    found[rows] = tile
  for i in range(23):
    for j in range(11):
      inside, outside = correct[masks[:, i], j], correct[~masks[:, i], j]
      if len(inside) and len(outside):
        difference = inside.sum() / len(inside) - outside.sum() / len(outside)
        assert abs(found[i, j] - difference) < 1e-12
      else:
        assert i in (5, 6) and np.isnan(found[i, j])
  assert np.isnan(found).sum() == 22


def _planted(runs_of=50, n=80, m=60, planted=30, seed=0):
  """Test example j < planted needs training example 2 j; runs differ."""
  masks = design(n, np.zeros(n, int), 0.7, 10, runs_of, seed)
  random = np.random.default_rng(seed)
  chance = np.broadcast_to(
    random.uniform(0.4, 0.8, size=(len(masks), 1)), (len(masks), m)
  ).copy()
  chance[:, :planted] = np.where(masks[:, : 2 * planted : 2], 0.9, 0.5)
  return masks, random.random(chance.shape) < chance


def test_planted_pairs_are_found(monkeypatch):
  monkeypatch.setattr(module, "_TILE", 420)
  masks, correct = _planted()
  found = pairs(masks, correct, 50, seed=0)
  planted = found.train == 2 * found.test
  assert planted.sum() == 30
  assert len(planted) - planted.sum() <= 6
  assert found.expected_false <= 0.1 * len(planted)
  assert found.influence.min() >= found.threshold - 1e-9
  assert (np.diff(found.influence) <= 0).all()
  whole = _whole(masks, correct)
  np.testing.assert_array_equal(whole[found.train, found.test], found.influence)
  assert (whole >= found.threshold - 1e-9).sum() == len(found.train)


def test_the_threshold_is_the_smallest_that_passes(monkeypatch):
  masks, correct = _planted()
  asked = []
  at_least = module._at_least

  def kept(masks, correct):
    asked.append((correct, at_least(masks, correct)))
    return asked[-1][1]

  monkeypatch.setattr(module, "_at_least", kept)
  found = pairs(masks, correct, 50, seed=0)
  (_, observed), *nulls = asked
  assert len(nulls) == 20
  whole = _whole(masks, correct)
  for step in (1, 50, 150, 400):
    assert observed[step] == (whole >= step / 1000 - 1e-9).sum()
  null = np.mean([counts for _, counts in nulls], axis=0)
  step = round(found.threshold * 1000)
  assert null[step] <= 0.1 * observed[step]
  assert found.expected_false == null[step]
  assert (null[1:step] > 0.1 * observed[1:step]).all()


def test_a_threshold_includes_what_equals_it_but_for_rounding():
  """Shares of 20 runs a side differ by multiples of 0.05."""
  masks = np.repeat([[True], [False]], 20, axis=0)
  counts = [(a, b) for a in range(21) for b in range(a + 1)]
  correct = np.array(
    [[k < a for a, _ in counts] for k in range(20)]
    + [[k < b for _, b in counts] for k in range(20)]
  )
  ((_, tile),) = influence(masks, correct)
  assert module._steps(tile)[0].tolist() == [50 * (a - b) for a, b in counts]


def test_the_null_gives_whole_runs_to_others_within_the_design(monkeypatch):
  """Row k of correct says k: a null keeps rows, and rows of a permutation."""
  masks = design(20, np.zeros(20, int), 0.5, 4, 6, 0)
  correct = (np.arange(24)[:, None] >> np.arange(5)) % 2 == 1
  asked = []

  def kept(masks, correct):
    asked.append(correct @ (1 << np.arange(5)))
    return np.zeros(1001, int)

  monkeypatch.setattr(module, "_at_least", kept)
  pairs(masks, correct, 6, seed=0)
  assert asked[0].tolist() == list(range(24))
  for runs in asked[1:]:
    assert sorted(runs) == list(range(24))
    blocks = runs.reshape(6, 4) // 4
    assert (blocks == blocks[:, :1]).all()
  moved = np.array(asked[1:])
  assert len(np.unique(moved, axis=0)) == 20
  assert len(np.unique(moved.reshape(-1, 6, 4)[:, :, 0] // 4, axis=0)) > 1
  assert len(np.unique(moved % 4, axis=0)) > 1


def test_noise_has_next_to_no_pairs():
  masks = design(80, np.zeros(80, int), 0.7, 10, 50, 0)
  random = np.random.default_rng(2)
  correct = random.random((500, 60)) < random.uniform(0.3, 0.9, size=(500, 1))
  found = pairs(masks, correct, 50, seed=0)
  assert len(found.train) <= 5


def test_nothing_observed_has_no_threshold():
  masks = design(20, np.zeros(20, int), 0.5, 2, 4, 0)
  found = pairs(masks, np.ones((8, 3), bool), 4, seed=0)
  assert np.isnan(found.threshold) and np.isnan(found.expected_false)
  assert [len(column) for column in found[2:]] == [0, 0, 0]


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.7, 0.9])
def test_the_fewest_runs_are_the_first_that_pass(ratio):
  def passes(runs):
    return 0.15 >= 3 / (2 * np.sqrt(runs * ratio * (1 - ratio))) - 1e-12

  fewest = module.fewest_runs(ratio)
  assert passes(fewest) and not passes(fewest - 1)
  assert module.too_few(fewest, ratio) is None
  assert f"{fewest - 1}, 1 are missing" in module.too_few(fewest - 1, ratio)


def test_bad_input_is_refused():
  masks = design(20, np.zeros(20, int), 0.5, 2, 4, 0)
  with pytest.raises(ValueError, match=r"correct must be bool \[8, m\]"):
    influence(masks, np.ones((7, 3), bool))
  with pytest.raises(ValueError, match=r"got float64 \[8, 3\]"):
    pairs(masks, np.ones((8, 3)), 4, seed=0)
  with pytest.raises(ValueError, match="masks must be bool"):
    influence(masks.astype(int), np.ones((8, 3), bool))
  with pytest.raises(ValueError, match="must divide the 8 runs, got 3"):
    pairs(masks, np.ones((8, 3), bool), 3, seed=0)

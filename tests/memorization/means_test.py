"""Means of groups, and bootstrap samples of permutations."""

import numpy as np
import pytest

from rethinking.memorization import design, interval, means, resampled, scores
from rethinking.memorization.draws import words


def _found(masks, seed=0):
  """Memorised ones: right inside; their labels are changed."""
  random = np.random.default_rng(seed)
  n = masks.shape[1]
  changed = np.arange(n) % 3 == 0
  chance = np.where(masks, 0.95, np.where(changed, 0.1, 0.8))
  predicted = (random.random(masks.shape) >= chance).astype(int)
  given = np.zeros(n, int)
  true = changed.astype(int)
  p = random.random(masks.shape)
  return scores(masks, predicted == 0, p, predicted, true, given), changed


def test_both_decompositions_hold_where_a_side_is_missing():
  masks = np.random.default_rng(0).random((9, 60)) < 0.7
  masks[:, :4] = [True, False, True, False]
  found, changed = _found(masks)
  for among in (changed, ~changed):
    both = among & (found.k_in > 0) & (found.k_out > 0)
    mean = means(found, among)
    assert mean["examples"] == both.sum()
    assert mean["missing"] == among.sum() - both.sum() > 0
    assert mean["acc_in"] == pytest.approx(mean["acc_out"] + mean["mem"])
    assert mean["p_in"] == pytest.approx(mean["p_out"] + mean["mem_p"])
    assert mean["mem"] == pytest.approx(np.mean(found.mem[both]), abs=1e-12)
    trained = among & (found.k_in > 0)
    right = (found.acc_in * found.k_in)[trained].sum()
    assert mean["pooled_acc_in"] == pytest.approx(
      right / masks[:, among].sum(), abs=1e-12
    )
  assert means(found, changed)["heldout_true"] == pytest.approx(
    1 - means(found, changed)["acc_out"]
  )
  assert np.isnan(means(found, ~changed)["heldout_true"])


def test_no_example_has_no_mean():
  found, changed = _found(design(20, np.zeros(20, int), 0.5, 2, 3, 0))
  mean = means(found, changed & False)
  assert (mean.pop("examples"), mean.pop("missing")) == (0, 0)
  assert np.isnan(list(mean.values())).all()
  with pytest.raises(ValueError, match=r"among must have shape \[20\]"):
    means(found, changed[:3])


@pytest.mark.parametrize("members", [5, 1])
def test_samples_are_those_of_a_loop(members):
  """Scores of the runs of the permutations drawn, as often as drawn."""
  n, permutations = 31, 6
  masks = design(n, np.zeros(n, int), 0.6, members, permutations, 0)
  outcome = np.random.default_rng(0).random(masks.shape)
  found = resampled(masks, outcome, permutations, seed=3)
  drawn = words((1000, permutations), 3, "bootstrap") % permutations
  for b in range(0, 1000, 37):
    runs = [int(r) * members + t for r in drawn[b] for t in range(members)]
    sides = [[], []]
    for i in range(n):
      inside = [outcome[k, i] for k in runs if masks[k, i]]
      outside = [outcome[k, i] for k in runs if not masks[k, i]]
      if inside and outside:
        sides[0].append(sum(inside) / len(inside))
        sides[1].append(sum(outside) / len(outside))
    expected = [np.mean(side) for side in sides]
    np.testing.assert_allclose(
      [column[b] for column in found],
      [*expected, expected[0] - expected[1]],
      rtol=0,
      atol=1e-12,
    )


def test_levels_are_resampled_as_pairs():
  """A run that is good is good at both levels: the difference is known."""
  masks = design(50, np.zeros(50, int), 0.5, 2, 10, 0)
  good = np.random.default_rng(0).random((20, 1))
  one, other = (
    resampled(masks, level * np.ones((20, 50)) + good, 10, seed=0)
    for level in (0.1, 0.3)
  )
  assert np.ptp(one.inside) > 0.1
  np.testing.assert_allclose(other.inside - one.inside, 0.2, atol=1e-12)
  unpaired = resampled(masks, 0.3 + good * np.ones((1, 50)), 10, seed=1)
  assert np.ptp(unpaired.inside - one.inside) > 0.1


def test_intervals_of_a_mean_cover_it():
  """Of 20 permutations, each with an effect of its own on all its runs."""
  covered = 0
  masks = design(30, np.zeros(30, int), 0.5, 2, 20, 0)
  for trial in range(200):
    random = np.random.default_rng(trial)
    effect = np.repeat(random.normal(size=20), 2)[:, None]
    outcome = masks * effect + random.normal(size=masks.shape)
    low, high = interval(resampled(masks, outcome, 20, seed=0).difference)
    covered += low <= 0 <= high
  assert 0.87 * 200 <= covered < 200


def test_one_permutation_leaves_nothing_to_resample():
  masks = design(20, np.zeros(20, int), 0.5, 2, 1, 0)
  found = resampled(masks, masks, 1, seed=0)
  assert np.isnan(found.difference).all() and found.difference.shape == (1000,)
  assert np.isnan(interval(found.difference)).all()


def test_bad_input_is_refused():
  masks = design(20, np.zeros(20, int), 0.5, 2, 3, 0)
  with pytest.raises(ValueError, match="must divide the 6 runs, got 4"):
    resampled(masks, masks, 4, seed=0)
  with pytest.raises(ValueError, match=r"outcome must have shape \[6, 20\]"):
    resampled(masks, masks[:, :3], 3, seed=0)

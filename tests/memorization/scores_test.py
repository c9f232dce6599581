"""Scores against a loop over runs, and how often intervals hold the truth."""

import math

import numpy as np
import pytest

from rethinking.memorization import (
  design,
  forgetting,
  pred_probs,
  scores,
)
from rethinking.memorization.scores import (
  at_presentation,
  largest_standard_error,
  newcombe,
)

# statsmodels 0.14, confint_proportions_2indep(method="newcomb"); the first six
# are those of Newcombe (1998), table II, which has four digits.
REFERENCE = {
  (56, 70, 48, 80): (0.05243147240236498, 0.33387265403690614),
  (9, 10, 3, 10): (0.1705227239345029, 0.809017973535488),
  (6, 7, 2, 7): (0.05822792748231209, 0.8062496375242278),
  (5, 56, 0, 29): (-0.038137147903536936, 0.19256001385511165),
  (10, 10, 0, 20): (0.6790860371419145, 1.0),
  (10, 10, 0, 10): (0.6075093504305241, 1.0),
  (0, 10, 0, 20): (-0.1611251580528194, 0.27753279986288926),
  (70, 70, 3, 30): (0.7353542556969317, 0.9654001112526659),
  (41, 70, 30, 30): (-0.5311878821543954, -0.2576146599540301),
  (3, 5, 5, 5): (-0.7692757187239871, 0.11818243828697239),
}
Z = 1.959963984540054


def _outcomes(runs=23, n=40, classes=4):
  """Unequal counts: example i is inside with a probability of its own."""
  random = np.random.default_rng(0)
  masks = random.random((runs, n)) < np.linspace(0, 1, n)
  assert not masks[:, 0].any()
  masks[:, -1] = True
  given = random.integers(classes, size=n)
  predicted = random.integers(classes, size=(runs, n))
  return {
    "masks": masks,
    "correct": predicted == given,
    "p": random.random((runs, n)).astype(np.float32),
    "predicted": predicted,
    "true": np.where(random.random(n) < 0.5, given, (given + 1) % classes),
    "given": given,
  }


def _mean(values):
  return sum(values) / len(values) if values else math.nan


def _by_roots(right_1, runs_1, right_2, runs_2):
  """Newcombe's interval; Wilson's ends solve (x/n - p)^2 = z^2 p (1 - p)/n."""
  if min(runs_1, runs_2) < 5:
    return math.nan, math.nan
  p, low, high = [], [], []
  for x, n in ((right_1, runs_1), (right_2, runs_2)):
    share = x / n
    roots = np.roots([1 + Z**2 / n, -2 * share - Z**2 / n, share**2])
    p.append(share)
    low.append(min(roots.real))
    high.append(max(roots.real))
  d = p[0] - p[1]
  return (
    d - math.sqrt((p[0] - low[0]) ** 2 + (high[1] - p[1]) ** 2),
    d + math.sqrt((high[0] - p[0]) ** 2 + (p[1] - low[1]) ** 2),
  )


def test_scores_are_those_of_a_loop_over_runs():
  given = _outcomes()
  found = scores(**given)
  runs, n = given["masks"].shape
  right = given["predicted"] == given["given"]
  right_true = given["predicted"] == given["true"]
  for i in range(n):
    sides = {True: [], False: []}
    for k in range(runs):
      sides[bool(given["masks"][k, i])].append(k)
    (acc_in, acc_out), (p_in, p_out), (_, finds_true) = (
      [
        _mean([float(values[k, i]) for k in side])
        for side in (sides[True], sides[False])
      ]
      for values in (right, given["p"], right_true)
    )
    k_in, k_out = len(sides[True]), len(sides[False])
    low, high = _by_roots(
      round(acc_in * k_in) if k_in else 0,
      k_in,
      round(acc_out * k_out) if k_out else 0,
      k_out,
    )
    if given["true"][i] == given["given"][i]:
      finds_true = math.nan
    np.testing.assert_allclose(
      [column[i] for column in found],
      [k_in, k_out, acc_in, acc_out, acc_in - acc_out, low, high]
      + [p_in, p_out, p_in - p_out, finds_true],
      rtol=0,
      atol=1e-12,
    )
  missing = np.isnan(found.mem)
  assert missing.sum() >= 2
  np.testing.assert_array_equal(missing, (found.k_in == 0) | (found.k_out == 0))
  few = np.minimum(found.k_in, found.k_out) < 5
  assert (few & ~missing).any() and not few.all()
  np.testing.assert_array_equal(np.isnan(found.mem_low), few)
  np.testing.assert_array_equal(np.isnan(found.mem_high), few)


def test_intervals_are_the_reference_values():
  for counts, ends in REFERENCE.items():
    np.testing.assert_allclose(newcombe(*counts), ends, rtol=0, atol=1e-9)
    np.testing.assert_allclose(_by_roots(*counts), ends, rtol=0, atol=1e-7)


def test_an_interval_needs_five_runs_a_side():
  for counts in ((4, 4, 3, 9), (3, 9, 0, 4), (0, 0, 3, 9), (3, 9, 0, 0)):
    assert np.isnan(newcombe(*counts)).all()
  assert not np.isnan(newcombe(0, 5, 5, 5)).any()


def test_simulated_coverage():
  """Of `scores` on a design, for shares inside and outside of 0.1 to 0.9."""
  each = 1000
  shares = np.arange(1, 10) / 10
  outside = np.repeat(shares, each)
  n = len(outside)
  labels = np.zeros(n, int)
  masks = design(n, labels, 0.7, 10, 10, 0)
  random = np.random.default_rng(1)
  covered = []
  for inside in shares:
    chance = np.where(masks, inside, outside)
    predicted = (random.random(masks.shape) >= chance).astype(np.int8)
    found = scores(masks, predicted == 0, chance, predicted, labels, labels)
    truth = inside - outside
    held = (found.mem_low <= truth) & (truth <= found.mem_high)
    covered.append(held.reshape(9, each).mean(axis=1))
    np.testing.assert_allclose(found.mem_p, truth, rtol=0, atol=1e-12)
  assert np.min(covered) >= 0.91
  assert 0.93 <= np.mean(covered) <= 0.98


@pytest.mark.parametrize("runs", [(70, 30), (15, 15), (10, 10), (10, 5)])
def test_exact_coverage(runs):
  """The probability of all outcomes whose interval holds the truth."""
  counts = [np.arange(n + 1) for n in runs]
  low, high = newcombe(counts[0][:, None], runs[0], counts[1], runs[1])
  choose = [[math.comb(n, x) for x in range(n + 1)] for n in runs]
  covered = []
  for p1 in np.linspace(0.1, 0.9, 41):
    for p2 in np.linspace(0.1, 0.9, 41):
      mass = [
        np.array(ways) * p**x * (1 - p) ** (n - x)
        for ways, p, x, n in zip(choose, (p1, p2), counts, runs, strict=True)
      ]
      held = (low <= p1 - p2 + 1e-12) & (p1 - p2 - 1e-12 <= high)
      covered.append((np.outer(*mass) * held).sum())
  assert min(covered) >= 0.91
  assert 0.93 <= np.mean(covered) <= 0.98


def test_the_largest_standard_error_is_that_of_two_halves():
  for ratio in (0.5, 0.7, 0.9):
    halves = math.sqrt(0.25 / (100 * ratio) + 0.25 / (100 * (1 - ratio)))
    assert largest_standard_error(100, ratio) == pytest.approx(
      halves, rel=1e-12
    )


def test_held_out_probabilities_are_added_run_by_run():
  random = np.random.default_rng(0)
  masks = random.random((7, 30)) < 0.6
  masks[:, 3] = True
  probabilities = random.dirichlet(np.ones(5), size=masks.shape)
  found = pred_probs(masks, iter(probabilities))
  assert found.shape == (30, 5) and found.dtype == np.float32
  assert np.isnan(found[3]).all()
  for i in set(range(30)) - {3}:
    mean = probabilities[~masks[:, i], i].mean(axis=0)
    np.testing.assert_array_equal(found[i], mean.astype(np.float32))


@pytest.mark.parametrize(
  ("runs", "got"),
  [
    ([(4, 3)] * 2, r"got \[\];"),
    ([(4, 3)] * 4, "got more;"),
    ([(5, 3)] * 3, r"got \[5, 3\];"),
    ([(4, 3), (4, 2), (4, 3)], r"got \[4, 2\];"),
    ([], r"got \[\];"),
  ],
)
def test_other_probabilities_are_refused(runs, got):
  masks = np.zeros((3, 4), bool)
  message = rf"probabilities must be 3 arrays \[4, C\], one a run, {got}"
  with pytest.raises(ValueError, match=message):
    pred_probs(masks, [np.zeros(shape) for shape in runs])


def test_what_training_says_is_that_of_a_loop():
  random = np.random.default_rng(0)
  times = random.integers(1, 6, size=(9, 30)) * (random.random((9, 30)) < 0.6)
  times[:, 4] = 0
  correct = random.integers(0, 3, size=times.shape).clip(max=times)
  correct[:, 7] = 0
  forgotten = random.integers(0, 3, size=times.shape).clip(max=correct)
  loss, margin = random.normal(size=(2, *times.shape)) * times
  aum, loss_mean = (at_presentation(times, x) for x in (margin, loss))
  events, never = forgetting(times, correct, forgotten)
  for i in range(30):
    inside = [k for k in range(9) if times[k, i]]
    total = sum(int(times[k, i]) for k in inside)
    if not inside:
      assert np.isnan([aum[i], loss_mean[i], events[i], never[i]]).all()
      continue
    learned = [k for k in inside if correct[k, i]]
    expected = (
      _mean([int(forgotten[k, i]) for k in learned])
      if learned
      else total / len(inside)
    )
    np.testing.assert_allclose(
      [aum[i], loss_mean[i], events[i], never[i]],
      [
        sum(margin[k, i] for k in inside) / total,
        sum(loss[k, i] for k in inside) / total,
        expected,
        1 - len(learned) / len(inside),
      ],
      rtol=0,
      atol=1e-12,
    )
  assert np.isnan(aum).sum() == 1 and (never == 1).sum() >= 1


@pytest.mark.parametrize(
  ("changed", "message"),
  [
    ({"masks": np.zeros((23, 40))}, "masks must be bool .* got float64"),
    ({"masks": np.zeros(40, bool)}, r"masks must be bool .* got bool \[40\]"),
    ({"masks": np.zeros((0, 40), bool)}, r"got bool \[0, 40\]"),
    (
      {"correct": np.zeros((40, 23), bool)},
      r"correct must have shape \[23, 40",
    ),
    ({"p": np.full((23, 40), 1.5)}, r"p must be in \[0, 1\], got 1.5 to 1.5"),
    ({"p": np.full((23, 40), np.nan)}, "got nan to nan"),
    ({"p": np.zeros(40)}, r"p must have shape \[23, 40\], got \[40\]"),
    ({"predicted": np.zeros(40, int)}, "predicted must have shape"),
    ({"true": np.zeros(41, int)}, r"true must have shape \[40\], got \[41\]"),
    ({"given": np.zeros(39, int)}, r"given must have shape \[40\], got \[39\]"),
    ({"given": np.zeros(40)}, "must be integers"),
  ],
)
def test_bad_input_is_one_line(changed, message):
  with pytest.raises(ValueError, match=message) as found:
    scores(**{**_outcomes(), **changed})
  assert "\n" not in str(found.value)


def test_right_on_the_true_label_is_refused():
  given = _outcomes()
  right = given["predicted"] == given["true"]
  differ = np.count_nonzero(right != given["correct"])
  with pytest.raises(ValueError, match=f"== given, got {differ} that differ;"):
    scores(**{**given, "correct": right})


def test_presentations_of_another_shape_are_refused():
  times = np.ones((3, 4), int)
  with pytest.raises(ValueError, match=r"total must have shape \[3, 4\]"):
    at_presentation(times, np.zeros((4, 3)))
  with pytest.raises(ValueError, match=r"forgotten must have shape \[3, 4\]"):
    forgetting(times, times, times[:1])
  with pytest.raises(ValueError, match=r"times must be integers .* float64"):
    at_presentation(times / 2, times)

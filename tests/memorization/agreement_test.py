"""Rank correlations against SciPy and loops, files of others' scores."""

import numpy as np
import pytest
import scipy.stats

from rethinking.memorization import agreement, compare, design, halves
from rethinking.runtime.errors import UserError

_IDS = np.array([3, 5, 8, 9], np.uint32)
_LABELS = np.array([1, 0, 1, 2], np.int32)


@pytest.mark.parametrize("values", [2, 5, 1000])
def test_the_rank_correlation_is_scipys_with_ties(values):
  random = np.random.default_rng(values)
  first, second = random.integers(0, values, size=(2, 300))
  second += first
  want = scipy.stats.spearmanr(first, second).statistic
  assert agreement.spearman(first, second) == pytest.approx(want, abs=1e-12)


def test_one_value_or_none_has_no_rank_correlation():
  assert np.isnan(agreement.spearman(np.ones(5), np.arange(5)))
  assert np.isnan(agreement.spearman(np.zeros(0), np.zeros(0)))


def test_halves_are_of_whole_permutations():
  masks = design(40, np.zeros(40, int), 0.5, 4, 5, 0)
  p = np.random.default_rng(0).random(masks.shape)
  even = [k for k in range(20) if k // 4 in (0, 2, 4)]
  odd = [k for k in range(20) if k // 4 in (1, 3)]
  found = [
    [p[[k for k in half if not masks[k, i]], i].mean() for i in range(40)]
    for half in (even, odd)
  ]
  want = scipy.stats.spearmanr(*found).statistic
  assert halves(masks, p, 5) == pytest.approx(want, abs=1e-12)
  assert np.isnan(halves(masks[:4], p[:4], 1))


def test_an_example_inside_a_whole_half_does_not_count():
  masks = np.array([[True, False, False], [False, False, False]])
  p = np.array([[9.0, 0.1, 0.2], [0.5, 0.3, 0.4]])
  assert halves(masks, p, 2) == pytest.approx(1)


def test_the_comparison_is_that_of_loops():
  random = np.random.default_rng(0)
  reference = random.random(3000).round(1)
  ours = (reference + random.normal(size=3000)).round(1)
  ours[:7] = np.nan
  found = compare(ours, reference)
  ours, reference = ours[7:], reference[7:]
  spearman = scipy.stats.spearmanr
  assert found.examples == 2993 and found.lowest == 1000
  assert found.spearman == pytest.approx(spearman(ours, reference).statistic)
  below = reference < 1
  want = spearman(ours[below], reference[below]).statistic
  assert found.below_top == pytest.approx(want)
  # Of the same order, without ties.
  order = np.argsort(np.argsort(reference, kind="stable"))
  assert found.largest == pytest.approx(spearman(order, reference).statistic)
  low, high = ours[reference < 0.5], ours[reference >= 0.5]
  above = (high[:, None] > low).mean() + (high[:, None] == low).mean() / 2
  assert found.auroc == pytest.approx(above)
  lowest = [set(np.argsort(x, kind="stable")[:1000]) for x in (ours, reference)]
  assert found.overlap == len(lowest[0] & lowest[1]) / 1000


def test_scores_without_a_low_one_or_a_second_value_have_no_such_number():
  found = compare(np.arange(3.0), np.ones(3))
  assert np.isnan([found.spearman, found.below_top, found.auroc]).all()
  assert (found.largest, found.lowest, found.overlap) == (0, 3, 1)
  assert compare(np.full(3, np.nan), np.ones(3)).examples == 0


def test_scores_come_by_order_or_by_id(tmp_path):
  scores = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
  np.save(tmp_path / "order.npy", scores)
  np.savez(tmp_path / "order.npz", scores=scores, labels=_LABELS)
  # More than these, in another order.
  np.savez(
    tmp_path / "ids.npz",
    scores=[0.4, 7, 0.2, 0.1, 0.3],
    ids=[9, 1, 5, 3, 8],
    labels=[2, 9, 0, 1, 1],
  )
  for name in ("order.npy", "order.npz", "ids.npz"):
    found = agreement.read(tmp_path / name, _IDS, _LABELS)
    np.testing.assert_allclose(found, scores, rtol=1e-6)
    assert found.dtype == float


def test_ids_may_be_names_in_any_order(tmp_path):
  path, names = tmp_path / "names.npz", np.array(["b.png", "a.png", "ç.png"])
  np.savez(path, scores=[1, 2, 3], ids=names[::-1])
  found = agreement.read(path, names, np.zeros(3, int))
  assert found.tolist() == [3, 2, 1]


@pytest.mark.parametrize(
  ("arrays", "message"),
  [
    ({"scores": np.ones(5)}, r"for each of 4 examples, got {'scores': 5};"),
    ({"scores": np.ones(4), "labels": np.ones(3)}, "'labels': 3}; try"),
    ({"scores": np.ones(4), "labels": [1, 0, 1, 1]}, "got 1 of 4 others"),
    ({"scores": np.ones(4), "ids": [3, 5, 8, 7]}, "got none for 1; try"),
    ({"mem": np.ones(4)}, r"an array scores, got \['mem'\]; try"),
    ({"scores": np.ones((4, 1))}, r"numbers \[N\], got float64 \[4, 1\]"),
    ({"scores": np.full(4, np.nan)}, "scores of the reference must be numbers"),
    ({"scores": np.array(["a"] * 4)}, "numbers .* got <U1"),
    ({"scores": np.array([None] * 4)}, r"readable .npz or .npy: .* object"),
  ],
)
def test_other_files_are_refused_in_one_line(tmp_path, arrays, message):
  np.savez(tmp_path / "bad.npz", **arrays)
  with pytest.raises(UserError, match=message) as error:
    agreement.read(tmp_path / "bad.npz", _IDS, _LABELS)
  assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["none.npz", "none.npy", "text.csv"])
def test_what_is_no_file_of_arrays_is_refused(tmp_path, name):
  (tmp_path / "text.csv").write_text("id,score\n")
  with pytest.raises(UserError, match="must be a readable .npz") as error:
    agreement.read(tmp_path / name, _IDS, _LABELS)
  assert "\n" not in str(error.value)

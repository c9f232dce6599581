"""AUROC and average precision with ties as scikit-learn; bootstraps."""

import numpy as np
import pytest
from sklearn import metrics

from rethinking import label_issues


@pytest.mark.parametrize("values", [3, 10, 10**6])
def test_areas_equal_scikit_learns_with_ties(values):
  draw = np.random.default_rng(values)
  for n in (5, 60, 501):
    wrong = draw.random(n) < 0.3
    wrong[:2] = True, False
    score = draw.integers(0, values, n) / values - 0.2 * wrong
    auroc = label_issues.auroc(wrong, score)
    assert auroc == pytest.approx(metrics.roc_auc_score(wrong, -score))
    found = label_issues.average_precision(wrong, score)
    want = metrics.average_precision_score(wrong, -score)
    assert found == pytest.approx(want)


def test_one_kind_of_label_has_no_area():
  score = np.arange(4.0)
  none, every = np.zeros(4, bool), np.ones(4, bool)
  assert np.isnan(label_issues.auroc(none, score))
  assert np.isnan(label_issues.auroc(every, score))
  assert np.isnan(label_issues.average_precision(none, score))
  assert label_issues.average_precision(every, score) == 1
  assert np.isnan(label_issues.precision_at_errors(none, score))
  assert np.isnan(label_issues.auroc_draws(none, score, 0, 3)).all()


def test_the_bootstrap_is_of_the_two_kinds_apart():
  draw = np.random.default_rng(0)
  wrong = np.arange(200) < 50
  score = np.round(draw.normal(size=200) + 1.5 * ~wrong)
  found = label_issues.auroc_draws(wrong, score, seed=1, draws=300)
  want = []
  for _ in range(300):
    rows = np.append(draw.integers(0, 50, 50), draw.integers(50, 200, 150))
    want.append(label_issues.auroc(wrong[rows], score[rows]))
  assert found.mean() == pytest.approx(np.mean(want), abs=0.006)
  assert found.std() == pytest.approx(np.std(want), rel=0.15)
  again = label_issues.auroc_draws(wrong, score, seed=1, draws=300)
  np.testing.assert_array_equal(found, again)


def test_the_first_rows_count_as_many_as_are_wrong():
  wrong = np.array([False, True, True, False, True])
  score = np.array([0.1, 0.2, 0.3, 0.9, 0.95])
  assert label_issues.precision_at_errors(wrong, score) == 2 / 3

"""The list, how far it is as good as it says, and when it says nothing."""

import numpy as np
import pytest

from rethinking import label_issues

from . import made


@pytest.mark.parametrize("p", [0.0, 0.1, 0.2])
def test_as_many_are_expected_as_are_wrong(p):
  labels, probs, wrong = made.known(0, n=4000, p=p)
  found = label_issues.find(labels, probs)
  assert found.guard == ""
  assert found.errors_low - 40 <= wrong.sum() <= found.errors_high + 40
  assert found.errors_low <= found.errors <= found.errors_high
  np.testing.assert_array_equal(found.listed, found.p_wrong > 0.5)
  np.testing.assert_array_equal(
    np.sort(found.rank), np.arange(1, len(labels) + 1)
  )
  assert (np.diff(found.score[np.argsort(found.rank)]) >= 0).all()
  if p:
    real = wrong[found.listed].mean()
    assert found.expected_precision(found.listed) == pytest.approx(
      real, abs=0.05
    )
    assert label_issues.auroc(wrong, found.score) > 0.97
    top = found.top(50)
    assert top.sum() == 50
    assert found.p_wrong[top].min() >= found.p_wrong[~top].max()


def test_the_list_is_better_than_scores_that_ignore_who_is_confused():
  labels, probs, wrong = made.known(1, n=4000, p=0.2)
  found = label_issues.auroc(wrong, label_issues.find(labels, probs).score)
  margin = label_issues.normalized_margin(labels, probs)
  assert found > label_issues.auroc(wrong, margin)


def test_pair_flip_of_nearly_half_is_guarded():
  labels, probs, _ = made.known(0, n=4000, p=0.4)
  found = label_issues.find(labels, probs, names="abcde")
  assert found.guard.startswith("this list may be inverted; look at 50 first")
  assert "of class " in found.guard or "are predicted outside" in found.guard
  assert found.expected_precision(found.listed) is None


def test_every_label_wrong_is_guarded():
  labels, probs = made.predictions(0, p=0.0)
  draw = np.random.default_rng(0)
  wrong = (labels + draw.integers(1, 5, len(labels))) % 5
  found = label_issues.find(wrong, probs)
  assert "are predicted outside, below 0.6" in found.guard


def test_the_class_that_keeps_too_few_labels_is_named():
  labels, probs, _ = made.known(0, n=4000, p=0.0)
  draw = np.random.default_rng(0)
  mine = (labels == 1) & (draw.random(4000) < 0.4)
  found = label_issues.find(np.where(mine, 2, labels), probs, names="abcde")
  assert "of class b an estimated 0." in found.guard


def test_a_class_that_is_not_there_changes_nothing():
  labels, probs = made.predictions(0)
  more = np.concatenate([probs, np.zeros((len(probs), 1))], axis=1)
  ours, theirs = (label_issues.find(labels, x) for x in (probs, more))
  np.testing.assert_allclose(ours.p_wrong, theirs.p_wrong, atol=1e-9)
  assert ours.errors == theirs.errors and ours.guard == theirs.guard


def test_equal_images_are_found_by_their_bytes():
  images = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 1), np.uint8)
  images[5], images[7] = images[2], images[2]
  images[8] = images[0]
  groups = label_issues.duplicates(images[:8], images[8:])
  assert groups == [[(0, 0), (1, 0)], [(0, 2), (0, 5), (0, 7)]]
  same, other = np.zeros(8, int), np.arange(8)
  test = np.zeros(1, int)
  assert label_issues.telling(groups, same, test) == groups[:1]
  assert label_issues.telling(groups, other, test) == groups

"""The confident joint by its definition and cleanlab's; what follows of it."""

import numpy as np
import pytest

from rethinking import label_issues

from . import made


def _slowly(labels, probs):
  """Counts by the definition, without scaling."""
  classes = probs.shape[1]
  mean = [probs[labels == k, k].mean() for k in range(classes)]
  joint = np.zeros((classes, classes))
  for label, row in zip(labels, probs, strict=True):
    above = [k for k in range(classes) if row[k] >= mean[k] - 1e-6]
    if above:
      joint[label, max(above, key=lambda k: row[k])] += 1
  return joint


@pytest.mark.parametrize("sharp", [0.3, 1.0, 12.0])
def test_the_joint_counts_confident_examples(sharp):
  labels, probs = made.predictions(0, sharp=sharp)
  joint = label_issues.confident_joint(labels, probs)
  count = np.bincount(labels)
  np.testing.assert_allclose(joint.sum(axis=1), count)
  slow = _slowly(labels, probs)
  want = slow / slow.sum(axis=1, keepdims=True) * count[:, None]
  np.testing.assert_allclose(joint, want)


def test_the_joint_is_cleanlabs_but_for_its_rounding():
  count = pytest.importorskip(
    "cleanlab.count", reason="needs cleanlab, of the extra compare"
  )
  for seed in range(3):
    labels, probs = made.predictions(seed)
    theirs = count.compute_confident_joint(labels, probs)
    ours = label_issues.confident_joint(labels, probs)
    assert np.abs(ours - theirs).max() < 1


def test_weights_count_examples_as_often():
  labels, probs = made.predictions(0, n=60)
  times = np.random.default_rng(1).integers(0, 3, 60)
  rows = np.repeat(np.arange(60), times)
  np.testing.assert_allclose(
    label_issues.confident_joint(labels, probs, times),
    label_issues.confident_joint(labels[rows], probs[rows]),
  )


def test_unfolding_inverts_what_the_noise_did():
  draw = np.random.default_rng(0)
  true = draw.dirichlet(np.full(4, 0.2), 50)
  matrix = 0.8 * np.eye(4) + 0.2 * np.roll(np.eye(4), 1, axis=1)
  found = label_issues.unfold(true @ matrix, matrix)
  np.testing.assert_allclose(found.sum(axis=1), 1)
  folded = np.abs(true @ matrix - true).mean()
  assert np.abs(found - true).mean() < 0.15 * folded
  np.testing.assert_allclose(label_issues.unfold(true, np.eye(4)), true)


def test_the_posterior_is_bayes_rule():
  labels, probs = made.predictions(0, n=50)
  matrix = label_issues.transition(label_issues.confident_joint(labels, probs))
  np.testing.assert_allclose(matrix.sum(axis=1), 1)
  prior = label_issues.unfold(probs, matrix)
  found = label_issues.p_right(labels, probs, matrix)
  for i, j in enumerate(labels):
    total = sum(prior[i, k] * matrix[k, j] for k in range(5))
    assert found[i] == pytest.approx(prior[i, j] * matrix[j, j] / total)

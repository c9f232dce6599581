"""Labels at several levels, and repeated images."""

import numpy as np
import pytest

from rethinking.theory import config, task


def _images():
  images = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2, 1)
  images[3] = images[1]
  return images


def test_repeats_with_one_label_are_kept_once():
  labels = np.array([0, 1, 2, 1, 4])
  rows = task.distinct(_images(), [labels], np.arange(5))
  np.testing.assert_array_equal(rows, [0, 1, 2, 4])


def test_repeats_with_two_labels_are_named():
  fine, wrong = np.array([0, 1, 2, 1, 4]), np.array([0, 1, 2, 8, 4])
  with pytest.raises(
    task.ContradictionError, match="Examples 11 and 13 .*labels 1 and 8"
  ):
    task.distinct(_images(), [fine, wrong], np.arange(10, 15))


def test_levels_nest_and_equal_a_run_at_that_level():
  c = config.kernel("digits")
  c.label_noise = "uniform"
  resolved = config.resolve(c)
  base = task.load(resolved)
  half, half_rate = task.labels_at(resolved, base, 0.5)
  full, _ = task.labels_at(resolved, base, 1.0)
  changed = half != base.train.true_labels
  np.testing.assert_array_equal(half[changed], full[changed])
  assert half_rate == pytest.approx(changed.mean())
  c.p = 0.5
  alone = task.load(config.resolve(c))
  np.testing.assert_array_equal(alone.train.labels, half)

"""Correlation with random signs: draws, intervals, training."""

import numpy as np
import pytest
import scipy.stats

from rethinking.runtime import errors
from rethinking.theory import config, rademacher, task


def _config(**fields):
  c = config.rademacher("digits")
  c.update({"draws": 3, "sizes": (20,), "steps": 40, "eval_steps": (0, 40)})
  c.compilation_cache = False
  c.update(fields)
  return c


def test_signs_are_fair_and_nested():
  signs = rademacher.draw_signs(0, 4, 2000)
  assert set(np.unique(signs)) == {-1, 1}
  assert abs(signs.mean()) < 4 / np.sqrt(signs.size)
  assert np.abs(np.corrcoef(signs) - np.eye(4)).max() < 0.1
  np.testing.assert_array_equal(rademacher.draw_signs(0, 2, 50), signs[:2, :50])
  assert (rademacher.draw_signs(1, 4, 2000) != signs).any()


def test_interval_is_student_s():
  values = np.array([0.1, 0.3, 0.2, 0.6])
  found = rademacher.interval(values, 0.9)
  low, high = scipy.stats.t.interval(
    0.9, 3, values.mean(), scipy.stats.sem(values)
  )
  np.testing.assert_allclose(found, (values.mean(), low, high))
  assert rademacher.interval(np.array([-1.0, 1.0]), 0.95) == (0.0, -1.0, 1.0)


def test_digits(tmp_path):
  summary = rademacher.run(_config(), tmp_path, quiet=True)
  rows = summary["estimates"]
  assert [(r["n"], r["step"]) for r in rows] == [(20, 0), (20, 40)]
  for row in rows:
    assert -1 <= row["low"] <= row["correlation"] <= row["high"] <= 1
    assert len(row["draws"]) == 3
  # Two logits: before any step their difference is of either sign.
  assert rows[1]["correlation"] == 1.0 > abs(rows[0]["correlation"]) + 0.5
  assert summary["is_lower_bound"]
  assert summary["train_accuracy"] == (1 + summary["correlation"]) / 2
  assert "lower bound" in (tmp_path / "table.md").read_text()
  for ending in ("png", "svg"):
    assert (tmp_path / f"rademacher.{ending}").stat().st_size > 1000


def test_draws_trained_at_once_are_those_trained_alone():
  resolved = config.resolve(_config())
  data = task.load(resolved)
  signs = rademacher.draw_signs(0, 3, 20)
  together = rademacher.correlations(resolved, data, signs)
  alone = rademacher.correlations(
    config.resolve(_config(vectorise=False)), data, signs
  )
  assert list(together) == [0, 40]
  for at in together:
    np.testing.assert_allclose(together[at], alone[at], atol=0.11)
  np.testing.assert_array_equal(together[40], 1)


def test_a_convolutional_learner(tmp_path):
  c = _config(arch="digits_cnn", sizes=(16,), steps=3, eval_steps=(3,), draws=2)
  summary = rademacher.run(c, tmp_path, quiet=True)
  assert -1 <= summary["correlation"] <= 1


def test_too_many_examples_are_refused(tmp_path):
  with pytest.raises(errors.UserError, match="at most 1437, .* got 5000"):
    rademacher.run(_config(sizes=(5000,)), tmp_path, quiet=True)

"""Theorem 1 on real digits, beside a trained MLP."""

import jax
import numpy as np
import pytest

from rethinking import data
from rethinking.theory import config, expressivity, task


def _config():
  c = config.expressivity("digits")
  c.compilation_cache = False
  return c


def test_digits_with_random_labels(tmp_path):
  c = _config()
  c.label_noise, c.p, c.epochs, c.batch_size = "uniform", 1.0, 1, 512
  summary = expressivity.run(c, tmp_path, quiet=True)
  assert summary["train_accuracy"] == 1.0
  assert summary["weights"] == 2 * 1437 + 64
  assert summary["weights"] == summary["expected_weights"]
  assert summary["test_accuracy"] < 0.2
  assert summary["largest_train_error"] < 1e-6
  assert 0 <= summary["mlp_test_accuracy"] <= 1
  table = (tmp_path / "table.md").read_text()
  assert "theorem 1 | 2,938 | 100.00" in table and "mlp_1x512" in table
  for ending in ("png", "svg"):
    assert (tmp_path / f"theorem.{ending}").stat().st_size > 1000
  assert (tmp_path / "mlp" / "summary.json").exists()
  # The precision was scoped.
  assert not jax.config.jax_enable_x64
  assert expressivity.run(c, tmp_path, quiet=True)["n"] == 1437


def test_contradictions_are_named(tmp_path, monkeypatch):
  original = data.load("digits", "train")
  images = original.images.copy()
  same = np.flatnonzero(original.labels != original.labels[0])[0]
  images[same] = images[0]
  changed = {
    "train": original.__class__(**{**vars(original), "images": images}),
    "test": data.load("digits", "test"),
  }
  monkeypatch.setattr(data, "load", lambda name, split, **_: changed[split])
  with pytest.raises(task.ContradictionError, match=f"Examples 0 and {same}"):
    expressivity.run(_config(), tmp_path, quiet=True)

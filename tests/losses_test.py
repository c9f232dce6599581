"""Cross-entropy against its definition."""

import jax
import numpy as np
import optax

from rethinking import losses


def test_it_is_minus_the_log_of_the_softmax():
  rng = np.random.default_rng(0)
  logits = rng.normal(0, 30, (50, 7)).astype(np.float32)
  labels = rng.integers(0, 7, 50)
  wide = logits.astype(np.float64)
  wide -= wide.max(-1, keepdims=True)
  want = np.log(np.exp(wide).sum(-1)) - wide[np.arange(50), labels]
  found = losses.cross_entropy(logits, labels)
  assert found.shape == (50,)
  np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(
    jax.grad(lambda x: losses.cross_entropy(x, labels).sum())(logits),
    jax.grad(
      lambda x: optax.softmax_cross_entropy_with_integer_labels(x, labels).sum()
    )(logits),
    atol=1e-6,
  )


def test_huge_logits_are_no_trouble():
  loss = losses.cross_entropy(np.array([[1e4, 0.0]] * 2), np.array([0, 1]))
  np.testing.assert_array_equal(loss, [0.0, 1e4])

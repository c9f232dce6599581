"""Theorem 1: exact fits, exact weight counts, the Linen twin."""

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from rethinking.theory import theorem

_apply = jax.jit(theorem.apply)


def _key(seed=0):
  return jax.random.key(seed, impl="threefry2x32")


# Few shapes, each compiled once; many directions, examples and labels.
@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(
  st.sampled_from([(1, 3), (2, 1), (40, 9)]), st.integers(0, 2**31)
)
def test_fits_any_labels_with_2n_plus_d_weights(shape, seed):
  n, d = shape
  rng = np.random.default_rng(seed)
  x, y = rng.standard_normal((n, d)), rng.integers(0, 10, n)
  with jax.enable_x64(True):
    variables = theorem.construct(_key(seed), jnp.asarray(x), y)
    outputs = _apply(variables, jnp.asarray(x))
    classes = theorem.classify(outputs, 10)
  assert theorem.count(variables) == 2 * n + d
  np.testing.assert_allclose(outputs, y, atol=1e-7)
  np.testing.assert_array_equal(classes, y)


def test_solves_the_triangular_system():
  rng = np.random.default_rng(0)
  z, y = np.sort(rng.standard_normal(30)), rng.standard_normal(30)
  with jax.enable_x64(True):
    b, w = (np.asarray(v) for v in theorem.weights(jnp.array(z), jnp.array(y)))
  matrix = np.maximum(z[:, None] - b, 0)
  assert np.all(np.triu(matrix, 1) == 0)
  assert b[0] < z[0]
  np.testing.assert_array_equal(b[1:], np.nextafter(z[:-1], np.inf))
  np.testing.assert_allclose(matrix @ w, y, atol=1e-9)
  np.testing.assert_allclose(np.linalg.solve(matrix, y), w, rtol=1e-6)


def test_stays_between_the_targets_between_the_samples():
  rng = np.random.default_rng(0)
  z, y = np.sort(rng.random(2000)), rng.integers(0, 10, 2000)
  with jax.enable_x64(True):
    b, w = theorem.weights(jnp.array(z), jnp.array(y, float))
    middle = jnp.array((z[1:] + z[:-1]) / 2)[:, None]
    variables = {"params": {"a": jnp.ones(1), "b": b, "w": w}}
    outputs = np.asarray(theorem.apply(variables, middle))
  np.testing.assert_allclose(outputs, (y[1:] + y[:-1]) / 2, atol=1e-6)


def test_linen_module_takes_the_variables():
  x = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
  variables = theorem.construct(_key(), x, np.arange(6))
  module = theorem.TwoLayerReLU(width=6)
  init = module.init(_key(), x)
  assert jax.tree.map(jnp.shape, init) == jax.tree.map(jnp.shape, variables)
  np.testing.assert_array_equal(
    module.apply(variables, x), theorem.apply(variables, x)
  )


def test_is_jittable_and_differentiable():
  x = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
  variables = theorem.construct(_key(), x, np.arange(6))
  grads = jax.jit(jax.grad(lambda v: theorem.apply(v, x).sum()))(variables)
  assert jax.tree.all(
    jax.tree.map(lambda g: bool(jnp.isfinite(g).all()), grads)
  )


def test_classes_are_the_nearest():
  outputs = jnp.array([-3.0, 0.4, 0.6, 8.9, 42.0])
  np.testing.assert_array_equal(theorem.classify(outputs, 10), [0, 0, 1, 9, 9])


def test_float32_collisions_are_refused_by_name():
  x = np.ones((3, 4), np.float32)
  x[1] = 2
  with pytest.raises(theorem.CollisionError, match="Rows 0 and 2 .*float64"):
    theorem.construct(_key(), x, np.arange(3))


def test_float32_is_right_or_refused():
  rng = np.random.default_rng(0)
  x, y = rng.random((100, 64)).astype(np.float32), rng.integers(0, 10, 100)
  refused = 0
  for seed in range(12):
    try:
      variables = theorem.construct(_key(seed), x, y)
    except theorem.CollisionError:
      refused += 1
      continue
    # One by one: summed in another order than all together.
    outputs = jnp.concatenate([_apply(variables, row[None]) for row in x])
    np.testing.assert_allclose(outputs, y, atol=0.2)
  assert 0 < refused < 12

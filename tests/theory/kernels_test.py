"""Kernels against their definitions, one point pair at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rethinking.theory import config, kernels


def _matrix(name, x, z, gamma):
  with jax.enable_x64(True):
    products = kernels.Products(
      jnp.asarray(x @ z.T),
      jnp.asarray((x**2).sum(1))[:, None],
      jnp.asarray((z**2).sum(1))[None],
    )
    return np.asarray(kernels.KERNELS[name](products, jnp.asarray(gamma)))


def _points(n=7, d=4, seed=0):
  return np.random.default_rng(seed).standard_normal((n, d))


_DEFINITIONS = {
  "linear": lambda x, z: x @ z,
  "gaussian": lambda x, z: np.exp(-0.3 * np.sum((x - z) ** 2)),
  "laplace": lambda x, z: np.exp(-0.3 * np.linalg.norm(x - z)),
  "quartic": lambda x, z: (
    ((x @ z) / np.linalg.norm(x) / np.linalg.norm(z)) ** 4
  ),
}


@pytest.mark.parametrize("name", sorted(_DEFINITIONS))
def test_equals_its_definition(name):
  x, z = _points(), _points(5, seed=1)
  expected = [[_DEFINITIONS[name](a, b) for b in z] for a in x]
  np.testing.assert_allclose(_matrix(name, x, z, 0.3), expected, atol=1e-12)


def test_arc_cosine_is_the_mean_over_random_relus():
  x, z = _points(3), _points(4, seed=1)
  w = np.random.default_rng(2).standard_normal((400_000, 4))
  mean = np.maximum(x @ w.T, 0) @ np.maximum(z @ w.T, 0).T / len(w)
  np.testing.assert_allclose(
    _matrix("arc_cosine", x, z, 1.0), 2 * mean, atol=0.06
  )


def test_ntk_is_the_inner_product_of_gradients():
  x, z = _points(3), _points(4, seed=1)
  rng = np.random.default_rng(2)
  width = 400_000
  w, v = rng.standard_normal((width, 4)), rng.standard_normal(width)

  def gradients(a, b):
    hidden, other = w @ a, w @ b
    last = np.maximum(hidden, 0) @ np.maximum(other, 0)
    first = np.sum(v**2 * (hidden > 0) * (other > 0)) * (a @ b)
    return 2 * (last + first) / width

  expected = [[gradients(a, b) for b in z] for a in x]
  np.testing.assert_allclose(_matrix("ntk", x, z, 1.0), expected, atol=0.08)


@pytest.mark.parametrize("name", sorted(kernels.KERNELS))
def test_is_symmetric_and_positive_semidefinite(name):
  x = _points(12)
  matrix = _matrix(name, x, x, 0.3)
  np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
  assert np.linalg.eigvalsh(matrix).min() > -1e-9


def test_a_black_image_gives_numbers():
  x = np.zeros((1, 4))
  for name in kernels.KERNELS:
    assert np.isfinite(_matrix(name, x, _points(), 0.3)).all()


def test_a_config_may_name_each():
  for name in kernels.KERNELS:
    c = config.kernel("digits")
    c.kernel = name
    assert config.resolve(c).kernel == name


@pytest.mark.parametrize(
  "name, gamma", [("gaussian", 0.02), ("laplace", 0.1), ("quartic", 1.0)]
)
def test_default_gamma(name, gamma):
  assert kernels.default_gamma(name, 100.0) == pytest.approx(gamma)
  assert kernels.default_gamma(name, 0.0) == 1.0

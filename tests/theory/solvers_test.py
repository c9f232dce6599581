"""Every solver finds the same minimum-norm or ridge fit."""

import numpy as np
import pytest

from rethinking.theory import cholesky, gram, solvers

_TILE = 16


def _problem(dtype="float64", n=50, gamma=0.1):
  rng = np.random.default_rng(0)
  x, z = rng.standard_normal((n, 5)), rng.standard_normal((9, 5))
  source = gram.Held(
    x.astype(dtype), z.astype(dtype), "gaussian", gamma, tile=_TILE
  )
  matrix = np.exp(-gamma * ((x[:, None] - x[None]) ** 2).sum(-1))
  cross = np.exp(-gamma * ((z[:, None] - x[None]) ** 2).sum(-1))
  return source, matrix, cross, rng.standard_normal((n, 3))


def _solve(name, source, y, ridge):
  if name == "eigen":
    return next(iter(solvers.by_eigen(source, y, [ridge])))
  solve = {"tiles": solvers.by_tiles, "device": solvers.by_device}[name]
  return solve(source, y, ridge, 2)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("name", ["tiles", "device", "eigen"])
def test_agrees_with_the_formula(name, ridge):
  source, matrix, cross, y = _problem()
  fit = _solve(name, source, y, ridge)
  alpha = np.linalg.solve(matrix + ridge * np.eye(len(y)), y)
  np.testing.assert_allclose(fit.train, matrix @ alpha, atol=1e-6)
  np.testing.assert_allclose(fit.test, cross @ alpha, atol=1e-4)
  np.testing.assert_allclose(
    fit.inner, alpha.T @ matrix @ alpha, rtol=1e-5, atol=1e-3
  )
  if not ridge:
    np.testing.assert_allclose(fit.train, y, atol=1e-6)
  true = np.linalg.cond(matrix + ridge * np.eye(len(y)))
  assert 0.3 * true < fit.condition < 1.01 * true
  assert fit.residual < 1e-6 and fit.solver == name


@pytest.mark.parametrize("name", ["tiles", "device"])
def test_refinement_reaches_the_targets_in_float32(name):
  source, _, _, y = _problem("float32", n=120, gamma=0.12)
  solve = {"tiles": solvers.by_tiles, "device": solvers.by_device}[name]
  rough = solve(source, 100 * y, 0.0, 0)
  refined = solve(source, 100 * y, 0.0, 4)
  assert rough.residual > 1e-2 and rough.refinements == 0
  assert refined.residual < 1e-2 and refined.refinements > 0


@pytest.mark.parametrize("name", ["tiles", "device", "eigen"])
def test_a_singular_matrix_is_refused(name):
  x = np.random.default_rng(0).standard_normal((40, 3))
  source = gram.Held(x, x, "linear", None, tile=_TILE)
  with pytest.raises(cholesky.NotPositiveDefiniteError, match="ridge"):
    _solve(name, source, np.ones((40, 1)), 0.0)


def test_primal_is_the_pseudoinverse_and_the_kernel_ridge():
  rng = np.random.default_rng(0)
  x, z, y = (rng.standard_normal(s) for s in ((30, 6), (9, 6), (30, 2)))
  x[:, 5] = x[:, 4]
  plain, ridged = solvers.by_primal(x, z, y, [0.0, 0.4])
  weights = np.linalg.pinv(x) @ y
  np.testing.assert_allclose(plain.test, z @ weights, atol=1e-9)
  assert plain.rank == 5
  alpha = np.linalg.solve(x @ x.T + 0.4 * np.eye(30), y)
  np.testing.assert_allclose(ridged.test, z @ x.T @ alpha, atol=1e-9)
  np.testing.assert_allclose(ridged.inner, alpha.T @ x @ x.T @ alpha)

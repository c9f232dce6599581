"""The primal path; the eigenvalue path is tested beside its rivals."""

import numpy as np

from rethinking.theory import spectral


def test_primal_is_the_pseudoinverse_and_the_kernel_ridge():
  rng = np.random.default_rng(0)
  x, z, y = (rng.standard_normal(s) for s in ((30, 6), (9, 6), (30, 2)))
  x[:, 5] = x[:, 4]
  plain, ridged = spectral.by_primal(x, z, y, [0.0, 0.4])
  weights = np.linalg.pinv(x) @ y
  np.testing.assert_allclose(plain.test, z @ weights, atol=1e-9)
  assert plain.rank == 5
  alpha = np.linalg.solve(x @ x.T + 0.4 * np.eye(30), y)
  np.testing.assert_allclose(ridged.test, z @ x.T @ alpha, atol=1e-9)
  np.testing.assert_allclose(ridged.inner, alpha.T @ x @ x.T @ alpha)

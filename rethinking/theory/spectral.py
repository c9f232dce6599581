"""Whole paths of ridges from one eigendecomposition."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import scipy.linalg

from rethinking.theory import cholesky, gram
from rethinking.theory.solvers import Fit, finish

# Above this an eigendecomposition, about 25 Cholesky factorisations, no longer
# pays for a path over a handful of ridges.
EIGEN_LIMIT = 3_000


def by_eigen(
  source: gram.Gram, targets: np.ndarray, ridges: Sequence[float]
) -> Iterator[Fit]:
  """A whole path of ridges from one eigendecomposition in float64.

  `alpha = Q (D + ridge)^-1 Q^T y` with `K = Q D Q^T`; 9 n^3 operations once,
  then n^2 for each ridge.

  Args:
    source: the kernel matrix.
    targets: float64 `[n, c]`.
    ridges: each >= 0.

  Yields:
    One fit for each ridge, in order.

  Raises:
    NotPositiveDefiniteError: an eigenvalue plus the ridge is not above
      rounding.

  Reference:
    Golub, Van Loan (2013), "Matrix computations", section 6.1.4.
  """
  matrix = np.empty((source.n, source.n))
  cross = [source.cross(j) for j in range(len(source.spans))]
  cross = np.concatenate(cross, 1).astype(np.float64)
  for rows, columns, tile in source.lower():
    matrix[rows, columns] = tile
    matrix[columns, rows] = tile.T
  values, vectors = scipy.linalg.eigh(matrix)
  floor = source.n * np.finfo(np.float64).eps * values[-1]
  rotated = vectors.T @ targets
  for ridge in ridges:
    shifted = values + ridge
    if shifted[0] <= floor:
      raise cholesky.NotPositiveDefiniteError(
        f"The kernel matrix is singular in {source.dtype} (smallest eigenvalue"
        f" {values[0]:.1e}, largest {values[-1]:.1e}); set a ridge > 0 or,"
        " for the gaussian and laplace kernels, a larger gamma."
      )
    alpha = vectors @ (rotated / shifted[:, None])
    train, test = matrix @ alpha, cross @ alpha
    known = {"condition": float(shifted[-1] / shifted[0]), "solver": "eigen"}
    yield finish(alpha, train, test, targets, ridge, **known)


def by_primal(
  train: np.ndarray,
  test: np.ndarray,
  targets: np.ndarray,
  ridges: Sequence[float],
) -> Iterator[Fit]:
  """The linear kernel through its D weights: a path from one decomposition.

  `w = Q (D + ridge)^-1 Q^T X^T y` with `X^T X = Q D Q^T` in float64. With ridge
  0, directions of eigenvalue below `n eps` of the largest are left out: the
  minimum-norm least-squares fit, which interpolates only if the rank is n.

  Args:
    train: features `[n, D]`.
    test: features `[m, D]`.
    targets: float64 `[n, c]`.
    ridges: each >= 0.

  Yields:
    One fit for each ridge, in order. Its condition is over the directions
    kept, its residual is that of the fit itself.

  Reference:
    Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 5.
  """
  x = train.astype(np.float64)
  z = test.astype(np.float64)
  values, vectors = scipy.linalg.eigh(x.T @ x)
  floor = max(x.shape) * np.finfo(np.float64).eps * values[-1]
  kept = values > floor
  rotated = vectors[:, kept].T @ (x.T @ targets)
  for ridge in ridges:
    shifted = values[kept] + ridge
    weights = vectors[:, kept] @ (rotated / shifted[:, None])
    train, test = x @ weights, z @ weights
    known = {
      "condition": float(shifted.max() / shifted.min()),
      "solver": "primal",
      "rank": int(kept.sum()),
    }
    # There are no coefficients: the residual is that of the fit itself.
    none = np.zeros_like(targets)
    fit = finish(none, train, test, targets, ridge, **known)
    yield dataclasses.replace(fit, inner=weights.T @ weights)

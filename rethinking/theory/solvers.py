"""Minimum-norm and ridge fits: by Cholesky, or many from one decomposition.

They find the f of smallest norm in the kernel's space that minimises
`sum_i (f(x_i) - y_i)^2 + ridge |f|^2`; with ridge 0 and a positive definite
kernel it passes through every target.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from rethinking.theory import cholesky, gram

_TOLERANCE = 1e-2
# Above this an eigendecomposition, about 25 Cholesky factorisations, no longer
# pays for a path over a handful of ridges.
EIGEN_LIMIT = 3_000


@dataclasses.dataclass(frozen=True)
class Fit:
  """A fitted function for each column of the targets.

  Attributes:
    ridge: the penalty.
    train: outputs at the train examples, float64 `[n, c]`.
    test: outputs at the test examples, float64 `[m, c]`.
    inner: inner products of the functions in the kernel's space, float64
      `[c, c]`; the diagonal holds the squared norms.
    residual: the largest |entry| of `y - (K + ridge) alpha`.
    relative_residual: the same in Frobenius norms, over that of y.
    condition: estimate for `K + ridge`, a lower bound.
    solver: 'tiles', 'device', 'eigen' or 'primal'.
    refinements: steps of iterative refinement taken.
    rank: of the linear map; None for other kernels.
    seconds: of the stages, by name; empty for other solvers than 'tiles'.
  """

  ridge: float
  train: np.ndarray
  test: np.ndarray
  inner: np.ndarray
  residual: float
  relative_residual: float
  condition: float
  solver: str
  refinements: int = 0
  rank: int | None = None
  seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)


def _apply_tiles(source: gram.Gram, alpha: np.ndarray) -> np.ndarray:
  """K alpha in float64 from freshly computed tiles."""
  out = np.zeros_like(alpha)
  for rows, columns, tile in source.lower():
    tile = tile.astype(np.float64, copy=False)
    out[rows] += tile @ alpha[columns]
    if rows != columns:
      out[columns] += tile.T @ alpha[rows]
  return out


def _finish(
  alpha: np.ndarray,
  train: np.ndarray,
  test: np.ndarray,
  targets: np.ndarray,
  ridge: float,
  **known: Any,
) -> Fit:
  """Measures a solution alpha `[n, c]` whose outputs at the examples are known.

  `known` are the fields of `Fit` that are not measured here.
  """
  residual = targets - train - ridge * alpha
  inner = alpha.T @ train
  return Fit(
    ridge=ridge,
    train=train,
    test=test,
    inner=(inner + inner.T) / 2,
    residual=float(np.abs(residual).max()),
    relative_residual=float(np.linalg.norm(residual) / np.linalg.norm(targets)),
    **known,
  )


def _refined(
  source: gram.Gram,
  targets: np.ndarray,
  ridge: float,
  max_refinements: int,
  solve: Callable[[np.ndarray], jax.typing.ArrayLike],
  **known: Any,
) -> Fit:
  """Solves, then adds corrections until the residual is small.

  The residual `y - (K + ridge) alpha` is computed in float64 from tiles that
  are evaluated again; an entry below 1/2 already means that the class is
  right, and 1e-2 is asked for.
  """
  alpha = np.asarray(solve(targets), np.float64)
  train = _apply_tiles(source, alpha)
  taken = 0
  while taken < max_refinements:
    residual = targets - train - ridge * alpha
    if np.abs(residual).max() <= _TOLERANCE:
      break
    alpha = alpha + np.asarray(solve(residual), np.float64)
    train = _apply_tiles(source, alpha)
    taken += 1
  test = sum(
    source.cross(j).astype(np.float64, copy=False) @ alpha[columns]
    for j, columns in enumerate(source.spans)
  )
  return _finish(alpha, train, test, targets, ridge, refinements=taken, **known)


def by_tiles(
  source: gram.Gram, targets: np.ndarray, ridge: float, max_refinements: int
) -> Fit:
  """Cholesky by tiles on the CPU: `alpha = (K + ridge I)^-1 y`.

  While the largest entry of the residual, taken in float64, exceeds 1e-2, the
  correction `(L L^T)^-1 residual` is added.

  Args:
    source: the kernel matrix; n^2 / 2 of its entries are held in all.
    targets: float64 `[n, c]`.
    ridge: >= 0.
    max_refinements: >= 0; each evaluates the matrix once more.

  Returns:
    The fit.

  Raises:
    NotPositiveDefiniteError: the matrix is singular in its precision.

  Reference:
    Higham (2002), "Accuracy and stability of numerical algorithms", chapter 12.
  """
  clock = [time.monotonic()]
  tiles = cholesky.build(len(source.spans), source.tile, ridge)
  clock.append(time.monotonic())
  cholesky.factor(tiles)
  clock.append(time.monotonic())
  multiply = functools.partial(cholesky.multiply, tiles)
  solve = functools.partial(cholesky.solve, tiles)
  condition = cholesky.condition(source.n, multiply, solve)
  clock.append(time.monotonic())
  known = {"condition": condition, "solver": "tiles"}
  fit = _refined(source, targets, ridge, max_refinements, solve, **known)
  clock.append(time.monotonic())
  stages = ("build", "factor", "condition", "solve_and_predict")
  return dataclasses.replace(
    fit, seconds=dict(zip(stages, np.diff(clock).tolist(), strict=True))
  )


def by_device(
  source: gram.Gram, targets: np.ndarray, ridge: float, max_refinements: int
) -> Fit:
  """JAX's own Cholesky of the whole matrix, on its default device.

  The factorisation is the device's; residuals are taken in float64 on the
  host, as in `by_tiles`.

  Args:
    source: the kernel matrix.
    targets: float64 `[n, c]`.
    ridge: >= 0.
    max_refinements: >= 0.

  Returns:
    The fit.

  Raises:
    NotPositiveDefiniteError: the matrix is singular in its precision.
  """
  dtype = source.dtype
  with jax.enable_x64(dtype == np.float64):
    matrix = jnp.zeros((source.n, source.n), dtype)
    for rows, columns, tile in source.lower():
      if rows == columns:
        tile[np.diag_indices(len(tile))] += dtype.type(ridge)
      matrix = _put(matrix, tile, rows.start, columns.start)
    # Only the lower triangle was filled.
    factor = jax.lax.linalg.cholesky(matrix, symmetrize_input=False)
    del matrix
    if not bool(jnp.isfinite(factor[-1, -1])):
      raise cholesky.NotPositiveDefiniteError(
        f"The kernel matrix is not positive definite in {dtype}; set a ridge >"
        " 0, precision=float64, or, for the gaussian and laplace kernels, a"
        " larger gamma."
      )

    product = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)

    def solve(rhs: np.ndarray) -> jax.Array:
      return jax.scipy.linalg.cho_solve((factor, True), rhs.astype(dtype))

    def multiply(rhs: np.ndarray) -> jax.Array:
      return product(factor, product(factor.T, rhs.astype(dtype)))

    condition = cholesky.condition(source.n, multiply, solve)
    known = {"condition": condition, "solver": "device"}
    return _refined(source, targets, ridge, max_refinements, solve, **known)


@functools.partial(jax.jit, donate_argnums=0)
def _put(matrix, block, row, column):
  return jax.lax.dynamic_update_slice(matrix, block, (row, column))


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
    yield _finish(alpha, train, test, targets, ridge, **known)


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
    fit = _finish(none, train, test, targets, ridge, **known)
    yield dataclasses.replace(fit, inner=weights.T @ weights)


def device_limit() -> float:
  """Bytes of the default accelerator; 0 on the CPU or where it is unknown."""
  if jax.default_backend() == "cpu":
    return 0
  stats = jax.local_devices()[0].memory_stats() or {}
  return stats.get("bytes_limit", 0)

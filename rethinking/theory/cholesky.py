"""Cholesky factorisation of a matrix too large for one LAPACK call.

SciPy's LAPACK counts elements in 32 bits and crashes on a matrix of more than
2^31, n = 46,340. Here the lower triangle is a list of tiles, each small enough
for `potrf`, `trsm`, `syrk` and `gemm`; the upper triangle is never stored, so
60,000 x 60,000 in float32 takes 7.7 GB instead of 14.4.
"""

import functools
from collections.abc import Callable

import numpy as np
from scipy.linalg import blas, lapack

from rethinking.runtime import errors

# tiles[i][j] for j <= i: Fortran-ordered [rows of i, columns of j].
Tiles = list[list[np.ndarray]]


class NotPositiveDefiniteError(errors.UserError):
  """The matrix has a pivot <= 0 at the precision it is stored in."""


def spans(n: int, tile: int) -> list[slice]:
  """Cuts `range(n)` into slices of `tile`, the last one shorter.

  Args:
    n: number of rows, >= 1.
    tile: rows per slice, >= 1.

  Returns:
    Slices that cover `range(n)` in order.
  """
  return [slice(k, min(k + tile, n)) for k in range(0, n, tile)]


def build(
  count: int, entry: Callable[[int, int], np.ndarray], ridge: float
) -> Tiles:
  """Fills the lower triangle of `A + ridge I`.

  Args:
    count: tiles along a side of the matrix.
    entry: `entry(i, j)` gives tile `[rows of i, rows of j]`, Fortran-ordered
      and writable; asked for j <= i only.
    ridge: added to the diagonal, >= 0.

  Returns:
    The tiles.
  """
  tiles: Tiles = []
  for i in range(count):
    tiles.append([entry(i, j) for j in range(i + 1)])
    if ridge:
      diagonal = tiles[i][i]
      diagonal[np.diag_indices(len(diagonal))] += diagonal.dtype.type(ridge)
  return tiles


def factor(tiles: Tiles) -> None:
  """Replaces the tiles of A by those of L with `A = L L^T`.

  Right-looking: n^3 / 3 floating-point operations, nearly all in `gemm`. The
  strict upper triangles of the diagonal tiles are left undefined. Backward
  error about `n eps |A|`: in float32 an A whose condition exceeds 1e7 / n may
  still factor, but its solution needs refinement.

  Args:
    tiles: the lower triangle of a symmetric matrix; overwritten.

  Raises:
    NotPositiveDefiniteError: a pivot is not positive.

  Reference:
    Golub, Van Loan (2013), "Matrix computations", section 4.2.6.
  """
  dtype = tiles[0][0].dtype
  gemm, syrk, trsm = blas.get_blas_funcs(("gemm", "syrk", "trsm"), dtype=dtype)
  potrf = lapack.get_lapack_funcs("potrf", dtype=dtype)
  subtract = functools.partial(gemm, -1, beta=1, trans_b=1, overwrite_c=1)
  subtract_square = functools.partial(syrk, -1, beta=1, lower=1, overwrite_c=1)
  done = 0
  for k, row in enumerate(tiles):
    row[k], info = potrf(row[k], lower=1, clean=0, overwrite_a=1)
    if info:
      n = sum(len(r[0]) for r in tiles)
      raise NotPositiveDefiniteError(
        f"The kernel matrix is not positive definite in {dtype} (pivot"
        f" {done + info} of {n}); set a ridge > 0, precision=float64, or, for"
        " the gaussian and laplace kernels, a larger gamma."
      )
    done += len(row[k])
    for i in range(k + 1, len(tiles)):
      tiles[i][k] = trsm(
        1, row[k], tiles[i][k], side=1, lower=1, trans_a=1, overwrite_b=1
      )
    for i in range(k + 1, len(tiles)):
      for j in range(k + 1, i):
        tiles[i][j] = subtract(tiles[i][k], tiles[j][k], c=tiles[i][j])
      tiles[i][i] = subtract_square(tiles[i][k], c=tiles[i][i])


def solve(tiles: Tiles, rhs: np.ndarray) -> np.ndarray:
  """Solves `L L^T x = rhs`.

  Args:
    tiles: what `factor` left.
    rhs: right-hand sides `[n, c]`; cast to the tiles' precision.

  Returns:
    x `[n, c]` in the tiles' precision.
  """
  dtype = tiles[0][0].dtype
  trsm = blas.get_blas_funcs("trsm", dtype=dtype)
  parts = _split(tiles, rhs)
  for i, row in enumerate(tiles):
    for j in range(i):
      parts[i] -= row[j] @ parts[j]
    parts[i] = trsm(1, row[i], parts[i], lower=1)
  for i in reversed(range(len(tiles))):
    for j in range(i + 1, len(tiles)):
      parts[i] -= tiles[j][i].T @ parts[j]
    parts[i] = trsm(1, tiles[i][i], parts[i], lower=1, trans_a=1)
  return np.concatenate(parts)


def multiply(tiles: Tiles, x: np.ndarray) -> np.ndarray:
  """Computes `L L^T x` from the factor.

  Args:
    tiles: what `factor` left.
    x: vectors `[n, c]`; cast to the tiles' precision.

  Returns:
    The product `[n, c]` in the tiles' precision.
  """
  dtype = tiles[0][0].dtype
  trmm = blas.get_blas_funcs("trmm", dtype=dtype)
  parts = _split(tiles, x)
  half = [
    trmm(1, row[i], parts[i], lower=1, trans_a=1) for i, row in enumerate(tiles)
  ]
  for i, row in enumerate(tiles):
    for j in range(i):
      half[j] += row[j].T @ parts[i]
  whole = [trmm(1, row[i], half[i], lower=1) for i, row in enumerate(tiles)]
  for i, row in enumerate(tiles):
    for j in range(i):
      whole[i] += row[j] @ half[j]
  return np.concatenate(whole)


def _split(tiles: Tiles, x: np.ndarray) -> list[np.ndarray]:
  edges = np.cumsum([len(row[0]) for row in tiles])[:-1]
  dtype = tiles[0][0].dtype
  return [np.array(p, dtype, order="F") for p in np.split(x, edges)]


def condition(
  n: int,
  multiply_by: Callable[[np.ndarray], np.ndarray],
  solve_with: Callable[[np.ndarray], np.ndarray],
) -> float:
  """Estimates the 2-norm condition number by power iteration from both ends.

  Both eigenvalues come from Rayleigh quotients after six products, so the
  result is a lower bound; within about a factor of two for kernel matrices,
  whose spectra fall fast.

  Args:
    n: rows of the matrix.
    multiply_by: `[n, 2] -> [n, 2]`, the matrix times vectors.
    solve_with: `[n, 2] -> [n, 2]`, its inverse times vectors.

  Returns:
    largest / smallest eigenvalue, a lower bound.

  Reference:
    Golub, Van Loan (2013), "Matrix computations", section 8.2.
  """
  start = np.random.default_rng(0).standard_normal((n, 2))

  def largest(operator: Callable[[np.ndarray], np.ndarray]) -> float:
    x = np.linalg.qr(start)[0]
    value = 0.0
    for _ in range(6):
      y = np.asarray(operator(x), np.float64)
      value = float(np.linalg.norm(x.T @ y, 2))
      x = np.linalg.qr(y)[0]
    return value

  return largest(multiply_by) * largest(solve_with)

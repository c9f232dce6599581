"""Kernel matrices by tiles: from features held whole, or summed by blocks."""

from __future__ import annotations

import contextlib
import functools
from typing import BinaryIO, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import blas

from rethinking.theory import cholesky, kernels
from rethinking.theory.features import Features


class Gram(Protocol):
  """A kernel matrix that hands out tiles.

  Attributes:
    n: train examples.
    spans: the rows of each tile.
    gamma: the kernel's parameter.
  """

  n: int
  spans: list[slice]
  gamma: float

  def tile(self, i: int, j: int) -> np.ndarray:
    """Tile `[rows of i, columns of j]`, j <= i: Fortran-ordered, writable."""
    ...

  def cross(self, j: int) -> np.ndarray:
    """Test rows against the train columns of slice j: `[m, columns]`."""
    ...


@functools.partial(jax.jit, static_argnames=("name", "diagonal"))
def _apply(
  products: kernels.Products, gamma: jax.Array, name: str, diagonal: bool
) -> jax.Array:
  if diagonal:
    # Rounding must not move an example away from itself: exactly distance 0.
    on = jnp.eye(products.inner.shape[0], dtype=bool)
    inner = jnp.where(on, products.sq_x, products.inner)
    products = products._replace(inner=inner)
  return kernels.get(name)(products, gamma)


@functools.partial(jax.jit, static_argnames=("name", "diagonal"))
def _block(x, z, sq_x, sq_z, gamma, name, diagonal):
  inner = jnp.matmul(x, z.T, precision=jax.lax.Precision.HIGHEST)
  products = kernels.Products(inner, sq_x[:, None], sq_z[None])
  return _apply(products, gamma, name, diagonal)


def _precision(dtype: np.dtype) -> contextlib.AbstractContextManager:
  return jax.enable_x64(np.dtype(dtype) == np.float64)


def _squares(x: np.ndarray) -> np.ndarray:
  return np.einsum("nd,nd->n", x, x)


class Held:
  """Computes each tile anew from features held in memory.

  Args:
    train: features `[n, D]`, in the precision of the matrix.
    test: features `[m, D]`, the same.
    kernel: a name of `kernels.KERNELS`.
    gamma: its parameter; None for `kernels.default_gamma`.
    tile: rows per tile.
  """

  def __init__(
    self,
    train: np.ndarray,
    test: np.ndarray,
    kernel: str,
    gamma: float | None,
    tile: int,
  ):
    self.n = len(train)
    self._kernel = kernel
    self._train, self._test = train, test
    self.spans = cholesky.spans(self.n, tile)
    self._sq_train, self._sq_test = _squares(train), _squares(test)
    if gamma is None:
      mean = train.mean(0, dtype=np.float64)
      spread = 2 * (self._sq_train.mean(dtype=np.float64) - mean @ mean)
      gamma = kernels.default_gamma(kernel, float(spread))
    self.gamma = float(gamma)

  def _values(self, x, z, sq_x, sq_z, diagonal=False) -> np.ndarray:
    with _precision(x.dtype):
      gamma = jnp.asarray(self.gamma, x.dtype)
      return np.asarray(_block(x, z, sq_x, sq_z, gamma, self._kernel, diagonal))

  def tile(self, i: int, j: int) -> np.ndarray:
    """Tile `[rows of i, columns of j]`: Fortran-ordered, writable."""
    x, z = (self._train[self.spans[k]] for k in (j, i))
    squares = (self._sq_train[self.spans[k]] for k in (j, i))
    # The transpose in C order is the tile in Fortran order.
    return np.array(self._values(x, z, *squares, diagonal=i == j)).T

  def cross(self, j: int) -> np.ndarray:
    """Test rows against the train columns of slice j: `[m, columns]`."""
    z, squares = self._train[self.spans[j]], self._sq_train[self.spans[j]]
    return self._values(self._test, z, self._sq_test, squares)


class Summed:
  """Sums inner products block by block, then keeps the tiles in a file.

  The file takes as many bytes as the lower triangle: features too wide to hold
  take far longer to compute again than tiles take to read.

  Args:
    features: the map.
    train: images uint8 `[n, H, W, C]`.
    test: images uint8 `[m, H, W, C]`.
    kernel: a name of `kernels.KERNELS`.
    gamma: its parameter; None for `kernels.default_gamma`.
    tile: rows per tile.
    file: empty, open for reading and writing as long as this object is used.
    dtype: of the matrix; the features themselves are float32.
  """

  def __init__(
    self,
    features: Features,
    train: np.ndarray,
    test: np.ndarray,
    kernel: str,
    gamma: float | None,
    tile: int,
    file: BinaryIO,
    dtype: np.dtype,
  ):
    self.n = len(train)
    dtype = np.dtype(dtype)
    self.spans = cholesky.spans(self.n, tile)
    gemm = blas.get_blas_funcs("gemm", dtype=dtype)
    sizes = [s.stop - s.start for s in self.spans]
    tiles = [
      [np.zeros((a, b), dtype, order="F") for b in sizes[: i + 1]]
      for i, a in enumerate(sizes)
    ]
    cross = [np.zeros((len(test), a), dtype, order="F") for a in sizes]
    sq_train = np.zeros(self.n, dtype)
    sq_test = np.zeros(len(test), dtype)
    spread = 0.0
    for k in range(len(features.widths)):
      x = features.block(k, train).astype(dtype, copy=False)
      z = features.block(k, test).astype(dtype, copy=False)
      sq_train += _squares(x)
      sq_test += _squares(z)
      mean = x.mean(0, dtype=np.float64)
      spread += 2 * (_squares(x).mean(dtype=np.float64) - mean @ mean)
      add = functools.partial(gemm, 1, beta=1, trans_a=1, overwrite_c=1)
      for i, row in enumerate(tiles):
        xi = x[self.spans[i]].T
        for j in range(i + 1):
          row[j] = add(xi, x[self.spans[j]].T, c=row[j])
        cross[i] = add(z.T, xi, c=cross[i])
    if gamma is None:
      gamma = kernels.default_gamma(kernel, spread)
    self.gamma = float(gamma)
    self._shapes = [[t.shape for t in row] for row in tiles]
    self._dtype = dtype
    self._file = file
    self._offsets: dict[tuple[int, int], int] = {}

    def transform(inner, sq_x, sq_z, diagonal):
      with _precision(dtype):
        gamma = jnp.asarray(self.gamma, dtype)
        products = kernels.Products(inner, sq_x[:, None], sq_z[None])
        return np.asarray(_apply(products, gamma, kernel, diagonal))

    for i, rows in enumerate(self.spans):
      for j in range(i + 1):
        self._offsets[i, j] = self._file.tell()
        # Written transposed in C order, so that reading gives Fortran order.
        values = transform(
          tiles[i][j].T, sq_train[self.spans[j]], sq_train[rows], i == j
        )
        self._file.write(np.ascontiguousarray(values).data)
        tiles[i][j] = np.empty((0, 0), dtype)
    self._cross = [
      transform(c, sq_test, sq_train[s], False)
      for c, s in zip(cross, self.spans, strict=True)
    ]

  def tile(self, i: int, j: int) -> np.ndarray:
    """Tile `[rows of i, columns of j]`: Fortran-ordered, writable."""
    rows, columns = self._shapes[i][j]
    values = np.empty((columns, rows), self._dtype)
    self._file.seek(self._offsets[i, j])
    self._file.readinto(values.data.cast("B"))
    return values.T

  def cross(self, j: int) -> np.ndarray:
    """Test rows against the train columns of slice j: `[m, columns]`."""
    return self._cross[j]

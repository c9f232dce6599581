"""Kernel matrices by tiles: from features held whole, or summed by blocks."""

import contextlib
import functools
from collections.abc import Iterator
from typing import BinaryIO

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import blas

from rethinking.theory import cholesky, kernels
from rethinking.theory.features import Features


@functools.partial(jax.jit, static_argnames=("name", "diagonal"))
def _apply(
  products: kernels.Products, gamma: jax.Array, name: str, diagonal: bool
) -> jax.Array:
  if diagonal:
    # Rounding must not move an example away from itself: exactly distance 0.
    on = jnp.eye(products.inner.shape[0], dtype=bool)
    inner = jnp.where(on, products.sq_x, products.inner)
    products = products._replace(inner=inner)
  return kernels.KERNELS[name](products, gamma)


@jax.jit
def _inner(x: jax.Array, z: jax.Array) -> jax.Array:
  return jnp.matmul(x, z.T, precision=jax.lax.Precision.HIGHEST)


def _squares(x: np.ndarray) -> np.ndarray:
  return np.einsum("nd,nd->n", x, x)


def _spread(x: np.ndarray) -> float:
  """The mean squared distance between two rows."""
  mean = x.mean(0, dtype=np.float64)
  return float(2 * (_squares(x).mean(dtype=np.float64) - mean @ mean))


class Gram:
  """A kernel matrix that hands out tiles.

  Args:
    n: train examples.
    kernel: a name of `kernels.KERNELS`.
    tile: rows per tile.
    dtype: of the matrix.

  Attributes:
    n: train examples.
    spans: the rows of each tile.
    dtype: of the matrix.
    gamma: the kernel's parameter.
  """

  def __init__(self, n: int, kernel: str, tile: int, dtype: np.dtype):
    self.n, self.spans = n, cholesky.spans(n, tile)
    self._kernel, self.dtype = kernel, np.dtype(dtype)

  def tile(self, i: int, j: int) -> np.ndarray:
    """Returns a tile of the lower triangle.

    Args:
      i: index of the rows' slice in `spans`.
      j: of the columns' slice, at most i.

    Returns:
      `[rows, columns]`, Fortran-ordered, writable.
    """
    raise NotImplementedError

  def cross(self, j: int) -> np.ndarray:
    """Returns the test examples' rows of the kernel matrix.

    Args:
      j: index of the columns' slice in `spans`.

    Returns:
      `[m, columns]`.
    """
    raise NotImplementedError

  def lower(self) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yields rows, columns and tile of the lower triangle, row by row."""
    for i, rows in enumerate(self.spans):
      for j, columns in enumerate(self.spans[: i + 1]):
        yield rows, columns, self.tile(i, j)

  def _set_gamma(self, gamma: float | None, spread: float) -> None:
    if gamma is None:
      gamma = kernels.default_gamma(self._kernel, spread)
    self.gamma = float(gamma)

  def _precision(self) -> contextlib.AbstractContextManager:
    return jax.enable_x64(self.dtype == np.float64)

  def _values(self, inner, sq_x, sq_z, diagonal=False) -> np.ndarray:
    """The kernel of inner products and squared norms."""
    with self._precision():
      products = kernels.Products(inner, sq_x[:, None], sq_z[None])
      gamma = jnp.asarray(self.gamma, self.dtype)
      return np.asarray(_apply(products, gamma, self._kernel, diagonal))


class Held(Gram):
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
    super().__init__(len(train), kernel, tile, train.dtype)
    self._train, self._sq_train = train, _squares(train)
    self._test, self._sq_test = test, _squares(test)
    self._set_gamma(gamma, _spread(train))

  def tile(self, i: int, j: int) -> np.ndarray:
    x, z = (self._train[self.spans[k]] for k in (j, i))
    squares = (self._sq_train[self.spans[k]] for k in (j, i))
    with self._precision():
      inner = _inner(x, z)
    # The transpose in C order is the tile in Fortran order.
    return np.array(self._values(inner, *squares, diagonal=i == j)).T

  def cross(self, j: int) -> np.ndarray:
    columns = self.spans[j]
    with self._precision():
      inner = _inner(self._test, self._train[columns])
    return self._values(inner, self._sq_test, self._sq_train[columns])


class Summed(Gram):
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
    super().__init__(len(train), kernel, tile, dtype)
    gemm = blas.get_blas_funcs("gemm", dtype=dtype)
    sizes = [s.stop - s.start for s in self.spans]
    tiles = {
      (i, j): np.zeros((a, b), dtype, order="F")
      for i, a in enumerate(sizes)
      for j, b in enumerate(sizes[: i + 1])
    }
    cross = [np.zeros((len(test), a), dtype, order="F") for a in sizes]
    sq_train = np.zeros(self.n, dtype)
    sq_test = np.zeros(len(test), dtype)
    spread = 0.0
    for k in range(len(features.widths)):
      x = features.block(k, train).astype(dtype, copy=False)
      z = features.block(k, test).astype(dtype, copy=False)
      sq_train += _squares(x)
      sq_test += _squares(z)
      spread += _spread(x)
      add = functools.partial(gemm, 1, beta=1, trans_a=1, overwrite_c=1)
      parts = [x[rows].T for rows in self.spans]
      for (i, j), tile in tiles.items():
        tiles[i, j] = add(parts[i], parts[j], c=tile)
      cross = [
        add(z.T, part, c=c) for part, c in zip(parts, cross, strict=True)
      ]
    self._set_gamma(gamma, spread)
    self._file = file
    self._offsets: dict[tuple[int, int], int] = {}
    squares = [sq_train[rows] for rows in self.spans]
    for i, j in list(tiles):
      self._offsets[i, j] = file.tell()
      # Written transposed in C order, so that reading gives Fortran order.
      inner = tiles.pop((i, j)).T
      np.save(file, self._values(inner, squares[j], squares[i], i == j))
    self._cross = [
      self._values(c, sq_test, squared)
      for c, squared in zip(cross, squares, strict=True)
    ]

  def tile(self, i: int, j: int) -> np.ndarray:
    self._file.seek(self._offsets[i, j])
    return np.load(self._file, allow_pickle=False).T

  def cross(self, j: int) -> np.ndarray:
    return self._cross[j]

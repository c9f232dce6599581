"""The tiled factorisation against NumPy's on whole matrices."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from rethinking.theory import cholesky


def _tiles(matrix, tile, ridge=0.0):
  spans = cholesky.spans(len(matrix), tile)
  return cholesky.build(
    len(spans),
    lambda i, j: np.array(matrix[spans[i], spans[j]], order="F"),
    ridge,
  )


def _matrix(n, seed=0, dtype=np.float64):
  a = np.random.default_rng(seed).standard_normal((n, n))
  return (a @ a.T / n + 0.5 * np.eye(n)).astype(dtype)


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(
  st.integers(1, 30), st.integers(1, 12), st.sampled_from([0.0, 0.7])
)
def test_solves_for_any_size_and_tile(n, tile, ridge):
  matrix = _matrix(n)
  rhs = np.random.default_rng(1).standard_normal((n, 3))
  tiles = _tiles(matrix, tile, ridge)
  cholesky.factor(tiles)
  whole = matrix + ridge * np.eye(n)
  np.testing.assert_allclose(
    cholesky.solve(tiles, rhs), np.linalg.solve(whole, rhs), atol=1e-9
  )
  np.testing.assert_allclose(
    cholesky.multiply(tiles, rhs), whole @ rhs, atol=1e-9
  )


def test_float32_stays_float32():
  tiles = _tiles(_matrix(20, dtype=np.float32), 6)
  cholesky.factor(tiles)
  x = cholesky.solve(tiles, np.ones((20, 1)))
  assert x.dtype == np.float32
  assert all(t.dtype == np.float32 for row in tiles for t in row)
  np.testing.assert_allclose(_matrix(20) @ x, np.ones((20, 1)), atol=1e-5)


def test_factor_is_numpy_s():
  matrix = _matrix(11)
  tiles = _tiles(matrix, 4)
  cholesky.factor(tiles)
  expected = np.linalg.cholesky(matrix)
  spans = cholesky.spans(11, 4)
  for i, row in enumerate(tiles):
    for j, t in enumerate(row):
      found = np.tril(t) if i == j else t
      np.testing.assert_allclose(found, expected[spans[i], spans[j]])


def test_a_bad_pivot_is_named():
  matrix = np.eye(10)
  matrix[6, 6] = -1
  with pytest.raises(
    cholesky.NotPositiveDefiniteError, match="pivot 7 of 10.*ridge"
  ):
    cholesky.factor(_tiles(matrix, 4))


def test_condition_is_a_close_lower_bound():
  q = np.linalg.qr(np.random.default_rng(0).standard_normal((40, 40)))[0]
  values = np.logspace(0, -5, 40)
  tiles = _tiles((q * values) @ q.T, 16)
  cholesky.factor(tiles)
  found = cholesky.condition(
    40,
    lambda x: cholesky.multiply(tiles, x),
    lambda x: cholesky.solve(tiles, x),
  )
  assert 0.5e5 < found <= 1.001e5

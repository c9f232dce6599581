"""Both ways to a kernel matrix give the same tiles."""

import tempfile

import numpy as np
import pytest

from rethinking.theory import cholesky, gram
from rethinking.theory.features import Features


def _data(n, d=6, seed=0):
  return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def _gaussian(x, z, gamma):
  return np.exp(-gamma * ((x[:, None] - z[None]) ** 2).sum(-1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("way", ["held", "summed"])
def test_tiles_are_the_kernel_of_the_whole_features(way, dtype):
  x, z = _data(11), _data(5, seed=1)
  with tempfile.TemporaryFile() as file:
    if way == "held":
      source = gram.Held(
        x.astype(dtype), z.astype(dtype), "gaussian", 0.2, tile=4
      )
    else:
      blocks = Features((2, 4), lambda k, a: a[:, (0, 2)[k] : (2, 6)[k]])
      source = gram.Summed(
        blocks, x, z, "gaussian", 0.2, 4, file, np.dtype(dtype)
      )
    expected = _gaussian(x, x, 0.2)
    spans = cholesky.spans(11, 4)
    for i, rows in enumerate(spans):
      for j in range(i + 1):
        tile = source.tile(i, j)
        assert tile.dtype == dtype
        assert tile.flags.f_contiguous and tile.flags.writeable
        np.testing.assert_allclose(tile, expected[rows, spans[j]], atol=1e-5)
      np.testing.assert_array_equal(np.diag(source.tile(i, i)), 1)
      np.testing.assert_allclose(
        source.cross(i), _gaussian(z, x[rows], 0.2), atol=1e-5
      )


def test_default_gamma_comes_from_the_mean_squared_distance():
  x = _data(40)
  held = gram.Held(x, x, "gaussian", None, tile=16)
  squared = ((x[:, None] - x[None]) ** 2).sum(-1)
  assert held.gamma == pytest.approx(2 / squared.mean(), rel=1e-4)
  blocks = Features((2, 4), lambda k, a: a[:, (0, 2)[k] : (2, 6)[k]])
  with tempfile.TemporaryFile() as file:
    summed = gram.Summed(
      blocks, x, x, "gaussian", None, 16, file, np.dtype("float32")
    )
  assert summed.gamma == pytest.approx(held.gamma, rel=1e-4)

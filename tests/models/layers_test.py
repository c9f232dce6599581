"""The layers that models share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from rethinking.models import layers

pytestmark = pytest.mark.usefixtures("float64")


def normal(seed, *shape):
  return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def test_conv_layer_has_flax_parameters():
  """So that parameters can be moved to and from nn.Conv."""
  x = normal(0, 2, 5, 5, 3)
  module = layers.Conv(4, 3, 2, dtype=jnp.float64)
  variables = module.init(jax.random.key(0), x)
  variables["params"]["bias"] = normal(1, 4)
  plain = nn.Conv(4, (3, 3), (2, 2), "SAME", param_dtype=jnp.float64)
  np.testing.assert_allclose(
    module.apply(variables, x), plain.apply(variables, x), atol=1e-12
  )


def keys(seed, count):
  return jax.random.split(jax.random.key(seed), count)


def test_dropout_keeps_the_mean_and_scales_exactly():
  x = jnp.ones((200, 501))
  y = layers.dropout(keys(0, 200), x, 0.3, layer=0, train=True)
  kept = 2**16 / round(0.7 * 2**16)
  assert set(np.unique(y)) == {0.0, kept}
  share = float((y == 0).mean())
  assert abs(share - 0.3) < 5 * np.sqrt(0.3 * 0.7 / y.size)
  # No place is favoured, and neighbours are independent.
  assert float(jnp.abs((y == 0).mean(0) - 0.3).max()) < 0.2
  pairs = ((y[:, 1:] == 0) & (y[:, :-1] == 0)).mean()
  assert abs(float(pairs) - 0.09) < 0.005


def test_dropout_differs_by_layer_and_example():
  x = jnp.ones((2, 1000))
  same = jnp.stack([keys(0, 1)[0]] * 2)
  first = layers.dropout(same, x, 0.5, layer=0, train=True)
  np.testing.assert_array_equal(first[0], first[1])
  other = layers.dropout(same, x, 0.5, layer=1, train=True)
  assert 300 < int((first[0] != other[0]).sum()) < 700
  apart = layers.dropout(keys(0, 2), x, 0.5, layer=0, train=True)
  assert 300 < int((apart[0] != apart[1]).sum()) < 700


def test_dropout_golden():
  """These masks are part of every recorded run: changing them changes it."""
  y = layers.dropout(keys(7, 1), jnp.ones((1, 16)), 0.5, layer=2, train=True)
  assert (y[0] > 0).astype(int).tolist() == GOLDEN


GOLDEN = [1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0]


def test_dropout_off():
  x = normal(0, 2, 3)
  assert layers.dropout(None, x, 0.5, layer=0, train=False) is x
  assert layers.dropout(None, x, 0.0, layer=0, train=True) is x


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_dropout_rate_is_checked(rate):
  with pytest.raises(ValueError, match=r"must be a rate in \[0, 1\)"):
    layers.dropout(keys(0, 1), jnp.ones((1, 2)), rate, layer=0, train=True)

"""Each layer against its plain form, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from rethinking.models import convolution, layers, linear, normalization

from . import comparison

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize(
  "layer",
  [
    lambda x, k: convolution.conv(x, k, 1),
    lambda x, k: convolution.conv(x, k, 2),
    lambda x, k: convolution.conv(x, k[:1, :1], 1),
    lambda x, k: layers.max_pool(x, 3, 2) * k.sum(),
    lambda x, k: normalization.batch_norm(
      x, k[0, 0, 0], k[1, 1, 1], 1e-3, None
    )[0],
    lambda x, k: linear.add_bias(x, k[0, 0, 0]),
  ],
  ids=["conv", "strided", "1x1", "max_pool", "batch_norm", "bias"],
)
def test_layers_under_vmap(layer):
  """As where several runs train together: the same as one by one."""
  x, k = (
    comparison.normal(0, 3, 2, 5, 6, 4),
    comparison.normal(1, 3, 3, 3, 4, 4),
  )

  def one_by_one(x, k):
    return jnp.stack([layer(x[i], k[i]) for i in range(3)])

  comparison.compare(jax.vmap(layer), one_by_one, x, k)


@pytest.mark.parametrize("width", [6, 16])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize(
  "layer",
  [
    lambda x, k: convolution.conv(x, k, 1),
    lambda x, k: convolution.conv(x, k, 2),
    lambda x, k: convolution.conv(x, k[:1, :1], 1),
    lambda x, k: linear.add_bias(layers.max_pool(x, 3, 2), k[0, 0, 0]),
  ],
  ids=["conv", "strided", "1x1", "max_pool"],
)
def test_layers_of_narrow_types(layer, dtype, width):
  """Gradients have their operands' type, and values near the wide ones."""
  wide = comparison.normal(0, 2, 5, width, 4), comparison.normal(1, 3, 3, 4, 4)
  narrow = [a.astype(dtype) for a in wide]
  # The same numbers, so that pooling takes the same entries.
  wide = [a.astype(jnp.float32) for a in narrow]

  def gradients(arguments):
    value, pull = jax.vjp(layer, *arguments)
    return value, *pull(jnp.ones_like(value))

  for found, expected in zip(gradients(narrow), gradients(wide), strict=True):
    assert found.dtype == dtype
    np.testing.assert_allclose(
      found.astype(jnp.float32), expected, atol=0.25, rtol=0.05
    )


def test_conv_layer_has_flax_parameters():
  """So that parameters can be moved to and from nn.Conv."""
  x = comparison.normal(0, 2, 5, 5, 3)
  module = layers.Conv(4, 3, 2, dtype=jnp.float64)
  variables = module.init(jax.random.key(0), x)
  variables["params"]["bias"] = comparison.normal(1, 4)
  plain = nn.Conv(4, (3, 3), (2, 2), "SAME", param_dtype=jnp.float64)
  np.testing.assert_allclose(
    module.apply(variables, x), plain.apply(variables, x), atol=1e-12
  )


@settings(max_examples=24, deadline=None)
@given(
  side=st.integers(1, 9), window=st.integers(1, 4), stride=st.integers(1, 4)
)
def test_max_pool(side, window, stride):
  comparison.compare(
    lambda x: layers.max_pool(x, window, stride),
    lambda x: nn.max_pool(x, (window, window), (stride, stride), "SAME"),
    comparison.normal(side, 2, side, side + 1, 3),
  )


@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 2), (4, 4)])
def test_max_pool_gradient_of_ties_goes_to_the_first(window, stride):
  """As in XLA's own pooling, on values with many ties, zeros included."""
  values = np.random.default_rng(0).integers(0, 3, (2, 8, 8, 3))
  comparison.compare(
    lambda x: layers.max_pool(x, window, stride),
    lambda x: nn.max_pool(x, (window, window), (stride, stride), "SAME"),
    jnp.asarray(values, jnp.float64),
  )


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 1)])
def test_max_pool_keeps_nan(place):
  x = comparison.normal(0, 1, 2, 2, 1).at[0, *place, 0].set(jnp.nan)
  assert jnp.isnan(layers.max_pool(x, 2, 2)).all()
  gradient = jax.grad(lambda x: layers.max_pool(x, 2, 2).sum())(x)
  expected = jnp.zeros_like(x).at[0, *place, 0].set(1)
  np.testing.assert_array_equal(gradient, expected)


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


GOLDEN = [1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0]


def test_dropout_off():
  x = comparison.normal(0, 2, 3)
  assert layers.dropout(None, x, 0.5, layer=0, train=False) is x
  assert layers.dropout(None, x, 0.0, layer=0, train=True) is x


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_dropout_rate_is_checked(rate):
  with pytest.raises(ValueError, match="out of range"):
    layers.dropout(keys(0, 1), jnp.ones((1, 2)), rate, layer=0, train=True)

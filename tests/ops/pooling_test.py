"""Max pooling against its plain form, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethinking import ops
from rethinking.ops import plain

from . import comparison

pytestmark = pytest.mark.usefixtures("float64")


@settings(max_examples=24, deadline=None)
@given(
  side=st.integers(1, 9), window=st.integers(1, 4), stride=st.integers(1, 4)
)
def test_max_pool(side, window, stride):
  comparison.compare(
    lambda x: ops.max_pool(x, window, stride),
    lambda x: plain.max_pool(x, window, stride),
    comparison.normal(side, 2, side, side + 1, 3),
  )


@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 2), (4, 4)])
def test_max_pool_gradient_of_ties_goes_to_the_first(window, stride):
  """As in XLA's own pooling, on values with many ties, zeros included."""
  values = np.random.default_rng(0).integers(0, 3, (2, 8, 8, 3))
  comparison.compare(
    lambda x: ops.max_pool(x, window, stride),
    lambda x: plain.max_pool(x, window, stride),
    jnp.asarray(values, jnp.float64),
  )


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 1)])
def test_max_pool_keeps_nan(place):
  x = comparison.normal(0, 1, 2, 2, 1).at[0, *place, 0].set(jnp.nan)
  assert jnp.isnan(ops.max_pool(x, 2, 2)).all()
  gradient = jax.grad(lambda x: ops.max_pool(x, 2, 2).sum())(x)
  expected = jnp.zeros_like(x).at[0, *place, 0].set(1)
  np.testing.assert_array_equal(gradient, expected)

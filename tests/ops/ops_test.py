"""Every op under vmap and in narrow types."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rethinking import ops

from . import comparison

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize(
  "layer",
  [
    lambda x, k: ops.conv(x, k, 1),
    lambda x, k: ops.conv(x, k, 2),
    lambda x, k: ops.conv(x, k[:1, :1], 1),
    lambda x, k: ops.max_pool(x, 3, 2) * k.sum(),
    lambda x, k: ops.batch_norm(x, k[0, 0, 0], k[1, 1, 1], 1e-3, None)[0],
    lambda x, k: ops.add_bias(x, k[0, 0, 0]),
  ],
  ids=["conv", "strided", "1x1", "max_pool", "batch_norm", "bias"],
)
def test_ops_under_vmap(layer):
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
    lambda x, k: ops.conv(x, k, 1),
    lambda x, k: ops.conv(x, k, 2),
    lambda x, k: ops.conv(x, k[:1, :1], 1),
    lambda x, k: ops.add_bias(ops.max_pool(x, 3, 2), k[0, 0, 0]),
  ],
  ids=["conv", "strided", "1x1", "max_pool"],
)
def test_ops_of_narrow_types(layer, dtype, width):
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

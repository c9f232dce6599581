"""Compares an op with its plain form."""

import jax
import jax.numpy as jnp
import numpy as np


def normal(seed, *shape):
  return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def compare(fast, plain, *arguments, draw=normal, tolerance=1e-10):
  """Values and every gradient, under the same cotangent, which `draw` makes."""
  shape = jax.eval_shape(plain, *arguments)
  cotangent = draw(99, *shape.shape).astype(shape.dtype)

  def both(function):
    @jax.jit
    def run(arguments, cotangent):
      value, pull = jax.vjp(function, *arguments)
      return value, pull(cotangent)

    return jax.tree.leaves(run(arguments, cotangent))

  for found, expected in zip(both(fast), both(plain), strict=True):
    np.testing.assert_allclose(found, expected, atol=tolerance, rtol=tolerance)

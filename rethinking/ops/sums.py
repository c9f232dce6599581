"""Sums over all axes but the last, and the bias, whose gradient is one."""

import jax
import jax.numpy as jnp


def wide(dtype: jax.typing.DTypeLike) -> jnp.dtype:
  """Returns the type of parameters and sums: float32, or wider.

  Args:
    dtype: of the activations; a wider one than float32 stays.
  """
  return jnp.promote_types(dtype, jnp.float32)


def column_sums(x: jax.Array) -> jax.Array:
  """Sums over every axis but the last.

  Args:
    x: [..., C].

  Returns:
    [C], the type of `x`.
  """
  return x.reshape(-1, x.shape[-1]).sum(0)


def row(vector: jax.Array, x: jax.Array) -> jax.Array:
  """Returns a vector with the rank of `x`, along which it broadcasts.

  Args:
    vector: [C].
    x: [..., C].
  """
  return vector.reshape((1,) * (x.ndim - 1) + (-1,))


@jax.custom_vjp
def add_bias(x: jax.Array, bias: jax.Array) -> jax.Array:
  """Adds a bias whose gradient is summed in float32 or wider.

  Args:
    x: [..., C].
    bias: [C], the type of `x`.

  Returns:
    Array like `x`.
  """
  return x + row(bias, x)


def _add_bias_forward(x, bias):
  return add_bias(x, bias), None


def _add_bias_backward(_, gradient):
  total = column_sums(gradient.astype(wide(gradient.dtype)))
  return gradient, total.astype(gradient.dtype)


add_bias.defvjp(_add_bias_forward, _add_bias_backward)

"""The reference forms, of lax; gradients are XLA's own."""

import jax
import jax.numpy as jnp

# Images, kernels, images.
LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  """2-D convolution, SAME padding.

  Args:
    x: activations, [B, H, W, C].
    kernel: [k, k, C, D].
    stride: pixels between outputs, in both directions.

  Returns:
    Array [B, ceil(H/stride), ceil(W/stride), D].
  """
  return jax.lax.conv_general_dilated(
    x, kernel, (stride, stride), "SAME", dimension_numbers=LAYOUT
  )


def max_pool(x: jax.Array, window: int, stride: int) -> jax.Array:
  """Largest value of each window, SAME padding.

  Args:
    x: activations, [B, H, W, C].
    window: side of the square window, pixels.
    stride: pixels between windows, in both directions.

  Returns:
    Array [B, ceil(H/stride), ceil(W/stride), C].
  """
  return jax.lax.reduce_window(
    x,
    -jnp.inf,
    jax.lax.max,
    (1, window, window, 1),
    (1, stride, stride, 1),
    "SAME",
  )

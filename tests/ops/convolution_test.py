"""Convolutions against their plain form, values and gradients."""

import functools
import math

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethinking.ops import convolution, plain

from . import comparison

pytestmark = pytest.mark.usefixtures("float64")


@settings(max_examples=16, deadline=None)
@given(
  height=st.integers(1, 9),
  width=st.integers(1, 9) | st.sampled_from([16, 18]),
  kernel_size=st.sampled_from([1, 3, 5]),
  stride=st.sampled_from([1, 2]),
  channels=st.sampled_from([(1, 4), (5, 7), (17, 2), (5, 17)]),
)
def test_conv(height, width, kernel_size, stride, channels):
  x = comparison.normal(0, 2, height, width, channels[0])
  kernel = comparison.normal(1, kernel_size, kernel_size, *channels)
  comparison.compare(
    lambda x, k: convolution.conv(x, k, stride),
    lambda x, k: plain.conv(x, k, stride),
    x,
    kernel,
  )


@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("channels", [(3, 20), (16, 7)])
def test_conv_by_pairs(kernel_size, channels):
  comparison.compare(
    lambda x, k: convolution.conv(x, k, 1),
    lambda x, k: plain.conv(x, k, 1),
    comparison.normal(0, 2, 5, 16, channels[0]),
    comparison.normal(1, kernel_size, kernel_size, *channels),
  )


@pytest.mark.parametrize(
  ("width", "kernel_size", "channels", "stride", "by_pairs"),
  [
    (16, 3, (16, 16), 1, True),
    (16, 5, (4, 64), 1, True),
    (16, 3, (5, 17), 1, False),
    (16, 3, (17, 5), 1, False),
    (17, 3, (3, 8), 1, False),
    (14, 3, (3, 8), 1, False),
    (16, 2, (3, 8), 1, False),
    (16, 3, (3, 8), 2, False),
  ],
)
def test_few_channels_are_taken_by_pairs_on_a_cpu(
  width, kernel_size, channels, stride, by_pairs
):
  x = jnp.ones((2, 4, width, channels[0]))
  kernel = jnp.ones((kernel_size, kernel_size, *channels))
  program = jax.jit(functools.partial(convolution.conv, stride=stride))
  traced = program.trace(x, kernel)

  def found(platform):
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    return "stride = [1, 2]" in text

  assert found("cpu") == by_pairs and not found("tpu")


@pytest.mark.parametrize(
  ("width", "channels"), [(16, (3, 8)), (6, (32, 64)), (6, (64, 32))]
)
def test_quicker_forms_under_vmap(width, channels):
  """As where several runs train together; images shared, or not."""
  x = comparison.normal(0, 2, 1, 5, width, channels[0])
  kernel = comparison.normal(1, 2, 3, 3, *channels)
  for axis, images in ((0, x), (None, x[0])):
    comparison.compare(
      jax.vmap(lambda x, k: convolution.conv(x, k, 1), (axis, 0)),
      jax.vmap(lambda x, k: plain.conv(x, k, 1), (axis, 0)),
      images,
      kernel,
    )


@pytest.mark.parametrize("channels", [(2, 3), (3, 2)])
@pytest.mark.parametrize("batch", [8, 11])
def test_a_narrow_kernels_gradient_in_parts(batch, channels):
  """Also where the batch is no multiple of the parts."""
  side = math.isqrt(convolution._MANY_PIXELS // batch) + 1
  comparison.compare(
    lambda x, k: convolution.conv(x, k, 1),
    lambda x, k: plain.conv(x, k, 1),
    comparison.normal(0, batch, side, side, channels[0]),
    comparison.normal(1, 3, 3, *channels),
    tolerance=1e-9,
  )


def many_pixels(side, channels, dtype):
  """Input, kernel and cotangent of a convolution, a batch of 8."""
  return (
    comparison.normal(0, 8, side, side, channels).astype(dtype),
    comparison.normal(1, 3, 3, channels, channels).astype(dtype),
    comparison.normal(2, 8, side, side, channels).astype(dtype),
  )


SIDE = math.isqrt(convolution._MANY_PIXELS // 8)


def test_parts_are_taken_of_narrow_kernels_over_many_pixels():
  def convolutions(side, channels):
    x, kernel, cotangent = many_pixels(side, channels, jnp.float32)
    pull = jax.vjp(lambda k: convolution.conv(x, k, 1), kernel)[1]
    return str(jax.make_jaxpr(pull)(cotangent)).count("conv_general_dilated[")

  narrow = convolution._NARROW
  whole = convolutions(SIDE - 1, narrow)
  assert convolutions(SIDE, narrow) > whole == convolutions(SIDE, narrow + 1)


def test_parts_are_summed_in_a_wide_type():
  """Rounded once more than the whole, not once for each part."""

  def gradient(conv, dtype):
    x, kernel, cotangent = many_pixels(SIDE, 2, jnp.bfloat16)
    x, kernel, cotangent = (a.astype(dtype) for a in (x, kernel, cotangent))
    return jax.vjp(lambda k: conv(x, k, 1), kernel)[1](cotangent)[0]

  exact = gradient(plain.conv, jnp.float32)

  def error(conv):
    found = gradient(conv, jnp.bfloat16)
    assert found.dtype == jnp.bfloat16
    return jnp.sqrt(jnp.mean((found.astype(jnp.float32) - exact) ** 2))

  assert error(convolution.conv) <= 1.4 * error(plain.conv)

"""Winograd's convolution against the plain one, values and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rethinking.ops import convolution, winograd
from rethinking.ops import plain as plain_ops

from . import comparison

conv = functools.partial(convolution.conv, stride=1)
plain = functools.partial(plain_ops.conv, stride=1)


def integers(seed, *shape):
  values = np.random.default_rng(seed).integers(-4, 5, shape)
  return jnp.asarray(values, jnp.float32)


def check_exact(shape, channels):
  """Quarters of small integers are summed and multiplied without rounding."""
  x, kernel = integers(0, *shape, channels[0]), integers(1, 3, 3, *channels)
  assert winograd.is_quicker(x, kernel, 1)
  comparison.compare(conv, plain, x, kernel, draw=integers, tolerance=0)


@pytest.mark.parametrize(
  ("shape", "channels"),
  [
    ((1, 4, 4), (32, 64)),
    ((2, 5, 8), (64, 32)),
    ((1, 6, 7), (65, 33)),
    ((3, 9, 5), (32, 64)),
  ],
)
def test_integers_are_exact(shape, channels):
  check_exact(shape, channels)


@pytest.mark.parametrize(
  ("batch", "parts"), [(6, 3), pytest.param(7, 4, marks=pytest.mark.slow)]
)
def test_parts_of_the_batch(monkeypatch, batch, parts):
  """Also where the batch is no multiple of them."""
  one = 16 * 3 * 3 * 64
  monkeypatch.setattr(winograd, "_PART", 2 * one)
  calls = []
  products = winograd._entrywise
  monkeypatch.setattr(
    winograd, "_entrywise", lambda *a: calls.append(a) or products(*a)
  )
  check_exact((batch, 5, 6), (32, 64))
  # Of the value and two gradients.
  assert len(calls) == 3 * parts
  text = jax.jit(conv).lower(
    jnp.ones((batch, 5, 6, 32)), jnp.ones((3, 3, 32, 64))
  )
  # Each part begins when the one before has ended. The kernel and each part
  # have a barrier of their own.
  assert text.as_text().count("optimization_barrier") == 1 + parts + parts - 1


def test_rounding_is_like_the_plain_convolutions():
  """Within twice its error, the root of the mean square, of float64 values."""
  x, kernel = (
    comparison.normal(0, 8, 8, 8, 128).astype(jnp.float32),
    comparison.normal(1, 3, 3, 128, 64).astype(jnp.float32),
  )
  cotangent = comparison.normal(2, 8, 8, 8, 64).astype(jnp.float32)

  def gradients(function, *arguments):
    value, pull = jax.vjp(function, *arguments[:2])
    return value, *pull(arguments[2])

  with jax.enable_x64(True):
    wide = [a.astype(jnp.float64) for a in (x, kernel, cotangent)]
    exact = gradients(plain, *wide)
  found = gradients(conv, x, kernel, cotangent)
  usual = gradients(plain, x, kernel, cotangent)
  for a, b, c in zip(found, usual, exact, strict=True):
    error, usual_error = (
      np.sqrt(np.mean(np.square(np.asarray(v, np.float64) - np.asarray(c))))
      for v in (a, b)
    )
    assert error <= 2 * usual_error


@pytest.mark.parametrize(
  ("shape", "kernel", "stride", "dtype"),
  [
    ((2, 8, 8, 63), (3, 3, 63, 63), 1, jnp.float32),
    ((2, 8, 8, 64), (3, 3, 64, 31), 1, jnp.float32),
    ((2, 3, 8, 64), (3, 3, 64, 64), 1, jnp.float32),
    ((2, 8, 3, 64), (3, 3, 64, 64), 1, jnp.float32),
    ((2, 8, 8, 64), (5, 5, 64, 64), 1, jnp.float32),
    ((2, 8, 8, 64), (3, 3, 64, 64), 2, jnp.float32),
    ((2, 8, 8, 64), (3, 3, 64, 64), 1, jnp.bfloat16),
    ((0, 8, 8, 64), (3, 3, 64, 64), 1, jnp.float32),
  ],
)
def test_where_the_plain_convolution_stays(shape, kernel, stride, dtype):
  x, kernel = jnp.ones(shape, dtype), jnp.ones(kernel, dtype)
  assert not winograd.is_quicker(x, kernel, stride)
  program = jax.jit(functools.partial(convolution.conv, stride=stride))
  assert "convolution" in program.lower(x, kernel).as_text()


@pytest.mark.parametrize(("platform", "count"), [("cpu", 0), ("tpu", 3)])
def test_only_a_cpu_takes_it(platform, count):
  """Value and two gradients: three convolutions elsewhere."""
  x, kernel = jnp.ones((2, 8, 8, 64)), jnp.ones((3, 3, 64, 32))

  def both(x, kernel):
    value, pull = jax.vjp(conv, x, kernel)
    return value, pull(value)

  program = jax.jit(both).trace(x, kernel).lower(lowering_platforms=(platform,))
  assert program.as_text().count("stablehlo.convolution") == count

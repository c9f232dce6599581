"""Normalisation against its plain form, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rethinking import ops
from rethinking.models import layers
from rethinking.runtime import xla_flags

from . import comparison

pytestmark = pytest.mark.usefixtures("float64")


def plain_batch_norm(x, epsilon):
  axes = tuple(range(x.ndim - 1))
  mean = x.mean(axes, keepdims=True)
  var = jnp.square(x - mean).mean(axes, keepdims=True)
  return (x - mean) / jnp.sqrt(var + epsilon)


@pytest.mark.parametrize("shape", [(6, 4, 4, 3), (16, 5)])
def test_batch_norm_values_and_gradients(shape):
  module = layers.BatchNorm(dtype=jnp.float64, epsilon=1e-3)
  x = 3 * comparison.normal(0, *shape) + 2
  variables = module.init(jax.random.key(0), x, train=False)
  scale, offset = (
    comparison.normal(1, shape[-1]),
    comparison.normal(2, shape[-1]),
  )
  lead = (1,) * (len(shape) - 1)

  def fast(x, scale, offset):
    params = {"scale": scale, "offset": offset}
    y, _ = module.apply(
      {**variables, "params": params}, x, train=True, mutable=["batch_stats"]
    )
    return y

  def plain(x, scale, offset):
    y = plain_batch_norm(x, 1e-3)
    return y * scale.reshape(*lead, -1) + offset.reshape(*lead, -1)

  comparison.compare(fast, plain, x, scale, offset)


@pytest.mark.skipif(
  xla_flags.accepted() != xla_flags.CPU_FLAGS,
  reason="barriers are kept by a flag that this jaxlib does not take",
)
def test_batch_norm_keeps_no_centred_activations():
  """Beside its input a gradient needs one more array of its size, not two."""

  def loss(x, scale, offset):
    # Its input is no argument but held for the gradient.
    y = ops.batch_norm(jnp.sin(x), scale, offset, 1e-3, None)[0]
    return jnp.square(y).sum()

  x, vector = comparison.normal(0, 64, 16, 16, 8), comparison.normal(1, 8)
  program = jax.jit(jax.grad(loss, (0, 1, 2))).lower(x, vector, vector)
  held = program.compile().memory_analysis().temp_size_in_bytes
  assert x.nbytes <= held < 1.5 * x.nbytes


def test_batch_norm_running_statistics():
  module = layers.BatchNorm(momentum=0.8, use_affine=False, dtype=jnp.float64)
  x = 3 * comparison.normal(0, 7, 2, 2, 3) + 2
  variables = module.init(jax.random.key(0), x, train=True)
  np.testing.assert_array_equal(variables["batch_stats"]["mean"], 0)
  np.testing.assert_array_equal(variables["batch_stats"]["var"], 1)
  _, updates = module.apply(variables, x, train=True, mutable=["batch_stats"])
  stats = updates["batch_stats"]
  np.testing.assert_allclose(stats["mean"], 0.2 * x.mean((0, 1, 2)))
  np.testing.assert_allclose(stats["var"], 0.8 + 0.2 * x.var((0, 1, 2)))
  y = module.apply(updates, x, train=False)
  centred = x - stats["mean"].reshape(1, 1, 1, -1)
  expected = centred / jnp.sqrt(stats["var"].reshape(1, 1, 1, -1) + 1e-5)
  np.testing.assert_allclose(y, expected, atol=1e-12)


def test_batch_norm_over_devices():
  """Values, statistics and gradients of four shards are the whole batch's."""
  x, weight = comparison.normal(0, 8, 3, 3, 2), comparison.normal(1, 8, 3, 3, 2)

  def run(axis_name):
    module = layers.BatchNorm(axis_name=axis_name, dtype=jnp.float64)
    variables = module.init(jax.random.key(0), x, train=False)

    def loss(x, weight):
      y, updates = module.apply(
        variables, x, train=True, mutable=["batch_stats"]
      )
      return (jnp.square(y) * y * weight).mean(), (y, updates)

    return jax.grad(loss, has_aux=True)

  gradient, (y, updates) = run(None)(x, weight)
  shards = [a.reshape(4, 2, *a.shape[1:]) for a in (x, weight)]
  four, (y4, updates4) = jax.pmap(
    run("batch"), axis_name="batch", devices=jax.local_devices()[:4]
  )(*shards)
  np.testing.assert_allclose(y4.reshape(y.shape), y, atol=1e-12)
  # Each shard's loss is a mean over a quarter of the batch.
  np.testing.assert_allclose(four.reshape(x.shape) / 4, gradient, atol=1e-12)
  for whole, shard in zip(
    jax.tree.leaves(updates), jax.tree.leaves(updates4), strict=True
  ):
    np.testing.assert_allclose(shard, jnp.tile(whole[None], (4, 1)))


def test_batch_norm_in_float32_of_a_shifted_channel():
  """A mean a hundred times the spread costs no more than rounding."""
  x = comparison.normal(0, 64, 4, 4, 3) + 100
  module = layers.BatchNorm(use_affine=False)
  variables = module.init(jax.random.key(0), x, train=False)
  y, _ = module.apply(
    variables, x.astype(jnp.float32), train=True, mutable=["batch_stats"]
  )
  np.testing.assert_allclose(y, plain_batch_norm(x, 1e-5), atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3, 16, 24])
def test_local_response_norm(channels):
  def plain(x):
    padded = jnp.pad(jnp.square(x), ((0, 0), (4, 4)))
    total = sum(padded[:, i : i + channels] for i in range(9))
    return x / (1.0 + 0.001 / 9 * total) ** 0.75

  # So large that the sum is not small beside 1.
  x = 60 * comparison.normal(0, 4, channels)
  comparison.compare(ops.local_response_norm, plain, x)

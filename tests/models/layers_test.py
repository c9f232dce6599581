"""Each layer against its plain form, values and gradients."""

import math

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from rethinking import runtime
from rethinking.models import layers, linear, normalization


@pytest.fixture(autouse=True)
def float64():
  with jax.enable_x64(True):
    yield


def normal(seed, *shape):
  return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def compare(fast, plain, *arguments, tolerance=1e-10):
  """Values and every gradient, under the same random cotangent."""
  shape = jax.eval_shape(plain, *arguments)
  cotangent = normal(99, *shape.shape).astype(shape.dtype)

  def both(function):
    @jax.jit
    def run(arguments, cotangent):
      value, pull = jax.vjp(function, *arguments)
      return value, pull(cotangent)

    return jax.tree.leaves(run(arguments, cotangent))

  for found, expected in zip(both(fast), both(plain), strict=True):
    np.testing.assert_allclose(found, expected, atol=tolerance, rtol=tolerance)


def plain_conv(x, kernel, stride):
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    "SAME",
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )


@settings(max_examples=12, deadline=None)
@given(
  side=st.integers(1, 9),
  kernel_size=st.sampled_from([1, 3, 5]),
  stride=st.sampled_from([1, 2]),
  channels=st.sampled_from([(1, 4), (7, 2), (5, 7)]),
)
def test_conv(side, kernel_size, stride, channels):
  x = normal(0, 2, side, side + 1, channels[0])
  kernel = normal(1, kernel_size, kernel_size, *channels)
  compare(
    lambda x, k: linear.conv(x, k, stride),
    lambda x, k: plain_conv(x, k, stride),
    x,
    kernel,
  )


@pytest.mark.parametrize("channels", [(2, 3), (3, 2)])
@pytest.mark.parametrize("batch", [8, 11])
def test_a_narrow_kernels_gradient_in_parts(batch, channels):
  """Also where the batch is no multiple of the parts."""
  side = math.isqrt(linear._MANY_PIXELS // batch) + 1
  compare(
    lambda x, k: linear.conv(x, k, 1),
    lambda x, k: plain_conv(x, k, 1),
    normal(0, batch, side, side, channels[0]),
    normal(1, 3, 3, *channels),
    tolerance=1e-9,
  )


def test_parts_are_taken_of_narrow_kernels_over_many_pixels():
  def gradient(side, channels, dtype=jnp.float32):
    x = normal(0, 8, side, side, channels).astype(dtype)
    kernel = normal(1, 3, 3, channels, channels).astype(dtype)
    pull = jax.vjp(lambda k: linear.conv(x, k, 1), kernel)[1]
    return pull, jnp.ones_like(x)

  def convolutions(*arguments):
    pull, ones = gradient(*arguments)
    return str(jax.make_jaxpr(pull)(ones)).count("conv_general_dilated[")

  side = math.isqrt(linear._MANY_PIXELS // 8)
  narrow = linear._NARROW
  whole = convolutions(side - 1, narrow)
  assert convolutions(side, narrow) > whole == convolutions(side, narrow + 1)
  (wide,), (found,) = (
    pull(ones)
    for pull, ones in (gradient(side, 2), gradient(side, 2, jnp.bfloat16))
  )
  assert found.dtype == jnp.bfloat16
  scale = jnp.abs(wide).max()
  np.testing.assert_allclose(found / scale, wide / scale, atol=0.006)


@pytest.mark.parametrize(
  "layer",
  [
    lambda x, k: linear.conv(x, k, 1),
    lambda x, k: linear.conv(x, k, 2),
    lambda x, k: linear.conv(x, k[:1, :1], 1),
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
  x, k = normal(0, 3, 2, 5, 6, 4), normal(1, 3, 3, 3, 4, 4)

  def one_by_one(x, k):
    return jnp.stack([layer(x[i], k[i]) for i in range(3)])

  compare(jax.vmap(layer), one_by_one, x, k)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize(
  "layer",
  [
    lambda x, k: linear.conv(x, k, 1),
    lambda x, k: linear.conv(x, k, 2),
    lambda x, k: linear.conv(x, k[:1, :1], 1),
    lambda x, k: linear.add_bias(layers.max_pool(x, 3, 2), k[0, 0, 0]),
  ],
  ids=["conv", "strided", "1x1", "max_pool"],
)
def test_layers_of_narrow_types(layer, dtype):
  """Gradients have their operands' type, and values near the wide ones."""
  wide = normal(0, 2, 5, 6, 4), normal(1, 3, 3, 4, 4)
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
  x = normal(0, 2, 5, 5, 3)
  module = layers.Conv(4, 3, 2, dtype=jnp.float64)
  variables = module.init(jax.random.key(0), x)
  variables["params"]["bias"] = normal(1, 4)
  plain = nn.Conv(4, (3, 3), (2, 2), "SAME", param_dtype=jnp.float64)
  np.testing.assert_allclose(
    module.apply(variables, x), plain.apply(variables, x), atol=1e-12
  )


@settings(max_examples=24, deadline=None)
@given(
  side=st.integers(1, 9), window=st.integers(1, 4), stride=st.integers(1, 4)
)
def test_max_pool(side, window, stride):
  compare(
    lambda x: layers.max_pool(x, window, stride),
    lambda x: nn.max_pool(x, (window, window), (stride, stride), "SAME"),
    normal(side, 2, side, side + 1, 3),
  )


@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 2), (4, 4)])
def test_max_pool_gradient_of_ties_goes_to_the_first(window, stride):
  """As in XLA's own pooling, on values with many ties, zeros included."""
  values = np.random.default_rng(0).integers(0, 3, (2, 8, 8, 3))
  compare(
    lambda x: layers.max_pool(x, window, stride),
    lambda x: nn.max_pool(x, (window, window), (stride, stride), "SAME"),
    jnp.asarray(values, jnp.float64),
  )


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 1)])
def test_max_pool_keeps_nan(place):
  x = normal(0, 1, 2, 2, 1).at[0, *place, 0].set(jnp.nan)
  assert jnp.isnan(layers.max_pool(x, 2, 2)).all()
  gradient = jax.grad(lambda x: layers.max_pool(x, 2, 2).sum())(x)
  expected = jnp.zeros_like(x).at[0, *place, 0].set(1)
  np.testing.assert_array_equal(gradient, expected)


def plain_batch_norm(x, epsilon):
  axes = tuple(range(x.ndim - 1))
  mean = x.mean(axes, keepdims=True)
  var = jnp.square(x - mean).mean(axes, keepdims=True)
  return (x - mean) / jnp.sqrt(var + epsilon)


@pytest.mark.parametrize("shape", [(6, 4, 4, 3), (16, 5)])
def test_batch_norm_values_and_gradients(shape):
  module = normalization.BatchNorm(dtype=jnp.float64, epsilon=1e-3)
  x = 3 * normal(0, *shape) + 2
  variables = module.init(jax.random.key(0), x, train=False)
  scale, offset = normal(1, shape[-1]), normal(2, shape[-1])
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

  compare(fast, plain, x, scale, offset)


@pytest.mark.skipif(
  not jaxlib.__version__.startswith(runtime._TRIED_JAXLIB),
  reason="barriers are kept by a flag for the versions that it was tried on",
)
def test_batch_norm_keeps_no_centred_activations():
  """Beside its input a gradient needs one more array of its size, not two."""

  def loss(x, scale, offset):
    # Its input is no argument but held for the gradient.
    y = normalization.batch_norm(jnp.sin(x), scale, offset, 1e-3, None)[0]
    return jnp.square(y).sum()

  x, vector = normal(0, 64, 16, 16, 8), normal(1, 8)
  program = jax.jit(jax.grad(loss, (0, 1, 2))).lower(x, vector, vector)
  held = program.compile().memory_analysis().temp_size_in_bytes
  assert x.nbytes <= held < 1.5 * x.nbytes


def test_batch_norm_running_statistics():
  module = normalization.BatchNorm(
    momentum=0.8, use_affine=False, dtype=jnp.float64
  )
  x = 3 * normal(0, 7, 2, 2, 3) + 2
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
  x, weight = normal(0, 8, 3, 3, 2), normal(1, 8, 3, 3, 2)

  def run(axis_name):
    module = normalization.BatchNorm(axis_name=axis_name, dtype=jnp.float64)
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
  x = normal(0, 64, 4, 4, 3) + 100
  module = normalization.BatchNorm(use_affine=False)
  variables = module.init(jax.random.key(0), x, train=False)
  y, _ = module.apply(
    variables, x.astype(jnp.float32), train=True, mutable=["batch_stats"]
  )
  np.testing.assert_allclose(y, plain_batch_norm(x, 1e-5), atol=1e-3)


@pytest.mark.parametrize(
  ("channels", "radius"), [(1, 0), (3, 4), (16, 4), (24, 6)]
)
def test_local_response_norm(channels, radius):
  def plain(x):
    padded = jnp.pad(jnp.square(x), ((0, 0), (radius, radius)))
    total = sum(padded[:, i : i + channels] for i in range(2 * radius + 1))
    return x / (2.0 + 0.1 * total) ** 0.75

  compare(
    lambda x: normalization.local_response_norm(
      x, radius=radius, bias=2.0, alpha=0.1, beta=0.75
    ),
    plain,
    3 * normal(0, 4, channels),
  )


def test_local_response_norm_of_another_exponent():
  x = normal(0, 4, 8)
  total = 1 + 0.001 / 9 * jnp.square(x) @ (
    jnp.abs(jnp.subtract.outer(jnp.arange(8), jnp.arange(8))) <= 4
  ).astype(x.dtype)
  np.testing.assert_allclose(
    normalization.local_response_norm(x, beta=0.5), x / jnp.sqrt(total)
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


GOLDEN = [1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0]


def test_dropout_off():
  x = normal(0, 2, 3)
  assert layers.dropout(None, x, 0.5, layer=0, train=False) is x
  assert layers.dropout(None, x, 0.0, layer=0, train=True) is x


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_dropout_rate_is_checked(rate):
  with pytest.raises(ValueError, match="out of range"):
    layers.dropout(keys(0, 1), jnp.ones((1, 2)), rate, layer=0, train=True)

"""The pure pieces of the step, and its independence of position."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from hypothesis import given
from hypothesis import strategies as st

from rethinking import config as config_lib
from rethinking import models
from rethinking.training import preprocessing, programs, step
from rethinking.training import state as state_lib


class _Given(nn.Module):
  """A model whose logits are ten of the pixels, times a factor."""

  @nn.compact
  def __call__(self, x, *, train, dropout_keys=None):
    factor = self.param("factor", nn.initializers.ones_init(), (), jnp.float32)
    return factor * x.reshape(len(x), -1)[:, :10]


def _of_pixels(factor):
  """Data, the state of `_Given`, and the logits that it gives."""
  # Normalised by these, a pixel's value is 0 to 255.
  data = _data()._replace(statistics=(jnp.zeros(1), jnp.ones(1) / 255))
  state = step.init_state(
    _Given(), optax.sgd(1.0), jax.random.key(0), (8, 8, 1)
  )
  state = state.replace(params={"factor": jnp.float32(factor)})
  return data, state, factor * np.float64(data.images.reshape(24, -1)[:, :10])


@pytest.mark.parametrize("factor", [0.01, 1.0, 1e3])
def test_the_loss_is_minus_the_log_of_the_softmax(factor):
  """Of huge logits too, without overflow; its gradient by definition."""
  data, state, logits = _of_pixels(factor)
  rows = np.arange(24)
  wide = logits - logits.max(-1, keepdims=True)
  share = np.exp(wide) / np.exp(wide).sum(-1, keepdims=True)
  want = np.log(np.exp(wide).sum(-1)) - wide[rows, data.labels]
  evaluate = step.make_eval_step(_Given(), shape=(8, 8, 1), crop=0)
  found, prediction, *_ = evaluate(state, data, rows, (), 0)
  np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)
  np.testing.assert_array_equal(prediction, logits.argmax(-1))
  train = step.make_train_step(
    _Given(), optax.sgd(1.0), shape=(8, 8, 1), crop=0
  )
  new, seen = train(state, data, _batch(rows), jax.random.key(1), ())
  np.testing.assert_allclose(seen["loss"], want.mean(), rtol=1e-4)
  by_factor = (share * logits).sum(-1) - logits[rows, data.labels]
  moved = float(new.params["factor"]) - factor
  np.testing.assert_allclose(
    -moved, by_factor.mean() / factor, rtol=1e-3, atol=1e-4
  )


def test_whitening_gives_mean_0_and_variance_1():
  image = jax.random.uniform(jax.random.key(0), (28, 28, 3))
  white = preprocessing.whiten(image)
  np.testing.assert_allclose(white.mean(), 0, atol=1e-5)
  np.testing.assert_allclose(white.var(), 1, rtol=1e-5)


def test_whitening_divides_an_even_image_by_the_floor():
  # One bright value of 2,352: its deviation is below the paper's floor.
  image = jnp.zeros((28, 28, 3)).at[0, 0, 0].set(0.5)
  white = preprocessing.whiten(image)
  centred = image - image.mean()
  np.testing.assert_allclose(white, centred * 2352**0.5, rtol=1e-4)
  assert not np.any(preprocessing.whiten(jnp.full((28, 28, 3), 0.7)) > 1e-3)


def test_global_statistics_normalise_channel_by_channel():
  images = jax.random.uniform(jax.random.key(0), (5, 4, 4, 3))
  mean, std = jnp.array([0.1, 0.2, 0.3]), jnp.array([1.0, 2.0, 4.0])
  found = preprocessing.normalize(images, (mean, std))
  for k in range(3):
    want = (images[..., k] - mean[k]) / std[k]
    np.testing.assert_allclose(found[..., k], want, rtol=1e-6)
  np.testing.assert_allclose(
    preprocessing.normalize(images, ())[2],
    preprocessing.whiten(images[2]),
    rtol=1e-6,
  )


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 9))
def test_centre_crop_has_even_margins(height, width, side):
  side = min(side, height, width)
  images = np.arange(height * width).reshape(1, height, width, 1)
  cropped = preprocessing.centre_crop(images, side)
  if side == 0:
    np.testing.assert_array_equal(cropped, images)
    return
  assert cropped.shape == (1, side, side, 1)
  top, left = divmod(int(cropped[0, 0, 0, 0]), width)
  assert top in ((height - side) // 2, (height - side + 1) // 2)
  assert left in ((width - side) // 2, (width - side + 1) // 2)


@given(
  # Few sizes: each is compiled.
  st.sampled_from([1, 2, 128, 1437]),
  st.integers(0, 5),
  st.integers(0, 2**32 - 1),
)
def test_an_epoch_has_every_row_once(n, epoch, seed):
  order = state_lib.epoch_order(state_lib.root(seed, "order"), epoch, n)
  np.testing.assert_array_equal(np.sort(order), np.arange(n))


def test_epoch_order_does_not_drift():
  order = state_lib.epoch_order(state_lib.root(0, "order"), 1, 10)
  # Update only if the order of every run is meant to change.
  assert order.tolist() == GOLDEN_ORDER


GOLDEN_ORDER = [0, 3, 9, 5, 1, 8, 4, 6, 2, 7]


def _data(n=24, seed=0):
  keys = jax.random.split(jax.random.key(seed), 2)
  return state_lib.Data(
    images=jax.random.bits(keys[0], (n, 64), jnp.uint8),
    labels=jax.random.randint(keys[1], (n,), 0, 10),
    ids=jnp.arange(n, dtype=jnp.uint32) + 7,
  )


def _step(arch="mlp_1x512", augment=None, **fields):
  module = models.create(arch, num_classes=10, **fields)
  tx = optax.sgd(0.1)
  state = step.init_state(module, tx, jax.random.key(0), (8, 8, 1))
  return state, jax.jit(
    step.make_train_step(module, tx, shape=(8, 8, 1), crop=0, augment=augment)
  )


def _batch(index, epoch=0):
  index = jnp.asarray(index, jnp.int32)
  return state_lib.Batch(index, jnp.full(index.shape, epoch, jnp.int32))


@pytest.mark.parametrize("arch", ["mlp_1x512", "digits_cnn"])
def test_dropout_and_augmentation_follow_the_id_not_the_position(arch):
  def augment(key, image):
    return image.at[0, 0, 0].set(jax.random.uniform(key))

  state, train = _step(arch, augment, dropout=0.5)
  data, key = _data(), jax.random.key(1)
  a, _ = train(state, data, _batch([3, 1, 4, 15]), key, ())
  # Another order of the rows in the batch, and of the data itself.
  b, _ = train(state, data, _batch([15, 4, 3, 1]), key, ())
  reverse = jax.tree.map(lambda x: x[::-1], data)
  c, _ = train(state, reverse, _batch([20, 22, 19, 8]), key, ())
  for other in (b, c):
    jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5),
      a.params,
      other.params,
    )
  # Another id draws another mask.
  moved = data._replace(ids=data.ids + 1)
  d, _ = train(state, moved, _batch([3, 1, 4, 15]), key, ())
  assert any(
    jax.tree.leaves(
      jax.tree.map(lambda x, y: bool(jnp.any(x != y)), a.params, d.params)
    )
  )


def test_augmentation_changes_with_the_epoch_dropout_with_the_step():
  def augment(key, image):
    return image.at[0, 0, 0].set(jax.random.uniform(key))

  data, key = _data(), jax.random.key(1)
  state, train = _step(augment=augment)
  a, b, c = (
    float(train(state, data, _batch([1, 2], epoch=e), key, ())[1]["loss"])
    for e in (0, 0, 1)
  )
  assert a == b != c
  state, train = _step(dropout=0.5)
  later = state.replace(step=state.step + 1)
  a, b, c = (
    float(train(s, data, _batch([1, 2]), key, ())[1]["loss"])
    for s in (state, state, later)
  )
  assert a == b != c


@pytest.mark.parametrize(
  ("arch", "optimizer"),
  [
    ("mlp_1x512", "adam"),
    ("mlp_1x512", "sgd"),
    pytest.param("keras_cifar_cnn", "adam", marks=pytest.mark.slow),
  ],
)
def test_in_bfloat16_what_is_kept_stays_float32(arch, optimizer):
  def run(dtype):
    config = config_lib.default()
    config.update(
      arch=arch, optimizer=optimizer, dtype=dtype, shape=(8, 8, 1), crop=0
    )
    config = config_lib.resolve(config)
    init, train, _ = programs.steps(
      programs.key(config), 24, 10, (8, 8, 1), None
    )
    state = init(key=jax.random.key(0))
    train = jax.jit(train)
    batch, key = _batch(jnp.arange(24)), jax.random.key(1)
    for _ in range(2):
      state, seen = train(state, _data(), batch, key, ())
    return state, seen

  state, seen = run("bfloat16")
  for leaf in jax.tree.leaves((state, seen)):
    if jnp.issubdtype(leaf.dtype, jnp.floating):
      assert leaf.dtype == jnp.float32
      assert np.isfinite(leaf).all()
  assert bool(state.batch_stats) == (arch == "keras_cifar_cnn")
  # Computed in bfloat16 all the same, whose steps are of 2**-8.
  full, want = run("float32")
  np.testing.assert_allclose(seen["loss"], want["loss"], rtol=3e-2)
  assert seen["loss"] != want["loss"]
  for a, b in zip(
    jax.tree.leaves(state.batch_stats),
    jax.tree.leaves(full.batch_stats),
    strict=True,
  ):
    np.testing.assert_allclose(a, b, rtol=3e-2, atol=3e-2)


def test_metrics_are_those_before_the_update():
  # Of any normalisation.
  statistics = (jnp.array([0.2]), jnp.array([3.0]))
  data = _data()._replace(statistics=statistics)
  key = jax.random.key(1)
  state, train = _step()
  index = jnp.arange(24)
  _, seen = train(state, data, _batch(index), key, ())
  module = models.create("mlp_1x512", num_classes=10)
  evaluate = step.make_eval_step(module, shape=(8, 8, 1), crop=0)
  loss, prediction, *_ = evaluate(state, data, index, (), 0)
  np.testing.assert_allclose(seen["loss"], loss.mean(), rtol=1e-5)
  np.testing.assert_allclose(
    seen["accuracy"], jnp.mean(prediction == data.labels), rtol=1e-6
  )


@pytest.mark.parametrize("precision", [None, "high", "highest"])
def test_every_product_has_the_precision_of_the_field(precision):
  config = config_lib.default()
  config.update(dataset="digits", arch="digits_cnn", crop=0)
  config.matmul_precision = precision
  config = config_lib.resolve(config)
  init, train, evaluate = programs.steps(
    programs.key(config), 24, 10, (8, 8, 1), None
  )
  state = jax.eval_shape(init, key=state_lib.root(0, "init"))
  rows = np.arange(24)
  key = jax.random.key(0)
  for traced in (
    jax.make_jaxpr(train)(state, _data(), _batch(rows), key, ()),
    jax.make_jaxpr(evaluate)(state, _data(), rows, (), 0),
  ):
    found = re.findall(r"precision=(?:\(Precision\.)?(\w+)", str(traced))
    # Two convolutions and two dense layers; training, their gradients, too.
    assert len(found) >= 4
    assert {name.lower() for name in found} == {str(precision).lower()}

"""One device equals many, exactly, for every model."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rethinking import models
from rethinking.data import augment
from rethinking.runtime.errors import UserError
from rethinking.training import parallel, placement, step
from rethinking.training import state as state_lib

# The smallest images that every layer can still see: float64 convolutions
# take their time.
_SHAPES = {"digits_cnn": (8, 8, 1), "keras_cifar_cnn": (16, 16, 3)}


def _one_step(
  arch,
  devices,
  dtype,
  batch=8,
  chunk=1,
  size=None,
  index=None,
  augmentation=None,
):
  """The state after SGD steps from the same start on some devices."""
  shape = _SHAPES.get(arch, (8, 8, 3))
  module = models.create(
    arch, num_classes=10, dropout=0.3, dtype=dtype, axis_name=placement.AXIS
  )
  optimizer = optax.sgd(0.1)
  keys = jax.random.split(jax.random.key(0), 3)
  state = step.init_state(module, optimizer, keys[0], shape)
  data = state_lib.Data(
    jax.random.bits(keys[1], (16, *shape), jnp.uint8).reshape(16, -1),
    jnp.arange(16, dtype=jnp.int32) % 10,
    jnp.arange(16, dtype=jnp.uint32) + 100,
  )
  if index is None:
    index = np.random.default_rng(0).permutation(16)[: batch * chunk]
  train = parallel.train(
    step.make_train_step(
      module,
      optimizer,
      shape=shape,
      crop=0,
      augment=augmentation,
      axis_name=placement.AXIS,
    ),
    batch,
    devices,
    spread=False,
  )
  state, loss = train(
    chunk,
    placement.replicate(_row(state), devices),
    placement.replicate(data, devices),
    _stream(index, batch, devices),
    np.int32([chunk if size is None else size]),
    np.int32(chunk if size is None else size),
    jax.random.key_data(keys[2])[None],
    (),
  )
  return jax.tree.map(lambda x: x[0], (state, {"loss": loss}))


def _row(tree):
  return jax.tree.map(lambda x: x[None], tree)


def _stream(index, batch, devices):
  order = state_lib.Stream(
    np.array(index, np.int32)[None, None], *np.zeros((3, 1), np.int32)
  )
  return placement.put_stream(order, batch, devices, spread=False)


def _assert_close(a, b, tolerance):
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=tolerance), a, b
  )


# All that these have, digits_cnn, keras_cifar_cnn and the MLPs have, too.
_DEEP = ("alexnet", "inception", "inception_no_bn", "keras_mnist_cnn")
_DEEP += ("wide_resnet_28_1",)


@pytest.mark.parametrize(
  "arch",
  [
    pytest.param(arch, marks=pytest.mark.slow) if arch in _DEEP else arch
    for arch in sorted(models.ARCHITECTURES)
  ],
)
def test_one_sgd_step_on_1_device_equals_one_on_4(arch):
  # SGD, since Adam would hide a wrong scale of the gradients.
  with jax.enable_x64(True):
    one, seen_one = _one_step(arch, jax.devices()[:1], jnp.float64)
    four, seen_four = _one_step(arch, jax.devices()[:4], jnp.float64)
    assert jax.tree.leaves(one.params)[0].dtype == np.float64
    _assert_close(one.params, four.params, 1e-9)
    _assert_close(one.batch_stats, four.batch_stats, 1e-9)
    _assert_close(seen_one, seen_four, 1e-9)


def test_augmentation_is_the_same_on_1_device_and_on_4():
  def run(devices, preset):
    return _one_step(
      "mlp_1x512",
      jax.devices()[:devices],
      jnp.float64,
      augmentation=augment.create(preset),
    )

  with jax.enable_x64(True):
    one, seen_one = run(1, "keras_cifar")
    four, seen_four = run(4, "keras_cifar")
    _assert_close(one.params, four.params, 1e-9)
    _assert_close(seen_one, seen_four, 1e-9)
    assert abs(seen_one["loss"] - run(1, "none")[1]["loss"]).max() > 1e-3


def test_a_chunk_takes_its_steps_one_after_another():
  devices = jax.devices()[:2]
  index = np.arange(16)

  def run(**kwargs):
    return _one_step("mlp_1x512", devices, jnp.float32, 4, **kwargs)

  one, seen_one = run(chunk=1, index=index[:4])
  # Of a chunk of four, the first step alone.
  first, seen_first = run(chunk=4, size=1, index=index)
  assert int(first.step) == 1
  _assert_close(one.params, first.params, 1e-6)
  _assert_close(seen_one["loss"][0], seen_first["loss"][0], 1e-6)
  # The second step of a chunk of two starts where the first ended.
  two, seen_two = run(chunk=2, index=index[:8])
  four, seen_four = run(chunk=4, size=2, index=index)
  assert int(two.step) == int(four.step) == 2
  _assert_close(two.params, four.params, 1e-6)
  _assert_close(seen_two["loss"], seen_four["loss"][:2], 1e-6)
  assert np.any(
    np.asarray(two.params["logits"]["bias"])
    != np.asarray(one.params["logits"]["bias"])
  )


def test_the_state_is_given_up_to_the_next():
  devices = jax.devices()[:1]
  module = models.create("mlp_1x512", num_classes=10)
  optimizer = optax.sgd(0.1)
  state = step.init_state(module, optimizer, jax.random.key(0), (2, 2, 1))
  state = placement.replicate(_row(state), devices)
  data = placement.replicate(
    state_lib.Data(
      jnp.zeros((2, 4), jnp.uint8),
      jnp.zeros(2, jnp.int32),
      jnp.arange(2, dtype=jnp.uint32),
    ),
    devices,
  )
  train = parallel.train(
    step.make_train_step(module, optimizer, shape=(2, 2, 1), crop=0),
    2,
    devices,
    spread=False,
  )
  key = np.zeros((1, 2), np.uint32)
  one = np.int32([1])
  stream = _stream([1, 0], 2, devices)
  train(1, state, data, stream, one, one[0], key, ())
  assert all(x.is_deleted() for x in jax.tree.leaves(state.params))


@pytest.mark.parametrize("batch_size", [1, 4, 7, 16, 1000])
@pytest.mark.parametrize("devices", [1, 4])
def test_evaluation_is_exact_at_any_batch_size(batch_size, devices):
  devices = jax.devices()[:devices]
  module = models.create("mlp_1x512", num_classes=10)
  state = step.init_state(module, optax.sgd(0.1), jax.random.key(0), (2, 2, 1))
  data = state_lib.Data(
    jax.random.bits(jax.random.key(1), (17, 4), jnp.uint8),
    jnp.arange(17, dtype=jnp.int32) % 10,
    jnp.arange(17, dtype=jnp.uint32),
  )
  one = step.make_eval_step(module, shape=(2, 2, 1), crop=0)
  want = one(state, data, jnp.arange(17), (), 0)
  evaluate = parallel.evaluate(one, devices, spread=False)
  for looped in (True, False):
    index = placement.put_index(
      np.arange(17, dtype=np.int32)[None],
      batch_size,
      devices,
      spread=False,
      looped=looped,
    )
    assert len(index) == 1 or not looped
    parts = [
      evaluate(
        placement.replicate(_row(state), devices),
        placement.replicate(data, devices),
        (),
        np.zeros(1, np.int32),
        part,
      )
      for part in index
    ]
    loss, prediction, given = (
      np.concatenate([np.asarray(x).reshape(-1) for x in column])[:17]
      for column in zip(*(part[:3] for part in parts), strict=True)
    )
    np.testing.assert_allclose(loss, want.loss, rtol=1e-5)
    np.testing.assert_array_equal(prediction, want.prediction)
    np.testing.assert_array_equal(given, data.labels)


def test_a_batch_that_does_not_divide_is_refused():
  parallel.check_batch("batch_size", 128, 4)
  with pytest.raises(
    UserError, match="batch_size must be a multiple of 4, .* got 126"
  ):
    parallel.check_batch("batch_size", 126, 4)


def test_the_processes_parts_are_the_batch(monkeypatch):
  # A TPU's devices may come in any order; those of a process must be together.
  devices = [
    types.SimpleNamespace(process_index=p, id=i)
    for i, p in enumerate((0, 1, 0, 1))
  ]
  monkeypatch.setattr(jax, "devices", lambda: devices)
  devices = placement.all_devices()
  assert [d.id for d in devices] == [0, 2, 1, 3]
  # Of two runs' batches of 12.
  place = np.array([0, 100], np.int32)
  parts = []
  for index in range(2):
    monkeypatch.setattr(jax, "process_index", lambda index=index: index)
    assert [d.id for d in placement.own(devices)] == [[0, 2], [1, 3]][index]
    parts += [*placement.own_places(place, 12, devices)]
  np.testing.assert_array_equal(parts, [[0, 100], [3, 103], [6, 106], [9, 109]])


def test_what_evaluates_is_every_row_once_and_in_order():
  rows = np.arange(46, dtype=np.int32).reshape(2, 23)
  for devices, spread in ((1, False), (4, False), (2, True)):
    [whole] = placement.put_index(
      rows, 8, jax.devices()[:devices], spread=spread, looped=True
    )
    # [devices, R, batches, B / devices], spread [devices, 1, batches, B].
    whole = np.asarray(whole)
    if not spread:
      whole = np.concatenate([*whole], axis=-1)
    found = whole.reshape(2, -1)
    np.testing.assert_array_equal(found[:, :23], rows)
    np.testing.assert_array_equal(
      found[:, 23:], found[:, :1] + 0 * found[:, 23:]
    )

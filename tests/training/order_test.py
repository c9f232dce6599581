"""The examples of each step, as the device finds them, are the plain ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rethinking.training import parallel, placement, step
from rethinking.training.order import Order

SEED = 3


def _plain(num_examples, batch_size, start, steps):
  """Index and epoch of the steps' examples, by NumPy: [2, steps, B]."""
  first = start * batch_size
  position = np.arange(first, first + steps * batch_size)
  epoch, place = np.divmod(position, num_examples)
  key = step.root(SEED, "order")
  drawn = {
    e: np.asarray(step.epoch_order(key, int(e), num_examples))
    for e in np.unique(epoch)
  }
  index = [drawn[e][p] for e, p in zip(epoch, place, strict=True)]
  return np.array([index, epoch]).reshape(2, steps, batch_size)


def _seen(num_examples, batch_size, most, devices, start, sizes):
  """The same of dispatches of some sizes, from the program that trains."""

  def note(state, data, batch, key):
    del data, key
    parts = jax.lax.all_gather(jnp.stack(batch), placement.AXIS)
    row = jnp.moveaxis(parts, 0, 1).reshape(2, -1)
    state = state.replace(
      step=state.step + 1,
      params=state.params.at[:, state.step - start].set(row),
    )
    return state, {"loss": jnp.zeros(())}

  devices = jax.devices()[:devices]
  train = parallel.train_chunk(note, batch_size, devices)
  key = placement.lay_key(jax.random.key(0), devices)
  order = Order(SEED, num_examples, batch_size, most)
  noted = np.zeros((2, sum(sizes), batch_size), np.int32)
  state = step.TrainState(np.int32(start), noted, {}, {})
  at = start
  for size in sizes:
    stream = order.draw(order.epoch(at))
    stream = placement.lay_stream(stream, batch_size, devices)
    state, _ = train(most, state, (), stream, np.int32(size), key)
    at += size
  assert int(state.step) == at
  return np.asarray(state.params)


CASES = [
  # N, B, most.
  (16, 8, 1),
  (16, 8, 2),
  (18, 4, 1),
  (18, 4, 3),
  (18, 4, 5),
  # Chunks of several epochs.
  (10, 4, 12),
  # Batches of several epochs.
  (6, 20, 1),
  (6, 20, 3),
  (1, 4, 2),
]


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize(("num_examples", "batch_size", "most"), CASES)
def test_the_device_takes_the_plain_orders_examples(
  num_examples, batch_size, most, devices
):
  # Short chunks move the long ones to every place in an epoch.
  sizes = [*range(1, most + 1), most, most, 1] * (1 + 20 // most**2)
  found = _seen(num_examples, batch_size, most, devices, 0, sizes)
  want = _plain(num_examples, batch_size, 0, sum(sizes))
  np.testing.assert_array_equal(found, want)


def test_examples_are_counted_beyond_32_bits():
  start = 2**31 - 10
  found = _seen(18, 4, 3, 4, start, [3, 2, 3])
  np.testing.assert_array_equal(found, _plain(18, 4, start, 8))


@pytest.mark.parametrize(("num_examples", "batch_size", "most"), CASES)
def test_batches_are_those_of_the_plain_order(num_examples, batch_size, most):
  order = Order(SEED, num_examples, batch_size, most)
  for start in (0, 1, 7):
    found = order.batches(start, most)
    assert {x.dtype for x in found} == {np.dtype(np.int32)}
    want = _plain(num_examples, batch_size, start, most)
    np.testing.assert_array_equal(found, want)


def test_more_batches_than_are_drawn_are_refused():
  with pytest.raises(ValueError, match="steps is 3, but a dispatch takes 2"):
    Order(SEED, 10, 4, 2).batches(0, 3)


def test_an_epoch_is_drawn_once():
  order = Order(SEED, 10, 4, 1)
  # Steps 0 to 2 begin in epoch 0, steps 3 and 4 in epoch 1.
  streams = [order.draw(order.epoch(s)) for s in range(5)]
  assert streams[0] is streams[1] is streams[2]
  assert streams[3] is streams[4] is not streams[0]

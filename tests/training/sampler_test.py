"""The examples of each step, as the device finds them, are the plain ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rethinking.training import parallel, placement
from rethinking.training import state as state_lib
from rethinking.training.sampler import Sampler

SEED = 3
# Where the examples are in the data.
ROWS = np.arange(5, 50, 2, dtype=np.int32)


def _plain(num_examples, batch_size, start, steps):
  """Index and epoch of the steps' examples, by NumPy: [2, steps, B]."""
  first = start * batch_size
  position = np.arange(first, first + steps * batch_size)
  epoch, place = np.divmod(position, num_examples)
  key = state_lib.root(SEED, "order")
  drawn = {
    e: np.asarray(state_lib.epoch_order(key, int(e), num_examples))
    for e in np.unique(epoch)
  }
  index = [ROWS[drawn[e][p]] for e, p in zip(epoch, place, strict=True)]
  return np.array([index, epoch]).reshape(2, steps, batch_size)


def _seen(num_examples, batch_size, most, devices, start, sizes):
  """The same of dispatches of some sizes, from the program that trains."""

  def note(state, data, batch, key, noise):
    del data, key, noise
    parts = jax.lax.all_gather(jnp.stack(batch), placement.AXIS)
    row = jnp.moveaxis(parts, 0, 1).reshape(2, -1)
    state = state.replace(
      step=state.step + 1,
      params=state.params.at[:, state.step - start].set(row),
    )
    return state, {"loss": jnp.zeros(())}

  devices = jax.devices()[:devices]
  train = parallel.train(note, batch_size, devices, spread=False)
  key = np.zeros((1, 2), np.uint32)
  order = Sampler(SEED, ROWS[:num_examples], batch_size, most)
  noted = np.zeros((2, sum(sizes), batch_size), np.int32)
  state = state_lib.TrainState(np.int32([start]), noted[None], {}, {})
  at = start
  for size in sizes:
    stream = order.draw(order.epoch(at))
    stream = jax.tree.map(lambda x: np.asarray(x)[None], stream)
    stream = placement.put_stream(stream, batch_size, devices, spread=False)
    sizes = np.int32([size])
    state, _ = train(most, state, DATA, stream, sizes, sizes[0], key, ())
    at += size
  assert int(state.step[0]) == at
  return np.asarray(state.params[0])


DATA = state_lib.Data(*np.zeros((3, 1), np.int32))

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


def test_an_epoch_is_drawn_once():
  order = Sampler(SEED, ROWS[:10], 4, 1)
  # Steps 0 to 2 begin in epoch 0, steps 3 and 4 in epoch 1.
  streams = [order.draw(order.epoch(s)) for s in range(5)]
  assert streams[0] is streams[1] is streams[2]
  assert streams[3] is streams[4] is not streams[0]

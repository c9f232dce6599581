"""Which examples each step takes."""

from __future__ import annotations

import functools

import jax
import numpy as np

from rethinking import step as step_lib


class Order:
  """The stream of examples: epochs in their own orders, one after another."""

  def __init__(self, seed: int, num_examples: int, batch_size: int):
    self._num_examples = num_examples
    self._batch_size = batch_size
    self._draw = functools.lru_cache(maxsize=2)(
      functools.partial(self._epoch, step_lib.root(seed, "order"))
    )

  def _epoch(self, key: jax.Array, epoch: int) -> np.ndarray:
    return np.asarray(_epoch_order(key, epoch, self._num_examples))

  def batches(self, start: int, steps: int) -> step_lib.Batch:
    """Returns `Batch` leaves [steps, B] for the steps from `start` on."""
    first = start * self._batch_size
    position = np.arange(first, first + steps * self._batch_size)
    epoch, place = np.divmod(position, self._num_examples)
    index = np.concatenate(
      [self._draw(e)[place[epoch == e]] for e in range(epoch[0], epoch[-1] + 1)]
    )
    shape = (steps, self._batch_size)
    return step_lib.Batch(
      index.reshape(shape), epoch.astype(np.int32).reshape(shape)
    )


_epoch_order = jax.jit(step_lib.epoch_order, static_argnames="num_examples")

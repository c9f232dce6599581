"""Which examples each step takes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.training import optim
from rethinking.training import step as step_lib


class Order:
  """The stream of examples: epochs in their own orders, one after another.

  Epochs are drawn on the device. Steps and examples are counted in Python
  integers here, and the device's count of examples starts again with each
  epoch: only the step must fit int32, as in all runs that `task.check` lets
  through, which have fewer than 2**31 examples.

  Args:
    seed: in [0, 2**32).
    num_examples: N.
    batch_size: B, examples per step, over all devices.
    most: the steps that a dispatch takes at most; most * B + 2 N fits int32.
  """

  def __init__(self, seed: int, num_examples: int, batch_size: int, most: int):
    self._key = step_lib.root(seed, "order")
    self._num_examples = num_examples
    self._batch_size = batch_size
    self._most = most
    # A dispatch may begin with the last example of an epoch.
    self._number = -(-most * batch_size // num_examples) + 1
    self._drawn: dict[int, step_lib.Stream] = {}

  def epoch(self, step: int) -> int:
    """Returns the epoch of a step's first example.

    Args:
      step: from 0.
    """
    return step * self._batch_size // self._num_examples

  def draw(self, epoch: int) -> step_lib.Stream:
    """Returns the orders for the dispatches that begin in an epoch.

    Args:
      epoch: from 0.

    Returns:
      K orders on the default device, enough for the longest dispatch, the
      scalars as NumPy's; the last one is kept.
    """
    if epoch not in self._drawn:
      step = optim.epoch_end(epoch, self._num_examples, self._batch_size)
      place = step * self._batch_size - epoch * self._num_examples
      orders = _orders(
        self._key,
        jax.device_put(np.int32(epoch)),
        num_examples=self._num_examples,
        number=self._number,
      )
      scalars = map(np.int32, (epoch, step, place))
      self._drawn = {epoch: step_lib.Stream(orders, *scalars)}
    return self._drawn[epoch]

  def batches(self, start: int, steps: int) -> step_lib.Batch:
    """Returns `Batch` leaves [steps, B] on the device.

    Args:
      start: the first of the steps.
      steps: how many, no more than a dispatch takes.

    Raises:
      ValueError: for more steps.
    """
    # Past the drawn epochs JAX would take the last example again and again.
    if steps > self._most:
      raise ValueError(
        f"steps is {steps}, but a dispatch takes {self._most}; give at most "
        "that."
      )
    return _batches(
      *jax.device_put((self.draw(self.epoch(start)), np.int32(start))),
      steps=steps,
      batch_size=self._batch_size,
    )


@functools.partial(jax.jit, static_argnames=("num_examples", "number"))
def _orders(key, first, *, num_examples, number):
  """The orders of `number` epochs: int32 [number, N]."""
  epochs = first + jnp.arange(number, dtype=jnp.int32)
  return jax.vmap(lambda e: step_lib.epoch_order(key, e, num_examples))(epochs)


@functools.partial(jax.jit, static_argnames=("steps", "batch_size"))
def _batches(stream, start, *, steps, batch_size):
  return jax.vmap(
    lambda i: step_lib.batch(stream, start + i, batch_size, batch_size)
  )(jnp.arange(steps, dtype=jnp.int32))

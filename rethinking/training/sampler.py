"""Which examples each step takes, and how many steps a dispatch takes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from rethinking import models
from rethinking.runtime import processes
from rethinking.training import optim
from rethinking.training import state as state_lib


class Sampler:
  """The stream of examples: epochs in their own orders, one after another.

  Epochs are drawn on the device. Steps and examples are counted in Python
  integers here, and the device's count of examples starts again with each
  epoch: only the step must fit int32, as in all runs that `task.check` lets
  through, which have fewer than 2**31 examples.

  Args:
    seed: in [0, 2**32).
    rows: int32 [N], the examples' rows in the data.
    batch_size: B, examples per step, over all devices.
    most: the steps that a dispatch takes at most; most * B + 2 N fits int32.
  """

  def __init__(self, seed: int, rows: np.ndarray, batch_size: int, most: int):
    self._key = state_lib.root(seed, "order")
    self._rows = jax.device_put(rows)
    self._num_examples = num_examples = len(rows)
    self._batch_size = batch_size
    # A dispatch may begin with the last example of an epoch.
    self._number = -(-most * batch_size // num_examples) + 1
    self._drawn: dict[int, state_lib.Stream] = {}

  def epoch(self, step: int) -> int:
    """Returns the epoch of a step's first example.

    Args:
      step: from 0.
    """
    return step * self._batch_size // self._num_examples

  def draw(self, epoch: int) -> state_lib.Stream:
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
        self._rows,
        number=self._number,
      )
      scalars = map(np.int32, (epoch, step, place))
      self._drawn = {epoch: state_lib.Stream(orders, *scalars)}
    return self._drawn[epoch]


@functools.partial(jax.jit, static_argnames="number")
def _orders(key, first, rows, *, number):
  """The orders of `number` epochs: int32 [number, N]."""
  epochs = first + jnp.arange(number, dtype=jnp.int32)
  return jax.vmap(lambda e: rows[state_lib.epoch_order(key, e, len(rows))])(
    epochs
  )


def platform_steps(config: ConfigDict) -> int | None:
  """Returns the most steps of a dispatch where the config leaves them open.

  None, a whole epoch, on accelerators, where the host would be waited for;
  `Dispatches.timed` cuts long ones. On a CPU one of a network with
  convolutions, which are slow inside a loop, and as many as 4,096 examples take
  of others: a signal is heard after a dispatch.
  configs/results/benchmark.md has the timings.

  Args:
    config: resolved.
  """
  if jax.default_backend() != "cpu":
    return None
  dense = models.ARCHITECTURES[config.arch].dense
  return max(1, 4096 // config.batch_size) if dense else 1


# Steps a dispatch of several runs.
_CHUNK = 100
# Where whole epochs are taken: the steps that a dispatch takes before one was
# timed, and the seconds that it takes then, at most. A cloud gives notice 30
# seconds before it takes a machine, which is heard after a dispatch.
_FIRST, _SECONDS = 100, 5.0


class Dispatches:
  """The steps after which the host may stop, evaluate or save.

  They are absolute: multiples of `chunk_steps`, the config's or the platform's,
  or the ends of epochs where the platform takes those whole. So a run resumed
  at one of them dispatches what an uninterrupted one does; long epochs, which
  the clock cuts, in other parts, but by the same program, which rounds alike.

  Args:
    config: resolved.
    num_examples: examples per epoch.
    runs: how many train in one program.

  Attributes:
    most: the steps that a dispatch takes at most.
  """

  def __init__(self, config: ConfigDict, num_examples: int, runs: int = 1):
    self._chunk = config.chunk_steps
    if self._chunk is None:
      self._chunk = platform_steps(config) if runs == 1 else _CHUNK
    self._limit, self._timed = _FIRST, False
    self._sizes = (num_examples, config.batch_size)
    # Evaluations end dispatches too.
    span = optim.epoch_end(min(config.eval_epochs, config.epochs), *self._sizes)
    self.most = min(self._chunk or optim.epoch_end(1, *self._sizes), span)

  def end(self, step: int) -> int:
    """Returns the first step after `step` at which a dispatch may end.

    Args:
      step: from 0.
    """
    if self._chunk:
      return step - step % self._chunk + self._chunk
    num_examples, batch_size = self._sizes
    epoch = step * batch_size // num_examples
    whole = optim.epoch_end(epoch + 1, num_examples, batch_size)
    return min(whole, step + self._limit)

  def timed(self, steps: int, seconds: float) -> None:
    """Has dispatches take a few seconds at most, by the first one's time.

    Every process of a job calls it after the same dispatch; the first one's
    clock counts. Nothing where dispatches are not whole epochs.

    Args:
      steps: of a dispatch, at least 1.
      seconds: that it took.
    """
    if self._chunk or self._timed:
      return
    self._timed = True
    found = max(1, int(_SECONDS * steps / max(seconds, 1e-6)))
    self._limit = processes.on_first(lambda: found)

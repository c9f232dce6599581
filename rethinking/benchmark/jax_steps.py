"""The project's own training step and evaluation, ready to be timed."""

import functools
from collections.abc import Callable

import jax
import numpy as np

from rethinking import config as config_lib
from rethinking.benchmark import timing
from rethinking.training import placement, programs
from rethinking.training import step as step_lib
from rethinking.training.dispatches import Dispatches
from rethinking.training.order import Order

EXAMPLES = 4096


def random_data(
  shape: tuple[int, int, int], count: int = EXAMPLES
) -> step_lib.Data:
  """Returns random images and labels, NumPy.

  Args:
    shape: [H, W, C].
    count: examples.
  """
  rng = np.random.default_rng(0)
  return step_lib.Data(
    rng.integers(0, 256, (count, *shape), np.uint8),
    rng.integers(0, 10, count).astype(np.int32),
    np.arange(count, dtype=np.uint32),
  )


def contenders(
  arch: str,
  shape: tuple[int, int, int],
  batch_size: int,
  *,
  dtype: str = "float32",
  crop: int = 0,
  chunk_steps: int | None = None,
) -> tuple[Callable[[int], None], Callable[[int], None]]:
  """Returns functions that train for, and evaluate, a number of batches.

  The programs are those that `train.run` makes, data on the device, Adam.

  Args:
    arch: a name of models.ARCHITECTURES.
    shape: [H, W, C] of an image.
    batch_size: examples, over all devices.
    dtype: compute type.
    crop: side of what the model sees; 0: the whole image.
    chunk_steps: in a dispatch; None: by platform.
  """
  config = config_lib.default()
  config.arch, config.batch_size, config.dtype = arch, batch_size, dtype
  config.crop, config.chunk_steps = crop, chunk_steps
  config = config_lib.resolve(config)
  devices = jax.local_devices()
  compiled = programs.create(config, EXAMPLES, 10)
  data = placement.replicate(random_data(shape), devices)
  key = placement.lay_key(step_lib.root(0, "noise"), devices)
  state = compiled.init(
    key=step_lib.root(0, "init"), shape=programs.shape(config, data.images)
  )
  held = [placement.replicate(state, devices)]
  dispatches = Dispatches(config, EXAMPLES)
  order = Order(0, EXAMPLES, batch_size, dispatches.most)

  @functools.lru_cache(maxsize=1)
  def stream(epoch: int) -> step_lib.Stream:
    return placement.lay_stream(order.draw(epoch), batch_size, devices)

  @functools.lru_cache
  def on_devices(size: int) -> jax.Array:
    return placement.replicate(np.int32(size), devices)

  def steps(count: int) -> None:
    state = held.pop()
    step = int(state.step)
    end = step + count
    while step < end:
      size = min(dispatches.end(step), end) - step
      given = stream(order.epoch(step)), on_devices(size), key
      state, seen = compiled.train(dispatches.most, state, data, *given)
      step += size
    jax.block_until_ready((state, seen))
    held.append(state)

  evaluate = timing.repeated(lambda: compiled.evaluate(held[0], data, 1024))
  return steps, evaluate

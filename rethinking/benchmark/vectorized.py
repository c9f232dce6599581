"""Vectorized runs, against the same runs one after another."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from rethinking import config as config_lib
from rethinking import models, ops
from rethinking.benchmark import jax_steps, timing
from rethinking.models import layers
from rethinking.training import parallel, placement, programs
from rethinking.training import step as step_lib
from rethinking.training.order import Order

# Architecture, image, runs. A CPU gets no convolutions, which with a kernel for
# each run, or in a loop, are too slow there to be measured.
_ON_CPU = (("mlp_1x512", (8, 8, 1), 18), ("mlp_1x512", (28, 28, 3), 6))
_ON_ACCELERATORS = (
  ("mlp_1x512", (28, 28, 3), 88),
  ("alexnet", (28, 28, 3), 8),
  ("inception", (28, 28, 3), 8),
)
_BATCH = 128
# Steps of each run in a dispatch.
_STEPS = 100


def measure(rounds: int, seconds: float) -> dict[str, Any]:
  """Returns run-steps per second, and how much faster vectorized runs are.

  Args:
    rounds: measurements of each contender.
    seconds: roughly how long one takes.
  """
  cpu = jax.default_backend() == "cpu"
  result: dict[str, Any] = {}
  for arch, shape, runs in _ON_CPU if cpu else _ON_ACCELERATORS:
    taken = timing.interleaved(_contenders(arch, shape, runs), rounds, seconds)
    name = f"{runs} x {arch} on {'x'.join(map(str, shape))}"
    medians = {}
    for who, found in taken.items():
      steps = _STEPS * (1 if who == "one after another" else runs)
      rates = timing.rates(found, steps)
      result[f"{name}, {who} (run-steps/s)"] = rates
      medians[who] = rates["median"]
    alone = medians.pop("one after another")
    result[f"{name}, together over one after another"] = round(
      max(medians.values()) / alone, 2
    )
  return result


def _contenders(
  arch: str, shape: tuple[int, int, int], runs: int
) -> dict[str, Callable[[int], None]]:
  pairs = {
    "one after another": _single(arch, shape),
    "together": _vectorized(arch, shape, runs),
  }
  if not models.ARCHITECTURES[arch].dense:
    with nn.intercept_methods(_patches):
      patches = _vectorized(arch, shape, runs)
      # The program is traced by its first call.
      patches(1)
    pairs["together, patches"] = patches
  return pairs


def _single(arch: str, shape: tuple[int, int, int]) -> Callable[[int], None]:
  """Takes `_STEPS` steps of one run, `count` times."""
  # As a run takes them on a CPU.
  cpu = jax.default_backend() == "cpu"
  steps, _ = jax_steps.contenders(
    arch, shape, _BATCH, chunk_steps=None if cpu else _STEPS
  )
  return lambda count: steps(count * _STEPS)


def _vectorized(
  arch: str, shape: tuple[int, int, int], runs: int
) -> Callable[[int], None]:
  """Takes `_STEPS` steps of every run, `count` times."""
  devices = jax.local_devices()
  put = functools.partial(placement.split_runs, devices=devices, spread=True)
  config = config_lib.default()
  config.update(arch=arch, batch_size=_BATCH, crop=0)
  key = programs.key(config_lib.resolve(config))
  init, step, _ = programs.steps(key, jax_steps.EXAMPLES, 10, None)
  program = parallel.train_runs(step, _BATCH, devices, spread=True)
  data = jax_steps.random_data(shape)
  state = init(key=step_lib.root(0, "init"), shape=shape)
  held = [put(jax.tree.map(lambda x: np.stack([np.asarray(x)] * runs), state))]
  images, ids = placement.replicate((data.images, data.ids), devices)
  shown = step_lib.Data(images, put(np.stack([data.labels] * runs)), ids)
  keys = put(jnp.stack([step_lib.root(i, "noise") for i in range(runs)]))
  orders = [Order(i, jax_steps.EXAMPLES, _BATCH, _STEPS) for i in range(runs)]
  sizes = put(np.full(runs, _STEPS, np.int32))
  limit = placement.replicate(np.int32(_STEPS), devices)

  @functools.lru_cache(maxsize=1)
  def streams(epoch: int) -> step_lib.Stream:
    drawn = [one.draw(epoch) for one in orders]
    orders_of, *rest = zip(*drawn, strict=True)
    return put(step_lib.Stream(jnp.stack(orders_of), *map(np.stack, rest)))

  taken = 0

  def work(count: int) -> None:
    nonlocal taken
    state = held.pop()
    for _ in range(count):
      epoch = orders[0].epoch(taken)
      state, seen = program(
        _STEPS, state, shown, streams(epoch), sizes, limit, keys
      )
      taken += _STEPS
    jax.block_until_ready((state, seen))
    held.append(state)

  return work


def _patches(next_function, arguments, keywords, context):
  """Makes a convolution a product with the patches of the image."""
  module = context.module
  is_wide = isinstance(module, layers.Conv) and module.kernel_size > 1
  if not is_wide or not module.has_variable("params", "kernel"):
    return next_function(*arguments, **keywords)
  x, kernel = arguments[0], module.get_variable("params", "kernel")
  size, stride = module.kernel_size, module.stride
  patches = jax.lax.conv_general_dilated_patches(
    x.astype(module.dtype),
    (size, size),
    (stride, stride),
    "SAME",
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )
  # The patches' channels come before their positions.
  flat = kernel.transpose(2, 0, 1, 3).reshape(-1, module.features)
  y = patches @ flat.astype(module.dtype)
  if not module.use_bias:
    return y
  bias = module.get_variable("params", "bias")
  return ops.add_bias(y, bias.astype(module.dtype))

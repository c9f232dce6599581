"""The step of one run or several, on many devices: the only file with pmap."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.corruptions.keys import IMPLEMENTATION
from rethinking.runtime.errors import UserError
from rethinking.training import presentations
from rethinking.training import state as state_lib
from rethinking.training.placement import AXIS, all_devices


def connect() -> None:
  """Makes the connections between CPUs while all processes are here.

  Gloo makes them when a sum over some devices first runs, and gives up where
  one process comes 30 seconds after another, as one does that has to prepare
  data; once made, they wait as long as it takes.
  """
  from jax.experimental import multihost_utils

  multihost_utils.sync_global_devices("rethinking_start")
  add = jax.pmap(
    lambda one: jax.lax.psum(one, AXIS),
    axis_name=AXIS,
    devices=all_devices(),
  )
  jax.block_until_ready(add(np.ones(jax.local_device_count(), np.int32)))


def check_batch(name: str, batch_size: int, devices: int) -> None:
  """Refuses a batch that does not divide: pmap would leave devices idle.

  Args:
    name: the config's field, for the message.
    batch_size: examples, over all devices.
    devices: how many.

  Raises:
    UserError: if batch_size is not a multiple of devices.
  """
  if batch_size % devices:
    lower = batch_size // devices * devices
    raise UserError(
      f"{name} must be a multiple of {devices}, the devices that share it "
      f"evenly, got {batch_size}; try {lower or devices}."
    )


# What several runs share of their data, and what has a row for each.
_DATA = state_lib.Data(None, None, None, 0)
# Devices that share a batch have each their place in the stream.
_STREAM = state_lib.Stream(None, None, None, 0)


def over_runs(function: Callable, axes: Sequence[Any]) -> Callable:
  """Returns a function of arguments with a row a run: vmap, but of one run.

  A single run keeps the program it has alone: with a batch of kernels a
  convolution is another, slow one on a CPU.

  Args:
    function: of one run.
    axes: vmap's `in_axes`, 0 or None; the first argument has rows.
  """

  def mapped(*rows):
    if len(jax.tree.leaves(rows[0])[0]) > 1:
      return jax.vmap(function, in_axes=tuple(axes))(*rows)
    one = jax.tree.map(
      lambda axis, part: (
        part if axis is None else jax.tree.map(lambda x: x[0], part)
      ),
      tuple(axes),
      rows,
      is_leaf=lambda x: x is None,
    )
    return jax.tree.map(lambda x: x[None], function(*one))

  return mapped


def train(
  step: Callable,
  batch_size: int,
  devices: Sequence[jax.Device],
  *,
  spread: bool,
  add: Callable[..., presentations.Presentations] = presentations.add,
) -> Callable[..., tuple[state_lib.TrainState, jax.Array]]:
  """Makes `chunk(most, state, data, stream, sizes, limit, keys, noise)`.

  It takes steps of R runs in one dispatch and returns (state, loss).

  Args:
    step: from step.make_train_step; with axis_name=AXIS where devices share a
      batch.
    batch_size: examples a step of a run, over all devices.
    devices: which ones, of all processes.
    spread: whether each device has R / devices whole runs; else every device
      has a part of each run's batch.
    add: adds what a step saw to a run's presentations.

  Returns:
    A pmapped function of the steps that a dispatch takes at most (static),
    states (donated: do not use them again), `Data` whose statistics have a row
    a run, streams from `put_stream`, how many steps each run takes, [R], at
    most `limit`, the most of any, the data of a key for each run, uint32
    [R, 2], and noise with a row a run. Losses are [R, most], of which a run's
    first `size` count. One program serves every size.
  """
  share = batch_size if spread else batch_size // len(devices)

  def chunk(most, state, data, stream, sizes, limit, keys, noise):
    alone = len(state.step) == 1

    def one(state, data, stream, size, key, noise):
      key = jax.random.wrap_key_data(key, impl=IMPLEMENTATION)

      def take(i, carry):
        state, losses = carry
        batch = state_lib.batch(stream, state.step, batch_size, share)
        new, metrics = step(state, data, batch, key, noise)
        known = state.presentations
        if not alone:
          # Another run may take more steps than this one.
          new, state = (x.replace(presentations=None) for x in (new, state))
          new = jax.tree.map(lambda a, b: jnp.where(i < size, a, b), new, state)
        if known is not None:
          seen = (*batch, metrics["seen"])
          if share < batch_size:
            seen = jax.lax.all_gather(seen, AXIS, tiled=True)
          known = add(known, *seen, live=i < size)
          new = new.replace(presentations=known)
        return new, losses.at[i].set(metrics["loss"])

      carry = (state, jnp.zeros((most,), jnp.result_type(float)))
      if most == 1:
        # XLA on the CPU runs a convolution inside a loop more than ten times
        # slower (jax issue 12868), so a single step must not be in one.
        return take(0, carry)
      return jax.lax.fori_loop(0, limit, take, carry)

    axes = (0, _DATA, 0, 0, 0, 0)
    return over_runs(one, axes)(state, data, stream, sizes, keys, noise)

  return jax.pmap(
    chunk,
    axis_name=AXIS,
    in_axes=(None, 0, _DATA, 0, 0, None, 0, 0)
    if spread
    else (None, None, None, _STREAM, None, None, None, None),
    out_axes=0 if spread else None,
    static_broadcasted_argnums=0,
    donate_argnums=1,
    devices=devices,
  )


def evaluate(
  step: Callable, devices: Sequence[jax.Device], *, spread: bool
) -> Callable[..., state_lib.Seen]:
  """Makes `evaluate(state, data, noise, draw, index) -> Seen`, one dispatch.

  Args:
    step: from step.make_eval_step.
    devices: which ones, of all processes; unless spread, each batch is split
      over them.
    spread: as for `train`.

  Returns:
    A pmapped function of states, data and noise as `train` has them, the draw
    of each run, int32 [R], and an index from `put_index`. Leaves are
    [R, batches, B], with `spread` of each device.
  """

  def whole(state, data, noise, draw, index):
    def one(state, data, noise, draw, index):
      def batch(rows):
        return step(state, data, rows, noise, draw)

      if len(index) == 1:
        # Not in a loop: see `train`.
        return jax.tree.map(lambda x: x[None], batch(index[0]))
      return jax.lax.map(batch, index)

    shared = len(index) < len(draw)
    axes = (0, _DATA, 0, 0, None if shared else 0)
    index = index[0] if shared else index
    seen = over_runs(one, axes)(state, data, noise, draw, index)
    if spread or len(devices) == 1:
      return seen
    return jax.lax.all_gather(seen, AXIS, axis=2, tiled=True)

  return jax.pmap(
    whole,
    axis_name=AXIS,
    in_axes=(0, _DATA, 0, 0, 0) if spread else (None, None, None, None, 0),
    out_axes=0 if spread else None,
    devices=devices,
  )

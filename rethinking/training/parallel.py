"""The step on many devices: the only file that calls pmap."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.runtime.errors import UserError
from rethinking.training import placement
from rethinking.training import step as step_lib


def all_devices() -> list[jax.Device]:
  """Returns the devices of all processes, each process's in a row."""
  # pmap's mesh demands the row, and a TPU's own order need not have it.
  return sorted(jax.devices(), key=lambda d: (d.process_index, d.id))


def connect() -> None:
  """Makes the connections between CPUs while all processes are here.

  Gloo makes them when a sum over some devices first runs, and gives up where
  one process comes 30 seconds after another, as one does that has to prepare
  data; once made, they wait as long as it takes.
  """
  from jax.experimental import multihost_utils

  multihost_utils.sync_global_devices("rethinking_start")
  add = jax.pmap(
    lambda one: jax.lax.psum(one, placement.AXIS),
    axis_name=placement.AXIS,
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
      f"{name} is {batch_size}, which {devices} devices cannot share evenly; "
      f"give a multiple of {devices}, such as {lower or devices}."
    )


# Devices that share a batch have each their place in the stream.
_STREAM = step_lib.Stream(None, None, None, 0)


def train_chunk(
  step: Callable, batch_size: int, devices: Sequence[jax.Device]
) -> Callable[..., tuple[step_lib.TrainState, dict[str, jax.Array]]]:
  """Returns `chunk(most, state, data, stream, size, key) -> (state, metrics)`.

  Args:
    step: from step.make_train_step with axis_name=AXIS; None will do for one
      device.
    batch_size: examples a step, over all devices.
    devices: the batch is split over these, of all processes.

  Returns:
    A pmapped function of the steps that a dispatch takes at most (static), a
    replicated state (donated: do not use it again), replicated data, a stream
    from `lay_stream`, how many steps to take, and a key from `lay_key`. It
    takes them in one dispatch; metrics are [most], of which the first `size`
    count. One program serves every size.
  """
  share = batch_size // len(devices)

  def chunk(most, state, data, stream, size, key):
    key = jax.random.wrap_key_data(key, impl=step_lib.KEYS)

    def one(state):
      batch = step_lib.batch(stream, state.step, batch_size, share)
      return step(state, data, batch, key)

    if most == 1:
      # XLA on the CPU runs a convolution inside a loop more than ten times
      # slower (jax issue 12868), so a single step must not be in one.
      state, metrics = one(state)
      return state, jax.tree.map(lambda x: x[None], metrics)

    def body(i, carry):
      state, seen = carry
      state, metrics = one(state)
      return state, jax.tree.map(lambda x, m: x.at[i].set(m), seen, metrics)

    empty = jax.tree.map(
      lambda m: jnp.zeros((most,), m.dtype), jax.eval_shape(one, state)[1]
    )
    return jax.lax.fori_loop(0, size, body, (state, empty))

  return jax.pmap(
    chunk,
    axis_name=placement.AXIS,
    in_axes=(None, None, None, _STREAM, None, None),
    out_axes=None,
    static_broadcasted_argnums=0,
    donate_argnums=1,
    devices=devices,
  )


def evaluate(
  step: Callable, devices: Sequence[jax.Device]
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
  """Returns `evaluate(state, data, batch_size) -> (loss [N], prediction [N])`.

  Args:
    step: from step.make_eval_step.
    devices: each batch is split over those of this process; every process
      evaluates the whole split.

  Returns:
    A function over the whole split, exact at any batch size: the last batch is
    filled up with example 0, whose extra values are cut off again.
  """
  devices = placement.own(devices)
  mapped = jax.pmap(
    step, axis_name=placement.AXIS, in_axes=(None, None, 0), devices=devices
  )

  def run(state, data, batch_size):
    count = data.ids.shape[0]
    found = [
      mapped(state, data, placement.shard(rows, len(devices)))
      for rows in _padded(count, batch_size, len(devices))
    ]
    loss, prediction = (
      np.concatenate([x.ravel() for x in column])[:count]
      for column in zip(*jax.device_get(found), strict=True)
    )
    return loss, prediction

  return run


def _padded(count: int, batch_size: int, devices: int) -> np.ndarray:
  """Rows 0 to count in batches, filled up with row 0: int32 [batches, size]."""
  # As few batches as their greatest size allows, and as even: what fills the
  # last one up is computed for nothing.
  most = max(min(batch_size, count) // devices, 1)
  shares = -(-count // devices)
  batches = -(-shares // most)
  size = -(-shares // batches) * devices
  index = np.zeros((batches * size,), np.int32)
  index[:count] = np.arange(count)
  return index.reshape(batches, size)


# What runs that train together share of their data, and what is their own.
_RUNS = step_lib.Data(None, 0, None, None)


def train_runs(
  step: Callable,
  batch_size: int,
  devices: Sequence[jax.Device],
  *,
  spread: bool,
) -> Callable[..., tuple[step_lib.TrainState, jax.Array]]:
  """Makes `chunk(most, state, data, stream, sizes, limit, keys)`.

  It returns (state, loss). One program takes steps of R runs. Spread, each
  device has R / devices whole runs; otherwise every device has a part of each
  run's batch.

  Args:
    step: from step.make_train_step, with axis_name=AXIS unless spread.
    batch_size: examples a step of a run.
    devices: which ones.
    spread: whether the runs are split over devices, not the batches.

  Returns:
    A pmapped function of the steps that a dispatch takes at most (static),
    states (donated: do not use them again), `Data` whose labels are [R, N],
    streams whose leaves have R rows, how many steps each run takes, [R], at
    most `limit`, the most steps of any, and a key for each run: typed, unlike
    `train_chunk`'s, since runs train together in one process only. All with a
    row a run are laid out by `split_runs`; unless spread, streams are by
    `lay_stream`. Losses are [R, most], of which a run's first `size` count.
  """
  share = batch_size if spread else batch_size // len(devices)

  def one(most, state, data, stream, size, limit, key):
    def body(i, carry):
      state, losses = carry
      batch = step_lib.batch(stream, state.step, batch_size, share)
      new, metrics = step(state, data, batch, key)
      state = jax.tree.map(lambda a, b: jnp.where(i < size, a, b), new, state)
      return state, losses.at[i].set(metrics["loss"])

    empty = jnp.zeros((most,), jnp.result_type(float))
    return jax.lax.fori_loop(0, limit, body, (state, empty))

  def together(most, *rows):
    chunk = functools.partial(one, most)
    return jax.vmap(chunk, in_axes=(0, _RUNS, 0, 0, None, 0))(*rows)

  return jax.pmap(
    together,
    axis_name=placement.AXIS,
    in_axes=(None, 0, _RUNS, 0, 0, None, 0)
    if spread
    else (None, None, None, _STREAM, None, None, None),
    out_axes=0 if spread else None,
    static_broadcasted_argnums=0,
    donate_argnums=1,
    devices=devices,
  )


def evaluate_runs(
  step: Callable, devices: Sequence[jax.Device], *, spread: bool
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
  """Returns `evaluate(state, data, batch_size) -> ([R, N], [R, N])`.

  Args:
    step: from step.make_eval_step.
    devices: which ones.
    spread: as for `train_runs`.

  Returns:
    A function over a whole split: each run's loss and prediction of each
    example, exact at any batch size.
  """
  mapped = jax.pmap(
    jax.vmap(step, in_axes=(0, _RUNS, None)),
    axis_name=placement.AXIS,
    in_axes=(0, _RUNS, None) if spread else (None, None, 0),
    devices=devices,
  )

  def run(state, data, batch_size):
    count = data.ids.shape[0]
    shards = 1 if spread else len(devices)
    index = _padded(count, batch_size, shards)
    found = [
      mapped(state, data, rows if spread else placement.shard(rows, shards))
      for rows in index
    ]

    def join(parts):
      # Spread: [devices, R / devices, B]; otherwise [devices, R, B / devices].
      whole = [
        x.reshape(-1, x.shape[-1])
        if spread
        else np.moveaxis(x, 0, 1).reshape(x.shape[1], -1)
        for x in parts
      ]
      return np.concatenate(whole, axis=1)[:, :count]

    loss, prediction = (
      join(column) for column in zip(*jax.device_get(found), strict=True)
    )
    return loss, prediction

  return run

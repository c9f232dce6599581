"""Where the arrays of runs lie on the devices."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rethinking.runtime import backend

AXIS = "batch"


def all_devices() -> list[jax.Device]:
  """Returns the devices of all processes, each process's in a row."""
  # pmap's mesh demands the row, and a TPU's own order need not have it.
  return sorted(backend.devices(), key=lambda d: (d.process_index, d.id))


def own(devices: Sequence[jax.Device]) -> list[jax.Device]:
  """Returns those that belong to this process.

  Args:
    devices: of all processes.
  """
  return [d for d in devices if d.process_index == jax.process_index()]


def replicate(tree: Any, devices: Sequence[jax.Device]) -> Any:
  """Puts whole arrays on every device of this process, once.

  pmap would copy an argument that lies anywhere else at each call.

  Args:
    tree: arrays.
    devices: where to.
  """
  mesh = Mesh(np.array(own(devices)), (AXIS,))
  return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def own_places(
  place: np.ndarray, batch_size: int, devices: Sequence[jax.Device]
) -> np.ndarray:
  """Where the parts of a batch begin: [...] -> [own devices, ...].

  Args:
    place: where the batch begins, the same in every process.
    batch_size: examples, over all devices.
    devices: of all processes; a divisor of batch_size many.
  """
  size = batch_size // len(devices)
  return np.stack(
    [
      np.int32(place + i * size)
      for i, d in enumerate(devices)
      if d.process_index == jax.process_index()
    ]
  )


def put_stream(
  stream: Any,
  batch_size: int,
  devices: Sequence[jax.Device],
  *,
  spread: bool,
) -> Any:
  """Puts the streams of runs on this process's devices.

  Args:
    stream: `state.Stream`, leaves with a row a run, all but `orders` NumPy.
    batch_size: examples a step, over all devices.
    devices: of all processes.
    spread: as for `parallel.train`.

  Returns:
    What `parallel.train` takes: unless spread, `place` is [own devices, R],
    each device's own.
  """
  if spread:
    return put_runs(stream, devices, spread=True)
  places = own_places(stream.place, batch_size, devices)
  rest = replicate(stream._replace(place=None), devices)
  return rest._replace(place=_one_each(places, own(devices)))


def put_index(
  rows: np.ndarray,
  batch_size: int,
  devices: Sequence[jax.Device],
  *,
  spread: bool,
  looped: bool,
) -> list[jax.Array]:
  """Puts what `parallel.evaluate` goes through on this process's devices.

  Args:
    rows: int32 [R, N], of the data.
    batch_size: examples at a time, at most.
    devices: of all processes.
    spread: as for `parallel.train`.
    looped: whether one dispatch takes all batches; else each has its own.

  Returns:
    For each dispatch int32 [own devices, R, batches, B / devices], or spread
    [devices, R / devices, batches, B]; filled up with each run's first row.
    Where all runs have the same rows there is one row instead of R.
  """
  shares = 1 if spread else len(devices)
  if (rows == rows[0]).all():
    # Their images are read and normalised once for all.
    rows = rows[: len(devices) if spread else 1]
  index = rows[:, batches(rows.shape[1], batch_size, shares)]
  parts = [index] if looped else np.split(index, index.shape[1], axis=1)
  if spread:
    return [put_runs(part, devices, spread=True) for part in parts]
  mine = [d.process_index == jax.process_index() for d in devices]
  return [
    _one_each(
      np.stack([*itertools.compress(np.split(part, shares, axis=-1), mine)]),
      own(devices),
    )
    for part in parts
  ]


def _one_each(rows: np.ndarray, devices: Sequence[jax.Device]) -> jax.Array:
  mesh = Mesh(np.array(devices), (AXIS,))
  return jax.device_put(rows, NamedSharding(mesh, PartitionSpec(AXIS)))


def put_runs(tree: Any, devices: Sequence[jax.Device], *, spread: bool) -> Any:
  """Puts arrays with one row a run on the devices.

  Args:
    tree: leaves [R, ...]; spread, R is a multiple of the devices.
    devices: where to.
    spread: as for `parallel.train`.
  """
  if not spread:
    return replicate(tree, devices)
  shards = jax.tree.map(
    lambda x: x.reshape(len(devices), -1, *x.shape[1:]), tree
  )
  return _one_each(shards, devices)


def read_runs(tree: Any, *, spread: bool) -> Any:
  """Returns what lies on the devices as NumPy arrays, one row a run.

  Args:
    tree: leaves [devices, R / devices, ...] if spread, else [R, ...].
    spread: as for `parallel.train`.
  """

  # The step's next call is given these buffers, so the host needs its own.
  host = jax.tree.map(np.array, jax.device_get(tree))
  if not spread:
    return host
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), host)


def stack_runs(trees: Sequence[Any]) -> Any:
  """Stacks trees of NumPy arrays, a row each."""
  return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def write_run(host: Any, slot: int, state: Any) -> None:
  """Writes one run's state into NumPy arrays of all runs.

  Args:
    host: leaves [slots, ...].
    slot: the row to write.
    state: leaves [...].
  """

  def write(every, one):
    every[slot] = one

  # In one transfer, not one an array.
  jax.tree.map(write, host, jax.device_get(state))


def batches(count: int, batch_size: int, devices: int) -> np.ndarray:
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

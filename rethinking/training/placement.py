"""Where arrays lie on the devices of a run, and of runs that train together."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rethinking.training import step as step_lib

AXIS = "batch"


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


def shard(array: np.ndarray, devices: int) -> np.ndarray:
  """Splits the last axis: [..., B] -> [devices, ..., B / devices].

  Args:
    array: [..., B].
    devices: a divisor of B.
  """
  parts = array.reshape(*array.shape[:-1], devices, -1)
  return np.moveaxis(parts, -2, 0)


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


def lay_stream(
  stream: step_lib.Stream, batch_size: int, devices: Sequence[jax.Device]
) -> step_lib.Stream:
  """Puts a stream on every device of this process, each to its own place.

  Args:
    stream: `place` is NumPy.
    batch_size: examples a step, over all devices.
    devices: of all processes; a divisor of batch_size many.

  Returns:
    What `train_chunk` takes: `place` is [own devices, ...].
  """
  mesh = Mesh(np.array(own(devices)), (AXIS,))
  places = own_places(stream.place, batch_size, devices)
  return step_lib.Stream(
    *replicate(stream[:3], devices),
    place=jax.device_put(places, NamedSharding(mesh, PartitionSpec(AXIS))),
  )


def lay_key(key: jax.Array, devices: Sequence[jax.Device]) -> jax.Array:
  """Puts the bits of a key on every device of this process: uint32 [2].

  In several processes pmap fetches a typed key to the host at each call.

  Args:
    key: from step.root.
    devices: of all processes.
  """
  return replicate(jax.random.key_data(key), devices)


def split_runs(
  tree: Any, devices: Sequence[jax.Device], *, spread: bool
) -> Any:
  """Lays arrays with one row a run out for `train_runs`.

  Args:
    tree: leaves [R, ...]; spread, R is a multiple of the devices.
    devices: where to.
    spread: as for `train_runs`.
  """
  if not spread:
    return replicate(tree, devices)
  mesh = Mesh(np.array(devices), (AXIS,))
  return jax.device_put(
    jax.tree.map(lambda x: x.reshape(len(devices), -1, *x.shape[1:]), tree),
    NamedSharding(mesh, PartitionSpec(AXIS)),
  )


def join_runs(tree: Any, *, spread: bool) -> Any:
  """Returns what `split_runs` laid out as NumPy arrays, one row a run.

  Args:
    tree: leaves [devices, R / devices, ...] if spread, else [R, ...].
    spread: as for `train_runs`.
  """

  # The step's next call is given these buffers, so the host needs its own.
  host = jax.tree.map(np.array, jax.device_get(tree))
  if not spread:
    return host
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), host)

"""The arrays of runs that train together, as they lie on the devices."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from rethinking.sweeps.lockstep.member import Member, most
from rethinking.training import parallel, placement, programs
from rethinking.training import step as step_lib
from rethinking.training import task as problem


class _Programs(NamedTuple):
  """The compiled functions of a group."""

  init: Callable[..., step_lib.TrainState]
  train: Callable[..., tuple[step_lib.TrainState, jax.Array]]
  evaluate: Callable[..., tuple[np.ndarray, np.ndarray]]


@functools.lru_cache(maxsize=8)
def _programs(
  fields: str, num_examples: int, num_classes: int, spread: bool
) -> _Programs:
  devices = jax.local_devices()
  init, train_step, eval_step = programs.steps(
    fields, num_examples, num_classes, None if spread else placement.AXIS
  )
  return _Programs(
    init=init,
    train=parallel.train_runs(
      train_step, json.loads(fields)["batch_size"], devices, spread=spread
    ),
    evaluate=parallel.evaluate_runs(eval_step, devices, spread=spread),
  )


class Arrays:
  """States, labels and keys of the runs in their places.

  Args:
    config: any of the runs'.
    task: any of the runs', for the images and ids that all share.

  Attributes:
    empty: the shapes of one run's state.
    places: the runs in the order of the arrays' rows; None where none is.
    warm: whether the program was called since it was laid out: the first call
      compiles.
  """

  def __init__(self, config: ConfigDict, task: problem.Problem):
    self._config = config
    self._classes = task.num_classes
    self._count = len(task.train.ids)
    self._shape = programs.shape(config, task.train.images)
    self._most = most(config, self._count)
    self._devices = jax.local_devices()
    self._key = programs.key(config)
    init, _, _ = programs.steps(self._key, self._count, self._classes, None)
    self._init = init
    self.empty = programs.shapes(init, self._shape)
    self.places: list[Member | None] = []
    self.warm = False
    self._shared = {
      part: placement.replicate(whole._replace(labels=()), self._devices)
      for part, whole in (("train", task.train), ("test", task.test))
    }

  @property
  def members(self) -> list[Member]:
    """The runs, without the empty places."""
    return [one for one in self.places if one is not None]

  def lay_out(
    self,
    states: Mapping[str, step_lib.TrainState],
    new: Sequence[Member],
    number: int,
  ) -> None:
    """Makes places for the runs that are there and for new ones.

    Args:
      states: of the members, by name.
      new: runs that begin.
      number: places, at least as many as runs; on several devices there may
        be more, so that each device has as many.
    """
    # As many runs as devices: each device has some. Fewer: each device has a
    # part of every run's batch.
    self._spread = number >= len(self._devices)
    if self._spread:
      number = -(-number // len(self._devices)) * len(self._devices)
    self._programs = _programs(
      self._key, self._count, self._classes, self._spread
    )
    self.warm = False
    self.places = [*self.members, *new]
    self.places += [None] * (number - len(self.places))
    host = jax.tree.map(
      lambda x: np.zeros((number, *x.shape), x.dtype), self.empty
    )
    for place, one in enumerate(self.places):
      if one is not None:
        _put(host, place, states.get(one.name) or self.initial(one))
    self._upload(host)

  def add(self, new: Sequence[Member]) -> None:
    """Puts new runs into empty places.

    Args:
      new: at most as many as there are empty places.
    """
    host = placement.join_runs(self._state, spread=self._spread)
    for one in new:
      place = self.places.index(None)
      self.places[place] = one
      _put(host, place, self.initial(one))
    self._upload(host)

  def remove(self, one: Member) -> None:
    """Leaves a run's place empty.

    Args:
      one: a member.
    """
    self.places[self.places.index(one)] = None

  def initial(self, one: Member) -> step_lib.TrainState:
    """Returns a run's state before its first step.

    Args:
      one: a member, or one to be.
    """
    key = step_lib.root(one.config.init_seed, "init")
    return self._init(key=key, shape=self._shape)

  def states(self) -> dict[str, step_lib.TrainState]:
    """Returns the runs' states by name, as NumPy arrays."""
    host = placement.join_runs(self._state, spread=self._spread)
    return {
      one.name: jax.tree.map(lambda x, i=place: x[i], host)
      for place, one in enumerate(self.places)
      if one is not None
    }

  def train(self, ends: Mapping[str, int]) -> tuple[list[int], jax.Array]:
    """Takes steps of every run in one dispatch and counts them.

    Args:
      ends: by name, the step that each run is not to pass.

    Returns:
      How many steps each place took, and the losses, for `losses`.
    """
    sizes = [
      0 if one is None else min(self._most, ends[one.name] - one.step)
      for one in self.places
    ]
    epochs = tuple(one.order.epoch(one.step) for one in self._shown())
    # What goes from the host is put there by name, or it raises.
    with jax.transfer_guard("disallow"):
      if epochs not in self._streams:
        self._streams = {epochs: self._stream(epochs)}
      self._state, losses = self._programs.train(
        self._most,
        self._state,
        self._data["train"],
        self._streams[epochs],
        self._lay(np.array(sizes, np.int32)),
        placement.replicate(np.int32(max(sizes)), self._devices),
        self._keys,
      )
    for one, size in zip(self.places, sizes, strict=True):
      if one is not None:
        one.step += size
    return sizes, losses

  def losses(self, found: jax.Array) -> np.ndarray:
    """Waits for the losses of a dispatch.

    Args:
      found: from `train`.

    Returns:
      [places, steps], of which as many count as the place took.
    """
    return placement.join_runs(found, spread=self._spread)

  def evaluate(self, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns loss and prediction of each example, [places, N] each.

    Args:
      part: "train" or "test".
    """
    return self._programs.evaluate(
      self._state, self._data[part], self._config.eval_batch_size
    )

  def _shown(self) -> list[Member]:
    # An empty place computes on with another run's data; nobody looks.
    return [one or self.members[0] for one in self.places]

  def _upload(self, host: Any) -> None:
    self._state = self._lay(host)
    self._data = {}
    for part, shared in self._shared.items():
      labels = [getattr(one.task, part).labels for one in self._shown()]
      self._data[part] = shared._replace(labels=self._lay(np.stack(labels)))
    # By the runs' epochs: laid out anew when one comes to another.
    self._streams: dict[tuple[int, ...], step_lib.Stream] = {}
    keys = [
      step_lib.root(one.config.noise_seed, "noise") for one in self._shown()
    ]
    self._keys = self._lay(jnp.stack(keys))

  def _lay(self, tree: Any) -> Any:
    return placement.split_runs(tree, self._devices, spread=self._spread)

  def _stream(self, epochs: tuple[int, ...]) -> step_lib.Stream:
    """What each run takes its batches from: orders are [places, K, N]."""
    drawn = [
      one.order.draw(epoch)
      for one, epoch in zip(self._shown(), epochs, strict=True)
    ]
    orders, *rest = zip(*drawn, strict=True)
    stream = step_lib.Stream(jnp.stack(orders), *map(np.stack, rest))
    if self._spread:
      return self._lay(stream)
    return placement.lay_stream(stream, self._config.batch_size, self._devices)


def _put(host: Any, place: int, state: Any) -> None:
  """Writes one run's state into arrays of all runs."""

  def write(all_of, one):
    all_of[place] = np.asarray(one)

  jax.tree.map(write, host, state)

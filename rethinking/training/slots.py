"""Runs that train in one program, and where each of them lies."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from rethinking import models
from rethinking.training import placement, presentations, programs, upload
from rethinking.training import state as state_lib
from rethinking.training.examples import Run, Task
from rethinking.training.sampler import Dispatches, Sampler


class Slots:
  """The states of runs, and the arrays that their programs are given.

  Args:
    config: resolved; any of the runs'.
    task: any of the runs', for what all share: the images on the devices,
      sizes and shapes.
    devices: those of all processes.

  Attributes:
    runs: in the order of the arrays' rows; None where there is none.
    empty: the shapes of one run's state.
    dispatches: where the runs' dispatches end.
  """

  def __init__(
    self, config: ConfigDict, task: Task, devices: Sequence[jax.Device]
  ):
    self._config, self._devices = config, tuple(devices)
    # Augmentation moves what it crops, and needs the margin.
    crop = config.crop if config.augment == "none" else 0
    self._shared = {
      name: upload.data(split.dataset, split.whole, crop, self._devices)
      for name, split in task.parts().items()
      # Its images are the train set's.
      if name != "validation"
    }
    if task.validation is not None:
      self._shared["validation"] = self._shared["train"]
    height, width, channels = task.train.whole.shape[1:]
    shape = (crop or height, crop or width, channels)
    self._about = (
      programs.key(config),
      len(task.train.rows),
      task.num_classes,
      shape,
    )
    init, _, _ = programs.steps(*self._about, None)
    self.empty = jax.eval_shape(init, key=state_lib.root(0, "init"))
    if config.early_stopping:
      self.empty = self.empty.replace(best=self.empty.weights())
    if config.presentations:
      none = presentations.none_yet(len(task.train.whole))
      self.empty = self.empty.replace(presentations=none)
    self.runs: list[Run | None] = []

  @property
  def active(self) -> list[Run]:
    """The runs, without the empty slots."""
    return [one for one in self.runs if one is not None]

  @property
  def num_parameters(self) -> int:
    """Of one run's model."""
    return sum(x.size for x in jax.tree.leaves(self.empty.params))

  # What lies where.
  def lay_out(
    self,
    runs: Sequence[Run],
    number: int,
    states: Mapping[str, state_lib.TrainState] | None = None,
  ) -> None:
    """Makes slots and fills them.

    Args:
      runs: at most `number`.
      number: slots; on several devices there may be more, so that each device
        has as many.
      states: of runs that have one, by name; the others begin.
    """
    # As many runs as devices: each device has some. Fewer: each device has a
    # part of every run's batch.
    devices = len(self._devices)
    self._spread = 1 < devices <= number
    if self._spread:
      number = -(-number // devices) * devices
    self._programs = self.programs(self._devices)
    self.dispatches = Dispatches(self._config, self._about[1], number)
    self.runs = [*runs] + [None] * (number - len(runs))
    host = jax.tree.map(
      lambda x: np.zeros((number, *x.shape), x.dtype), self.empty
    )
    for slot, one in enumerate(runs):
      placement.write_run(
        host, slot, (states or {}).get(one.name) or self.initial(one)
      )
    self._upload(host)

  def add(self, runs: Sequence[Run]) -> None:
    """Fills empty slots.

    Args:
      runs: at most as many as there are empty slots.
    """
    host = self._read(self._state)
    for one in runs:
      slot = self.runs.index(None)
      self.runs[slot] = one
      placement.write_run(host, slot, self.initial(one))
    self._upload(host)

  def remove(self, one: Run) -> None:
    """Leaves a run's slot empty.

    Args:
      one: of the runs.
    """
    self.runs[self.runs.index(one)] = None

  def initial(self, one: Run) -> state_lib.TrainState:
    """Returns a run's state before its first step.

    Args:
      one: a run, or one to be.
    """
    state = self._programs.init(key=one.init)
    if self.empty.best is not None:
      state = state.replace(best=state.weights())
    return state.replace(presentations=self.empty.presentations)

  def states(self) -> dict[str, state_lib.TrainState]:
    """Returns the runs' states by name, as NumPy arrays."""
    host = self._read(self._state)
    return {
      one.name: jax.tree.map(lambda x, i=slot: x[i], host)
      for slot, one in enumerate(self.runs)
      if one is not None
    }

  # What is done with it.
  def train(self, ends: Mapping[str, int]) -> tuple[list[int], jax.Array]:
    """Takes steps of every run in one dispatch and counts them.

    Args:
      ends: by name, the step that each run is not to pass.

    Returns:
      How many steps each slot took, and the losses, for `losses`.
    """
    sizes = tuple(
      0
      if one is None or one.step >= ends[one.name]
      else min(self.dispatches.end(one.step), ends[one.name]) - one.step
      for one in self.runs
    )
    # What goes between host and device is put or read by name, or it raises.
    # On a CPU, JAX before 0.12 does not see what the host reads.
    with jax.transfer_guard("disallow"):
      arguments = self.training(sizes)
      # All is on the devices already.
      with jax.transfer_guard("disallow_explicit"):
        self._state, losses = self._programs.train(*arguments)
    for size, one in zip(sizes, self.runs, strict=True):
      if one is not None:
        one.step += size
    return [*sizes], losses

  def training(self, sizes: tuple[int, ...]) -> tuple[Any, ...]:
    """Returns what the training program is called with next.

    Args:
      sizes: how many steps each slot takes.
    """
    epochs = tuple(
      sampler.epoch(one.step)
      for sampler, one in zip(self._samplers, self._shown(), strict=True)
    )
    if epochs not in self._streams:
      self._streams = {epochs: self.stream(epochs)}
    if sizes not in self._sizes:
      self._sizes = {sizes: self.put_sizes(sizes)}
    return (
      self.dispatches.most,
      self._state,
      self._data["train"],
      self._streams[epochs],
      *self._sizes[sizes],
      self._keys,
      self._noise["train"],
    )

  def evaluation(self, part: str) -> tuple[tuple[Any, ...], list[jax.Array]]:
    """Returns what the evaluation program is called with.

    Args:
      part: of the task's parts.

    Returns:
      All arguments but the last, and the last of each dispatch.
    """
    # The noise that the epoch before the evaluation was trained on.
    draws = [
      max(one.epoch - 1, 0) if part == "train" else 0 for one in self._shown()
    ]
    draws = self._put(np.array(draws, np.int32))
    shared = (self._state, self._data[part], self._noise[part], draws)
    return shared, self._index[part]

  def programs(self, devices: Sequence[jax.Device]) -> programs.Programs:
    """Returns the programs of these slots on some devices.

    Args:
      devices: as many as the slots lie on; of any platform.
    """
    return programs.create(*self._about, tuple(devices), self._spread)

  def compiled(self) -> bool:
    """Returns whether `train` was called before; says that it is now."""
    noise = jax.tree.structure(self._noise["train"])
    about = (self.dispatches.most, len(self.runs), noise)
    known = about in self._programs.compiled
    self._programs.compiled.add(about)
    return known

  def losses(self, found: jax.Array) -> np.ndarray:
    """Waits for the losses of a dispatch.

    Args:
      found: from `train`.

    Returns:
      [slots, steps], of which as many count as the slot took.
    """
    return self._read(found)

  def evaluate(self, part: str) -> state_lib.Seen:
    """Returns what each run sees of each example, leaves [slots, N].

    Args:
      part: of the task's parts.
    """
    shared, dispatches = self.evaluation(part)
    found = [self._programs.evaluate(*shared, index) for index in dispatches]
    count = len(getattr(self._shown()[0].task, part).rows)

    def join(*parts):
      # [R, batches, B], of which the last batch was filled up.
      whole = [x.reshape(len(self.runs), -1, *x.shape[3:]) for x in parts]
      return np.concatenate(whole, axis=1)[:, :count]

    return jax.tree.map(join, *self._read(found))

  def learn(self, losses, seen, chosen) -> None:
    """Lets evaluations steer the learning rate and choose the weights.

    Args:
      losses: validation losses, [slots], nats.
      seen: [slots], bool: whether the loss counts for the learning rate.
      chosen: [slots], bool: whether the weights are the best so far.
    """
    # On the host: several processes have each a state of their own.
    new = self._programs.learn(
      self._read(self._state),
      np.array(losses, np.float32),
      np.array(seen, bool),
      np.array(chosen, bool),
    )
    self._state = self._put(jax.device_get(new))

  def put_sizes(self, sizes: Sequence[int]) -> tuple[jax.Array, jax.Array]:
    """Puts how many steps each slot takes, and the most of any."""
    most = placement.replicate(np.int32(max(sizes)), self._devices)
    return self._put(np.array(sizes, np.int32)), most

  def stream(self, epochs: Sequence[int]) -> state_lib.Stream:
    """Puts what each slot takes its batches from.

    Args:
      epochs: of each slot's next example.
    """
    drawn = [
      sampler.draw(epoch)
      for sampler, epoch in zip(self._samplers, epochs, strict=True)
    ]
    orders, *rest = zip(*drawn, strict=True)
    return placement.put_stream(
      state_lib.Stream(jax.numpy.stack(orders), *map(np.stack, rest)),
      self._config.batch_size,
      self._devices,
      spread=self._spread,
    )

  def _shown(self) -> list[Run]:
    # An empty slot computes on with another run's data; its results are
    # discarded.
    return [one or self.active[0] for one in self.runs]

  def _put(self, tree: Any) -> Any:
    return placement.put_runs(tree, self._devices, spread=self._spread)

  def _read(self, tree: Any) -> Any:
    return placement.read_runs(tree, spread=self._spread)

  def _upload(self, host: Any) -> None:
    shown = self._shown()
    self._state = self._put(host)
    statistics = self._put(
      placement.stack_runs([one.task.statistics for one in shown])
    )
    self._data = {
      part: data._replace(statistics=statistics)
      for part, data in self._shared.items()
    }
    self._noise, self._index = {}, {}
    # Convolutions in a loop are slow on a CPU: a batch a dispatch there.
    dense = models.ARCHITECTURES[self._config.arch].dense
    for part in self._shared:
      splits = [getattr(one.task, part) for one in shown]
      self._noise[part] = self._put(
        placement.stack_runs([split.noise for split in splits])
      )
      self._index[part] = placement.put_index(
        np.stack([split.rows for split in splits]),
        self._config.eval_batch_size,
        self._devices,
        spread=self._spread,
        looped=dense or jax.default_backend() != "cpu",
      )
    self._keys = self._put(
      np.stack([jax.device_get(jax.random.key_data(o.noise)) for o in shown])
    )
    self._samplers = [
      Sampler(
        one.order_seed,
        one.task.train.rows,
        self._config.batch_size,
        self.dispatches.most,
      )
      for one in shown
    ]
    # By the runs' epochs: put anew when one comes to another.
    self._streams: dict[tuple[int, ...], state_lib.Stream] = {}
    self._sizes: dict[tuple[int, ...], tuple[jax.Array, jax.Array]] = {}

"""The project's own training steps and evaluation, ready to be timed."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from rethinking import config as config_lib
from rethinking.benchmark import timing
from rethinking.corruptions import Corruption
from rethinking.data.dataset import Dataset
from rethinking.training import placement
from rethinking.training import state as state_lib
from rethinking.training import task as task_lib
from rethinking.training.examples import Run, Task
from rethinking.training.slots import Slots

EXAMPLES = 4096
_CLASSES = 10


def random_data(
  shape: tuple[int, int, int], count: int = EXAMPLES
) -> dict[str, np.ndarray]:
  """Returns random `images`, `labels` and `ids`.

  Args:
    shape: [H, W, C].
    count: examples.
  """
  rng = np.random.default_rng(0)
  return {
    "images": rng.integers(0, 256, (count, *shape), np.uint8),
    "labels": rng.integers(0, _CLASSES, count).astype(np.int32),
    "ids": np.arange(count, dtype=np.uint32),
  }


def random_task(
  shape: tuple[int, int, int],
  corruptions: Sequence[Corruption] = (),
  count: int = EXAMPLES,
) -> Task:
  """Returns a task of random images, corrupted in the step or clean.

  Args:
    shape: [H, W, C].
    corruptions: of the train images and labels; those of images of the test
      images, too.
    count: images.
  """
  names = tuple(map(str, range(_CLASSES)))
  whole = Dataset(
    "random", "", **random_data(shape, count), num_classes=_CLASSES,
    class_names=names, identity="",
  )  # fmt: skip
  config = config_lib.default()
  config.crop = 0
  config = config_lib.resolve(config)
  found = task_lib.assemble(
    config, whole, whole, tuple(corruptions), in_step=True
  )
  if corruptions:
    return found
  # Nor label noise of level 0, which a run on true labels has.
  return dataclasses.replace(
    found, train=dataclasses.replace(found.train, noise=())
  )


def lay_out(
  arch: str,
  shape: tuple[int, int, int],
  batch_size: int,
  *,
  corruptions: Sequence[Corruption] = (),
  runs: int = 1,
  **fields: Any,
) -> tuple[Slots, list[Run]]:
  """Returns runs that are about to take their first step, and their slots.

  The programs are those that `train.run` makes, data on the device, Adam.

  Args:
    arch: a name of models.ARCHITECTURES.
    shape: [H, W, C] of an image.
    batch_size: examples, over all devices.
    corruptions: made in the step.
    runs: how many take these steps together.
    **fields: others of the config; models see whole images.
  """
  config = config_lib.default()
  # The evaluations' batches are those of PyTorch's.
  config.update(arch=arch, batch_size=batch_size, crop=0, eval_batch_size=1024)
  config.update(fields)
  config = config_lib.resolve(config)
  task = random_task(shape, corruptions)
  slots = Slots(config, task, placement.all_devices())
  root = state_lib.root(0, "noise")
  every = [Run(str(k), task, root, root, k) for k in range(runs)]
  slots.lay_out(every, runs)
  return slots, every


def contenders(
  *about: Any, **fields: Any
) -> tuple[Callable[[int], None], Callable[[int], None]]:
  """Returns functions that train for, and evaluate, a number of batches.

  Args:
    *about: of `lay_out`, as all that follows.
    **fields: likewise.
  """
  slots, every = lay_out(*about, **fields)

  def steps(count: int) -> None:
    ends = {one.name: one.step + count for one in every}
    while every[0].step < ends["0"]:
      _, losses = slots.train(ends)
    jax.block_until_ready(losses)

  return steps, timing.repeated(lambda: slots.evaluate("test"))

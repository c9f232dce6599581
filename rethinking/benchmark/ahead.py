"""Compiles the project's programs for accelerators that are not here.

python -m rethinking.benchmark.ahead CHIP:SHAPE ARCH PROGRAM

Prints what `compiled.describe` found as JSON. A process of its own for each
program: where one of XLA's checks fails, it ends the process.
"""

import json
import sys
import time

import jax
import numpy as np

from rethinking import config as config_lib
from rethinking import models
from rethinking.benchmark import chips, compiled, jax_steps
from rethinking.corruptions import Corruption
from rethinking.training import placement, upload
from rethinking.training import state as state_lib
from rethinking.training.examples import Run
from rethinking.training.slots import Slots

BATCH = 128
# Train images of CIFAR-10, and the steps of a dispatch: an epoch.
_EXAMPLES, _STEPS = 50_000, 390
_EVALUATED = 1_000
# Name -> devices and runs.
PROGRAMS = {
  "train": (1, 1),
  "train on 4": (4, 1),
  "evaluate": (1, 1),
  "8 runs": (1, 8),
}


def lower(
  arch: str, program: str, devices: tuple[jax.Device, ...], runs: int
) -> jax.stages.Lowered:
  """Lowers a program for described devices.

  The labels are corrupted in the step, and arrays have CIFAR-10's number of
  images, each as large as the architecture's data set has them.

  Args:
    arch: a name of models.ARCHITECTURES.
    program: of `PROGRAMS`.
    devices: as many as this process's CPU shows JAX.
    runs: that train together.
  """
  config = config_lib.default()
  config.update(arch=arch, batch_size=BATCH, crop=0, chunk_steps=_STEPS)
  config.update(eval_batch_size=_EVALUATED)
  config = config_lib.resolve(config)
  noise = Corruption.create("uniform", level=0.5)
  shape = models.ARCHITECTURES[arch].image
  task = jax_steps.random_task(shape, (noise,), _EXAMPLES)
  slots = Slots(config, task, placement.all_devices())
  platform = devices[0].platform
  root = state_lib.root(0, "noise")
  slots.lay_out([Run(str(k), task, root, root, k) for k in range(runs)], runs)
  if program == "evaluate":
    (state, data, *rest), dispatches = slots.evaluation("test")
    own, rows, batches, size = dispatches[0].shape
    # All in one dispatch, as off the CPU.
    index = jax.ShapeDtypeStruct(
      (own, rows, batches * len(dispatches), size), np.int32
    )
    arguments = (state, _as_on(platform, data), *rest, index)
    return slots.programs(devices).evaluate.lower(*map(_shapes, arguments))
  most, state, data, *rest = slots.training((_STEPS,) * runs)
  arguments = (state, _as_on(platform, data), *rest)
  return slots.programs(devices).train.lower(most, *map(_shapes, arguments))


def _shapes(tree):
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def _as_on(platform, data):
  """Data whose images have the shape that they have on a platform."""
  count, size = data.images.shape
  shape = (count, upload.width(size, platform))
  return data._replace(images=jax.ShapeDtypeStruct(shape, data.images.dtype))


def main(chip: str, arch: str, program: str) -> None:
  """Compiles one program and prints what it is.

  Args:
    chip: in the form of `chips.parse`.
    arch: a name of models.ARCHITECTURES.
    program: of `PROGRAMS`.
  """
  count, runs = PROGRAMS[program]
  jax.config.update("jax_num_cpu_devices", count)
  devices = chips.devices(*chips.parse(chip), count)
  lowered = lower(arch, program, devices, runs)
  # Of the processor: others may compute here, too.
  start = time.process_time()
  found = lowered.compile()
  seconds = time.process_time() - start
  print(json.dumps(compiled.describe(found) | {"busy_seconds": seconds}))


if __name__ == "__main__":
  main(*sys.argv[1:])

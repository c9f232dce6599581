"""What an ensemble will take and tell, said before it is trained."""

import time
from collections.abc import Mapping, Sequence

import jax
from ml_collections import ConfigDict

from rethinking.memorization.scores import largest_standard_error
from rethinking.runtime.console import duration
from rethinking.sweeps.console import SweepConsole
from rethinking.training import optim, placement
from rethinking.training import state as state_lib
from rethinking.training import task as task_lib
from rethinking.training.examples import Run
from rethinking.training.slots import Slots

Cells = Mapping[str, ConfigDict]


def say(console: SweepConsole, plan: Sequence[tuple[Cells, int, int]]) -> None:
  """Says how long runs on subsets will take, and how sure their scores will be.

  Args:
    console: says it; nothing where no run is one of an ensemble.
    plan: what `seconds` is given, of all runs.
  """
  cells = [cell for left, _, _ in plan for cell in left.values()]
  errors = {
    largest_standard_error(c.members * c.permutations, c.ratio)
    for c in cells
    if c.member is not None
  }
  if not errors:
    return
  total = sum(seconds(*part) for part in plan)
  console.say(
    f"About {duration(total)} for {len(cells)} runs. An example's mem will "
    "have a standard error of at most "
    f"{' and '.join(f'{error:.3f}' for error in sorted(errors))}, that of "
    "shares of 1/2: 1 / (2 sqrt(K r (1 - r)))."
  )


def seconds(cells: Cells, number: int, width: int) -> float:
  """Returns about how long runs will take, from the time of one dispatch.

  An evaluated example is taken for a third of a trained one; what is written
  is not counted.

  Args:
    cells: resolved configs of the same program, by name.
    number: how many train in it at a time.
    width: how many run side by side, at the pace of one each.
  """
  config = next(iter(cells.values()))
  task = task_lib.load(config)
  slots = Slots(config, task, placement.all_devices())
  key = state_lib.root(0, "init")
  runs = [Run(str(i), task, key, key, 0) for i in range(number)]
  slots.lay_out(runs, number)
  steps = optim.epoch_end(
    config.epochs, len(task.train.rows), config.batch_size
  )
  took = 0.0
  # The first dispatch compiles.
  for _ in range(min(2, steps)):
    began = time.monotonic()
    before = runs[0].step
    _, losses = slots.train(dict.fromkeys((one.name for one in runs), steps))
    jax.block_until_ready(losses)
    took = (time.monotonic() - began) / (runs[0].step - before or 1)
  evaluations = 1 + -(-config.epochs // config.eval_epochs)
  seen = sum(len(part.rows) for part in task.parts().values())
  work = steps + evaluations * seen / 3 / config.batch_size
  return took / number * work * len(cells) / width

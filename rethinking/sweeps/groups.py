"""Which runs can train in one program, how many should, and their loop."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
from etils import epath
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking import models
from rethinking.config.fields import flagged
from rethinking.runtime import signals
from rethinking.sweeps.console import SweepConsole
from rethinking.training import programs
from rethinking.training import step as step_lib
from rethinking.training import task as task_lib
from rethinking.training import workdir as workdir_lib
from rethinking.training.journal import Journal
from rethinking.training.loop import Loop
from rethinking.training.slots import Slots

# Parameters up to which a matrix product is so small that a CPU gains from
# taking several at once; `python -m rethinking.benchmark sweep` measures it.
_SMALL = 100_000
_MOST_ON_CPU = 32


def group_key(config: ConfigDict) -> str:
  """Returns what runs that can train in one program have in common, as text.

  Args:
    config: a run's, resolved.
  """
  # They may differ in labels, weights, order, draws and levels, which change
  # neither a shape nor the program; where images are corrupted at load, not in
  # what decides on these.
  own = {*flagged("group", "images")}
  if _at_load(config):
    own = {*flagged("group")} - {"validation_seed"}
  fields = {k: v for k, v in config_lib.plain(config).items() if k not in own}
  removed = config.without and config.without.count("+")
  return json.dumps([fields, _label_op(config), removed], sort_keys=True)


def _at_load(config: ConfigDict) -> bool:
  """Whether images are corrupted, and not by the step."""
  return bool(config.pixel_noise) and task_lib.corrupt_in(config) == "load"


def _label_op(config: ConfigDict) -> str:
  """What a step does with labels, whatever the level."""
  for one in config_lib.corruptions(config):
    if one.target == "labels":
      return "given" if one.in_sets else one.name
  return "uniform"


def folder(config: ConfigDict, workdir: epath.Path) -> epath.Path:
  """Returns where runs of one program save, whatever is left of them.

  Args:
    config: of any of them, resolved.
    workdir: of the sweep.
  """
  digest = hashlib.sha256(group_key(config).encode()).hexdigest()[:12]
  return workdir / "groups" / digest


def groups(cells: Mapping[str, ConfigDict]) -> list[list[str]]:
  """Returns the cells' names, those together that can train in one program.

  Args:
    cells: resolved configs by name.
  """
  found: dict[str, list[str]] = {}
  for name, cell in cells.items():
    found.setdefault(group_key(cell), []).append(name)
  return list(found.values())


def slots(config: ConfigDict, runs: int, at_once: int | None) -> int:
  """Returns how many runs train in one program; 1: one after another.

  Without a number from the user: together where it was measured to win. That
  is dense networks, on accelerators as many as fit the memory, on a CPU small
  ones only. Convolutions with a kernel for each run become grouped ones, which
  lose on CPUs and were not measured elsewhere.

  Args:
    config: one of them, resolved.
    runs: how many there are.
    at_once: what the user asks for, at least 1; None: decide here.
  """
  if runs < 2 or jax.process_count() > 1:
    return 1
  if at_once is not None:
    return min(at_once, runs)
  # A group keeps no checkpoint of a run's own, where its best weights are.
  if not models.ARCHITECTURES[config.arch].dense or config.early_stopping:
    return 1
  devices = jax.local_devices()
  size = parameters(config)
  if devices[0].platform == "cpu":
    return min(runs, _MOST_ON_CPU) if size <= _SMALL else 1
  memory = (devices[0].memory_stats() or {}).get("bytes_limit")
  if memory is None:
    return 1
  # Parameters, momenta, gradients, updates and what they become, float32;
  # half of the memory is for images, activations and the compiler.
  each = 8 * 4 * size
  return max(1, min(runs, len(devices) * int(memory / 2) // each))


def on_cpu(config: ConfigDict, size: int, at_once: int | None) -> bool:
  """Returns whether a CPU trains such runs in one program.

  Args:
    config: resolved.
    size: of the model, in parameters.
    at_once: how many runs the user asks for in one program; None: no wish.
  """
  if at_once is not None:
    return at_once > 1
  dense = models.ARCHITECTURES[config.arch].dense
  return dense and not config.early_stopping and size <= _SMALL


def parameters(config: ConfigDict) -> int:
  """Counts the parameters of a config's model, without making them.

  Args:
    config: resolved.
  """
  test = task_lib.dataset(config, "test")
  init, _, _ = programs.steps(
    programs.key(config),
    len(test.ids),
    test.num_classes,
    test.images.shape[1:],
    None,
  )
  empty = jax.eval_shape(init, step_lib.root(0, "init"))
  return sum(x.size for x in jax.tree.leaves(empty.params))


def run(
  cells: Mapping[str, ConfigDict],
  workdir: epath.Path,
  number: int,
  finish: Callable[[str, Mapping[str, Any]], None],
  console: SweepConsole,
) -> None:
  """Trains runs in one program until each has ended.

  Args:
    cells: resolved configs with the same `group_key`, by name; those that
      have finished are not among them.
    workdir: of the sweep; each run's files are in `cells/NAME`.
    number: how many train at a time, at least 1.
    finish: called with a run's name and what its row is made of: its summary,
      or `status` "diverged" and `step` where its loss is no longer finite.
    console: shows what is running.

  Raises:
    Stopped: after SIGTERM or Ctrl-C; the state of all is saved.
  """
  first = next(iter(cells.values()))
  shared = task_lib.load(first)
  devices = jax.local_devices()
  trained = Slots(first, shared, devices)

  def start(name: str) -> Journal:
    cell = cells[name]
    shown = console.cell(name, cell.epochs)
    # At load all are corrupted alike.
    alike = cell is first or _at_load(cell)
    task = shared if alike else task_lib.load(cell)
    own = workdir / "cells" / name
    own.mkdir(parents=True, exist_ok=True)
    workdir_lib.claim(own, cell, task.facts())
    return Journal(
      name,
      cell,
      task,
      own,
      shown,
      time.monotonic(),
      keep_params=cell.keep_params,
    )

  def end(one: Journal, diverged: int | None) -> None:
    if diverged is None:
      seen = one.finish(devices, trained.num_parameters)
      seen = {"status": "finished", **seen}
    else:
      seen = {"status": "diverged", "step": diverged}
    finish(one.name, {**seen, "seconds": one.wall_seconds})

  loop = Loop(
    trained,
    [*cells],
    start,
    folder(first, workdir),
    end,
    alone=False,
    workdir=workdir,
  )
  with signals.deferred() as stop:
    loop.run(number, stop)

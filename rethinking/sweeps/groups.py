"""Which runs can train in one program or beside each other; how many should."""

import hashlib
import json
import os
import threading
from collections.abc import Mapping

import jax
from etils import epath
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking import models
from rethinking.config.fields import flagged
from rethinking.runtime import processes
from rethinking.training import placement, programs
from rethinking.training import state as state_lib
from rethinking.training import task as task_lib

# Parameters up to which a matrix product is so small that a CPU gains from
# taking several at once; `python -m rethinking.benchmark sweep` measures it.
_SMALL = 100_000
_MOST_ON_CPU = 32
# Examples a step times parameters, up to which two runs side by side were
# measured to end before two one after another (digits_cnn at batch 64: 2e7).
_SMALL_STEP = 30_000_000
# Threads take turns in Python, which is a sixth of such a step.
_MOST_THREADS = 4


def group_key(config: ConfigDict) -> str:
  """Returns what runs that can train in one program have in common, as text.

  Args:
    config: a run's, resolved.
  """
  # They may differ in labels, weights, order, draws and levels, which change
  # neither a shape nor the program; where images are corrupted at load, not in
  # what decides on these.
  own = {*flagged("group", "images")}
  if at_load(config):
    own = {*flagged("group")} - {"validation_seed"}
  fields = {k: v for k, v in config_lib.plain(config).items() if k not in own}
  removed = config.without and config.without.count("+")
  return json.dumps([fields, _label_op(config), removed], sort_keys=True)


def at_load(config: ConfigDict) -> bool:
  """Returns whether images are corrupted, and not by the step.

  Args:
    config: resolved.
  """
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
  empty = jax.eval_shape(init, state_lib.root(0, "init"))
  return sum(x.size for x in jax.tree.leaves(empty.params))


def width(config: ConfigDict, at_once: int | None) -> int:
  """Returns how many runs like this one go side by side; 1: one at a time.

  Args:
    config: resolved.
    at_once: how many runs the user asks for in one program; None: no wish.
  """
  devices = placement.all_devices()
  # Several devices meet in a step, which two threads at a time could block;
  # processes stop at a step that they agree on, one run at a time; and only the
  # main thread hears of signals, which it tells the others.
  if len(devices) > 1 or processes.started() or at_once is not None:
    return 1
  if threading.current_thread() is not threading.main_thread():
    return 1
  if devices[0].platform != "cpu":
    return 1
  if config.batch_size * parameters(config) > _SMALL_STEP:
    return 1
  return min(_cores(), _MOST_THREADS)


def _cores() -> int:
  """Those that this process may use, where the system tells."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1

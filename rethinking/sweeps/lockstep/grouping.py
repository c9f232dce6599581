"""Which runs can train together, and how many should."""

import json
from collections.abc import Mapping

import jax
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking import data, models
from rethinking.config.fields import flagged
from rethinking.training import programs

# Parameters up to which a matrix product is so small that a CPU gains from
# taking several at once; `python -m rethinking.benchmark sweep` measures it.
_SMALL = 100_000
_MOST_ON_CPU = 32


def group_key(config: ConfigDict) -> str:
  """Returns what runs that can train together have in common, as text.

  Args:
    config: a run's, resolved.
  """
  # They may differ in labels, weights, order and draws, which change neither a
  # shape nor the program; with pixel noise, labels do not change alone.
  own = flagged("group", "" if config.pixel_noise else "images")
  fields = {k: v for k, v in config_lib.plain(config).items() if k not in own}
  return json.dumps(fields, sort_keys=True)


def groups(cells: Mapping[str, ConfigDict]) -> list[list[str]]:
  """Returns the cells' names, those together that can train together.

  Args:
    cells: resolved configs by name.
  """
  found: dict[str, list[str]] = {}
  for name, cell in cells.items():
    found.setdefault(group_key(cell), []).append(name)
  return list(found.values())


def places(config: ConfigDict, runs: int, at_once: int | None) -> int:
  """Returns how many runs to train together; 1: one after another.

  Without a number from the user: together where it was measured to win. That
  is dense networks, on accelerators as many as fit the memory, on a CPU small
  ones only. Convolutions with a kernel for each run become grouped ones, which
  lose on CPUs and were not measured elsewhere. Runs with a validation set,
  TensorBoard events or per-example files never train together.

  Args:
    config: one of them, resolved.
    runs: how many there are.
    at_once: what the user asks for, at least 1; None: decide here.
  """
  # What a run alone does and these do not.
  if config.tensorboard or config.per_example or config.validation:
    return 1
  if runs < 2 or jax.process_count() > 1:
    return 1
  if at_once is not None:
    return min(at_once, runs)
  if not models.ARCHITECTURES[config.arch].dense:
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


def parameters(config: ConfigDict) -> int:
  """Counts the parameters of a config's model, without making them.

  Args:
    config: resolved.
  """
  test = data.load(
    config.dataset, "test", data_dir=config.data_dir, cache=config.data_cache
  )
  init, _, _ = programs.steps(
    programs.key(config), len(test.ids), test.num_classes, None
  )
  empty = programs.shapes(init, programs.shape(config, test.images))
  return sum(x.size for x in jax.tree.leaves(empty.params))

"""The compiled functions of runs, shared by those that need the same ones."""

import functools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rethinking import models
from rethinking.config.fields import flagged
from rethinking.data import augment
from rethinking.training import optim, parallel, placement, presentations
from rethinking.training import state as state_lib
from rethinking.training import step as step_lib

Shape = tuple[int, int, int]


class Programs(NamedTuple):
  """The compiled functions of runs that lie on the devices alike."""

  init: Callable[..., state_lib.TrainState]
  train: Callable[..., tuple[state_lib.TrainState, jax.Array]]
  evaluate: Callable[..., state_lib.Seen]
  learn: Callable[..., state_lib.TrainState]
  # Those called before, by what a call's program depends on: the first call
  # compiles, so its time says nothing about speed.
  compiled: set[Any]


def key(config: ConfigDict) -> str:
  """Returns what a config's programs depend on, as text.

  Runs that differ in other fields, such as seeds or levels, share them without
  compiling again.

  Args:
    config: resolved.
  """
  return json.dumps({name: config[name] for name in flagged("program")})


@functools.lru_cache(maxsize=16)
def steps(
  fields: str,
  num_examples: int,
  num_classes: int,
  shape: Shape,
  axis_name: str | None,
) -> tuple[Callable, Callable, Callable]:
  """Returns the pure functions `init`, `train_step`, `eval_step` of a config.

  Args:
    fields: from `key`.
    num_examples: examples an epoch.
    num_classes: K.
    shape: [H, W, C] of the data's images.
    axis_name: of the pmap over shards of the batch; None outside one.
  """
  config = ConfigDict(json.loads(fields))
  optimizer = optim.create(config, num_examples)
  module = models.create(
    config.arch,
    num_classes=num_classes,
    dropout=config.dropout,
    dtype=jnp.dtype(config.dtype),
    axis_name=axis_name,
  )
  height, width, channels = shape
  seen = (config.crop or height, config.crop or width, channels)
  init = jax.jit(
    functools.partial(step_lib.init_state, module, optimizer, shape=seen)
  )
  train_step = step_lib.make_train_step(
    module,
    optimizer,
    shape=shape,
    crop=config.crop,
    # Without one no draw is made, and the program is the shorter.
    augment=None
    if config.augment == "none"
    else augment.create(config.augment),
    axis_name=axis_name,
  )
  eval_step = step_lib.make_eval_step(
    module, shape=shape, crop=config.crop, probabilities=config.per_example
  )
  at = functools.partial(at_precision, config.matmul_precision)
  return init, at(train_step), at(eval_step)


def at_precision(precision: str | None, function: Callable) -> Callable:
  """Returns a function whose products have a precision.

  Args:
    precision: as the field `matmul_precision`; None: JAX's setting.
    function: of positional arguments.
  """
  if precision is None:
    return function

  def precise(*args):
    with jax.default_matmul_precision(precision):
      return function(*args)

  return precise


@functools.lru_cache(maxsize=16)
def create(
  fields: str,
  num_examples: int,
  num_classes: int,
  shape: Shape,
  devices: tuple[jax.Device, ...],
  spread: bool,
) -> Programs:
  """Returns the functions that runs share.

  Args:
    fields: from `key`.
    num_examples: examples an epoch.
    num_classes: K.
    shape: [H, W, C] of the data's images.
    devices: those of all processes.
    spread: as for `parallel.train`.
  """
  # A mean over one device is a copy of every gradient.
  axis_name = None if spread or len(devices) == 1 else placement.AXIS
  init, train_step, eval_step = steps(
    fields, num_examples, num_classes, shape, axis_name
  )
  config = ConfigDict(json.loads(fields))
  learn = parallel.over_runs(functools.partial(_learn, config), (0, 0, 0, 0))
  return Programs(
    init=init,
    train=parallel.train(
      train_step,
      config.batch_size,
      devices,
      spread=spread,
      add=functools.partial(
        presentations.add,
        early=config.early_epochs,
        errors_at=tuple(config.el2n_epochs),
      ),
    ),
    evaluate=parallel.evaluate(eval_step, devices, spread=spread),
    learn=jax.jit(learn),
    compiled=set(),
  )


def _learn(config, state, loss, seen, chosen):
  """A run's state after an evaluation, where `seen`; kept where `chosen`."""

  def where(condition, new, old):
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)

  observed = optim.observe(config, state.opt_state, loss)
  state = state.replace(opt_state=where(seen, observed, state.opt_state))
  if state.best is None:
    return state
  return state.replace(best=where(chosen, state.weights(), state.best))

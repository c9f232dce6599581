"""The compiled functions of a run, shared by runs that need the same ones."""

import functools
import json
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from rethinking import models
from rethinking.config.fields import flagged
from rethinking.data import augment
from rethinking.training import optim, parallel, placement
from rethinking.training import step as step_lib


class Programs(NamedTuple):
  """The compiled functions of a run."""

  init: Callable[..., step_lib.TrainState]
  train: Callable[..., tuple[step_lib.TrainState, dict[str, jax.Array]]]
  evaluate: Callable[..., tuple[np.ndarray, np.ndarray]]
  # By the steps that a dispatch takes at most, those called before: the first
  # call compiles, so its time says nothing about speed.
  compiled: set[int]


def key(config: ConfigDict) -> str:
  """Returns what a config's programs depend on, as text.

  Runs that differ in other fields, such as seeds or corruption, share them
  without compiling again.

  Args:
    config: resolved.
  """
  return json.dumps({name: config[name] for name in flagged("program")})


@functools.lru_cache(maxsize=16)
def steps(
  fields: str, num_examples: int, num_classes: int, axis_name: str | None
) -> tuple[Callable, Callable, Callable]:
  """Returns the pure functions `init`, `train_step`, `eval_step` of a config.

  Args:
    fields: from `key`.
    num_examples: examples an epoch.
    num_classes: K.
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
  init = jax.jit(
    functools.partial(step_lib.init_state, module, optimizer),
    static_argnames="shape",
  )
  train_step = step_lib.make_train_step(
    module,
    optimizer,
    crop=config.crop,
    # Without one no draw is made, and the program is the shorter.
    augment=None
    if config.augment == "none"
    else augment.create(config.augment),
    axis_name=axis_name,
  )
  return init, train_step, step_lib.make_eval_step(module, crop=config.crop)


def create(config: ConfigDict, num_examples: int, num_classes: int) -> Programs:
  """Returns the functions that a config's runs share.

  Args:
    config: resolved.
    num_examples: examples an epoch.
    num_classes: K.
  """
  return _create(key(config), num_examples, num_classes)


@functools.lru_cache(maxsize=8)
def _create(fields: str, num_examples: int, num_classes: int) -> Programs:
  devices = parallel.all_devices()
  # A mean over one device is a copy of every gradient.
  axis_name = placement.AXIS if len(devices) > 1 else None
  init, train_step, eval_step = steps(
    fields, num_examples, num_classes, axis_name
  )
  return Programs(
    init=init,
    train=parallel.train_chunk(
      train_step, json.loads(fields)["batch_size"], devices
    ),
    evaluate=parallel.evaluate(eval_step, devices),
    compiled=set(),
  )


def shape(config: ConfigDict, images: np.ndarray) -> tuple[int, int, int]:
  """Returns [H, W, C] of what a config's model sees.

  Args:
    config: resolved.
    images: [N, H, W, C], cropped already or not.
  """
  _, height, width, channels = images.shape
  return (config.crop or height, config.crop or width, channels)


def shapes(
  init: Callable[..., step_lib.TrainState], shape: tuple[int, int, int]
) -> step_lib.TrainState:
  """Returns the shapes of one run's state.

  Args:
    init: from `steps`.
    shape: [H, W, C] of what the model sees.
  """
  return jax.eval_shape(
    functools.partial(init, shape=shape), key=step_lib.root(0, "init")
  )

"""Whether a model and its augmentation go with a data set's images."""

import functools

import jax
import numpy as np
from ml_collections import ConfigDict

from rethinking import models
from rethinking.corruptions.keys import root_key
from rethinking.data import augment
from rethinking.runtime.errors import UserError


def check_arch(
  config: ConfigDict, shape: tuple[int, int, int], num_classes: int
) -> None:
  """Refuses an architecture that cannot be given such images.

  Args:
    config: resolved.
    shape: [H, W, C] of the data's images.
    num_classes: K.

  Raises:
    UserError: naming the images that it was published for.
  """
  height, width, channels = shape
  seen = (config.crop or height, config.crop or width, channels)
  row = models.ARCHITECTURES[config.arch]
  if row.dense or seen == row.image:
    return
  module = models.create(config.arch, num_classes, config.dropout)
  try:
    made = jax.eval_shape(
      functools.partial(module.init, train=False),
      root_key(0),
      jax.ShapeDtypeStruct((1, *seen), np.float32),
    )
    reason = "" if all(x.size for x in jax.tree.leaves(made)) else "no weights"
  # Whatever a module raises, perhaps a user's own.
  except Exception as error:  # noqa: BLE001
    reason = f"{type(error).__name__}: {error}".partition("\n")[0]
  if reason:
    raise UserError(
      f"arch={config.arch} must have images such as {list(row.image)}, got "
      f"{list(seen)} ({reason}); try arch=mlp_1x512, which takes any."
    )


def check_augment(config: ConfigDict, shape: tuple[int, int, int]) -> None:
  """Refuses an augmentation whose images the model could not be tested on.

  Args:
    config: resolved.
    shape: [H, W, C] of the data's images.

  Raises:
    UserError: naming the sizes that differ.
  """
  if config.pixel_noise is not None and config.crop:
    # Cropped already: see task.load.
    shape = (config.crop, config.crop, shape[2])
  height, width, _ = jax.eval_shape(
    augment.create(config.augment),
    root_key(0),
    jax.ShapeDtypeStruct(shape, np.float32),
  ).shape
  seen = (config.crop,) * 2 if config.crop else shape[:2]
  if min(height, width) < config.crop or (
    not config.crop and (height, width) != seen
  ):
    raise UserError(
      f"augment must leave the {seen[0]} x {seen[1]} pixels of test images, "
      f"got {config.augment}, which leaves {height} x {width}; try "
      f"crop={min(height, width)} or another augment."
    )

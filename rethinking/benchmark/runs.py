"""The runs that whole commands are timed with."""

import os
import pathlib

from ml_collections import ConfigDict

from rethinking import config as config_lib


def dataset() -> str:
  """CIFAR-10 where it is prepared, else the bundled digits."""
  folder = os.environ.get("TFDS_DATA_DIR")
  ready = folder and (pathlib.Path(folder) / "cifar10").is_dir()
  return "cifar10" if ready else "digits"


def run_config(arch: str, epochs: int) -> ConfigDict:
  """Returns the config of true labels on `dataset()`, resolved; metrics alone.

  Args:
    arch: a name of models.ARCHITECTURES.
    epochs: passes over the train set.
  """
  config = config_lib.default()
  config.dataset, config.arch, config.epochs = dataset(), arch, epochs
  config.plots = config.tensorboard = False
  config.checkpoint_epochs = epochs
  return config_lib.resolve(config)

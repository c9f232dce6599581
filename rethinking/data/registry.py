"""The data sets, a row each; imports no more than the standard library."""

import collections
import dataclasses
import pkgutil
from typing import Any


@dataclasses.dataclass(frozen=True)
class Spec:
  """What a dataset's examples look like, and where they come from.

  Attributes:
    shape: `(H, W, C)` of an image.
    num_classes: number of classes.
    builder: "module:class" of what downloads it and prepares it, with TFDS.
    reader: instead, of a set that is there: "module:function" from "train" or
      "test" to images uint8 `[N, H, W, C]`, labels int32 `[N]`, ids uint32
      `[N]`, ascending, and what tells this data from other, in words.
    numbered: whether prepared examples carry an id such as `train_00017`.
  """

  shape: tuple[int, int, int]
  num_classes: int
  builder: str = ""
  reader: str = ""
  numbered: bool = False


_TFDS = "rethinking.data.builders"

SPECS = {
  "digits": Spec((8, 8, 1), 10, reader="rethinking.data.digits:read"),
  "mnist": Spec((28, 28, 1), 10, f"{_TFDS}:MNIST"),
  "fashion_mnist": Spec((28, 28, 1), 10, f"{_TFDS}:FashionMNIST"),
  "cifar10": Spec((32, 32, 3), 10, f"{_TFDS}:Cifar10", numbered=True),
  "cifar100": Spec((32, 32, 3), 100, f"{_TFDS}:Cifar100", numbered=True),
}

# What reads the user's own set.
OWN = "rethinking.data.own"
# A view, which shows rows of a config file, too. The user's own has no row: its
# examples look as they do.
NAMES = collections.ChainMap(SPECS, {"own": None}).keys()


def of_own(name: str) -> Any:
  """Returns what a name in the user's own set's reader stands for.

  Args:
    name: of `rethinking.data.own`.
  """
  # As a row's reader, by name: it makes a Dataset.
  return pkgutil.resolve_name(f"{OWN}:{name}")


def source(config: Any) -> dict[str, Any]:
  """Returns where a config's data are, as `load` takes it.

  Args:
    config: of any experiment, resolved or not.

  Raises:
    UserError: for fields of own data without `dataset=own`.
  """
  return {
    "data_dir": config.data_dir,
    "cache": config.data_cache,
    "own": of_own("of")(config),
  }


def shape(config: Any) -> tuple[int, int, int]:
  """Returns `(H, W, C)` of the images of a config, whose own data it reads.

  Args:
    config: of any experiment, its dataset a name of `NAMES`.

  Raises:
    UserError: for fields of own data that do not go with the rest, and as
      `load`.
  """
  given = source(config)
  if given["own"] is None:
    return SPECS[config.dataset].shape
  train, _ = of_own("pair")(**given)
  return train.images.shape[1:]

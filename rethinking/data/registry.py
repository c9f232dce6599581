"""The data sets, a row each; imports no more than the standard library."""

import collections
import dataclasses


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

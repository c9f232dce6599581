"""The data sets, a row each; imports no more than the standard library."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Spec:
  """What a dataset's examples look like.

  Attributes:
    shape: `(H, W, C)` of an image.
    num_classes: number of classes.
    numbered: whether examples carry an id such as `train_00017`.
  """

  shape: tuple[int, int, int]
  num_classes: int
  numbered: bool


PREPARED = {
  "mnist": Spec((28, 28, 1), 10, numbered=False),
  "fashion_mnist": Spec((28, 28, 1), 10, numbered=False),
  "cifar10": Spec((32, 32, 3), 10, numbered=True),
  "cifar100": Spec((32, 32, 3), 100, numbered=True),
}

SPECS = {
  "digits": Spec((8, 8, 1), 10, numbered=False),
  **PREPARED,
}

NAMES = tuple(SPECS)

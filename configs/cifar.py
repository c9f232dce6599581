"""CIFAR-10: 50,000 train and 10,000 test photographs, 32 x 32 pixels.

  python -m rethinking.main --config=configs/cifar.py:random_labels

`dataset=cifar100` takes CIFAR-100 with the same settings. The paper's models
see the central 28 x 28 pixels, whitened image by image. There is no validation
set, as in the paper: the test set is evaluated along the run and nothing is
chosen by it.
"""

from ml_collections import ConfigDict

from rethinking import config
from rethinking.theory import config as theory


def get_config(variant: str = "true_labels") -> ConfigDict:
  """Returns the config of "variant,key=value,..."."""
  name = variant.partition(",")[0]
  if name in theory.EXPERIMENTS:
    return config.parse(
      theory.EXPERIMENTS[name]("cifar10"), variant, {name: {}}
    )
  c = config.default()
  c.dataset = "cifar10"
  c.arch = "inception"
  c.batch_size = 128  # 390.625 steps an epoch.
  c.epochs = 64  # The paper's 25,000 steps.
  figure1 = {
    "experiment": "sweep",
    "grids": config.figure1("inception", ("inception", "alexnet", "mlp_1x512")),
    "recipe": "paper",
    "plots": False,
    "tensorboard": False,
  }
  return config.parse(
    c, variant, {**config.VARIANTS, "figure1": figure1, **theory.VARIANTS}
  )

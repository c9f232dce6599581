"""MNIST: 60,000 train and 10,000 test images of digits, 28 x 28 pixels.

  python -m rethinking.main --config=configs/mnist.py:random_labels

`dataset=fashion_mnist` takes Fashion-MNIST with the same settings. There is no
validation set: the test set is evaluated along the run and nothing is chosen
by it.
"""

from ml_collections import ConfigDict

from rethinking import config
from rethinking.theory import config as theory


def get_config(variant: str = "true_labels") -> ConfigDict:
  """Returns the config of "variant,key=value,..."."""
  name = variant.partition(",")[0]
  if name in theory.EXPERIMENTS:
    return config.parse(theory.EXPERIMENTS[name]("mnist"), variant, {name: {}})
  c = config.default()
  c.dataset = "mnist"
  c.arch = "mlp_1x512"
  c.batch_size = 128  # 468.75 steps an epoch.
  c.epochs = 30
  figure1 = {
    "experiment": "sweep",
    "grids": config.figure1("mlp_1x512", ("mlp_1x512",)),
    "recipe": "paper",
    "plots": False,
    "tensorboard": False,
  }
  return config.parse(
    c, variant, {**config.VARIANTS, "figure1": figure1, **theory.VARIANTS}
  )

"""MNIST: 60,000 train and 10,000 test images of digits, 28 x 28 pixels.

  python -m rethinking.main --config=configs/mnist.py:random_labels

  python -m rethinking.main \\
      --config=configs/mnist.py:random_labels,subset=5000

Measured on two cores of an Intel Xeon at 2.3 GHz, seed 0, the second command:
23 s from start to end; train accuracy on 5,000 random labels 94.8 % after 30
epochs, not fitted yet, test accuracy 10.2 %. MNIST's images look alike, so
random labels are harder to fit than on CIFAR-10. `true_labels,subset=5000`
takes 18 s of CPU time: fitted by epoch 9, test accuracy 94.7 %.

`figure1` is the paper's Figure 1 for MLP 1x512, 27 runs: for a GPU, where they
train together, or a night on two CPU cores (not measured).

`dataset=fashion_mnist` takes Fashion-MNIST with the same settings. There is no
validation set: the test set is evaluated along the run and nothing is chosen
by it. Only `keras_study`, whose recipe needs one, keeps 6,000 train images
apart: the Keras study's noise levels, augmentation and architectures. It wants
an accelerator; `keras_study,only=mlp` leaves its CNN out.
"""

from ml_collections import ConfigDict

from rethinking import config
from rethinking.config import grids
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
    "grids": grids.figure1("mlp_1x512", ("mlp_1x512",)),
    "recipe": "paper",
    "plots": False,
    "tensorboard": False,
  }
  sweeps = {
    "figure1": figure1,
    "levels": {**figure1, "grids": grids.levels()},
    "keras_study": {
      **grids.keras_study(("keras_mnist_cnn",), ("mlp_1x512",), "keras_mnist"),
      "batch_size": 500,
      "learning_rate": 1e-3,
      "epochs": 200,  # At most: the run ends early.
      "validation": 6000,
    },
  }
  return config.parse(
    c, variant, {**config.VARIANTS, **sweeps, **theory.VARIANTS}
  )

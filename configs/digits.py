"""scikit-learn's 1,797 real handwritten digits, 8 x 8 pixels: no download.

  python -m rethinking.main --config=configs/digits.py:random_labels

Measured on two cores of an Intel Xeon at 2.3 GHz, seed 0: 14 s from start to
end; train accuracy on the given labels 100 % by epoch 26, test accuracy 9.7 %
(chance is 10 %), 88.4 % of the labels changed. The six variants on the same
kind of machine, busy (11 to 15 s of CPU time each), seed 0:

  variant                 labels changed   fitted by epoch   test accuracy
  true_labels                   0 %                8             95.0 %
  partial_labels,p=0.4         33.6 %             29             75.8 %
  random_labels                88.4 %             26              9.7 %
  shuffled_pixels               0 %                8             93.1 %
  random_pixels                 0 %                9              8.6 %
  gaussian_pixels               0 %                9              5.8 %

  python -m rethinking.main --config=configs/digits.py:figure1 --workdir=W

The paper's Figure 1: five conditions on the CNN, six noise levels on the CNN
and an MLP, three seeds, 45 runs: 144 s on such a machine, busy. On an
accelerator the MLPs train together, the CNNs one after another.
`levels,arch=...` is panels b and c for one architecture.

The test set is the last 360 examples, which other people wrote; the train set
is the first 1,437. There is no validation set: nothing is chosen by a number
measured here.

`keras_study` is the Keras study, made small: 72 s on the same machine.
Label noise 0 to 0.9, with and without augmentation, a CNN and an MLP, two
seeds. Its recipe needs a validation set and keeps 144 train examples apart;
runs have 30 epochs at most, end after 10 without a better validation
loss instead of 40, and begin at a learning rate of 2e-3 instead of 5e-4.

`memorization` trains 100 MLPs a level of label noise on 70 % of the digits each
and compares, of each digit, those that saw it with the others. With
`--config.levels='(0.0,)' --config.permutations=50 --config.influence=true` it
trains 500 and looks for the test digits that lean on a train digit.

`label_issues,label_noise=symmetric,p=0.2` trains 5 MLPs on 80 % each for 5
epochs and lists the labels that look wrong: 3 s. `repair` then trains on given
labels, on what the list leaves, on what it fixes and on true labels, 25 runs:
60 s. `detection` holds the list against four kinds of noise at three levels,
360 runs: 90 s (configs/results/label_issues.md).

`portions` corrupts the pixels of 0 to 100 % of the images, 96 runs: 652 s on
two busy cores of an Intel Xeon. `redraw` draws label noise once, or anew in
each epoch, 66 runs: 383 s on the same.
"""

from ml_collections import ConfigDict

from rethinking import config
from rethinking.config import figures

_SETTINGS = {
  "dataset": "digits",
  "arch": "digits_cnn",
  "batch_size": 128,  # 11.2 steps an epoch.
  "epochs": 60,  # Random labels are fitted by epoch 30 or so.
  # Peak of the cosine; half of it takes twice as long.
  "learning_rate": 2e-3,
}

# The paper's schedule, its rate and decay fitted to 45 steps an epoch: with
# x0.95 the MLP's rate dies out before random labels are fitted.
_FIGURE1 = {
  "batch_size": 32,
  "learning_rate": 0.05,
  "decay": 0.98,
  "checkpoint_epochs": 60,
}

# The rate falls to 0 in five epochs, by which the MLP fits few wrong labels.
_ISSUES = {
  "arch": "mlp_1x512",
  "batch_size": 32,
  "learning_rate": 5e-3,
  "epochs": 5,
  "eval_epochs": 5,
  "checkpoint_epochs": 5,
}

_SWEEPS = {
  "figure1": {
    **figures.figure1("digits_cnn", ("digits_cnn", "mlp_1x512")),
    **_FIGURE1,
  },
  "levels": {**figures.levels(), **_FIGURE1},
  "keras_study": {
    **figures.keras_study(
      ("digits_cnn",), ("mlp_1x512",), "keras_mnist", seeds=(0, 1)
    ),
    "batch_size": 64,
    "epochs": 30,
    "early_stopping": 10,
    "checkpoint_epochs": 30,
    "validation": 144,
  },
  "portions": figures.portions("digits_cnn", "mlp_1x512"),
  "redraw": figures.redraw("digits_cnn", "mlp_1x512"),
  # At batch 128, or at 2e-3, the MLP does not fit what is changed in 30 epochs.
  "memorization": {
    **figures.memorization(ratio=0.7, members=10, permutations=10),
    "arch": "mlp_1x512",
    "batch_size": 32,
    "learning_rate": 5e-3,
    "epochs": 30,
    "eval_epochs": 30,
    "checkpoint_epochs": 30,
  },
  "label_issues": {**figures.label_issues(), **_ISSUES},
  "repair": {**figures.label_issues(), **_ISSUES},
  "detection": {**figures.detection("mnist"), **_ISSUES},
}


def get_config(variant: str = "true_labels") -> ConfigDict:
  """Returns the config of "variant,key=value,..."."""
  return config.create(variant, _SETTINGS, _SWEEPS)

"""scikit-learn's 1,797 real handwritten digits, 8 x 8 pixels: no download.

  python -m rethinking.main --config=configs/digits.py:random_labels

The test set is the last 360 examples, which other people wrote; the train set
is the first 1,437. There is no validation set: nothing is chosen by a number
measured here.
"""

from ml_collections import ConfigDict

from rethinking import config


def get_config(variant: str = "true_labels") -> ConfigDict:
  """Returns the config of "variant,key=value,..."."""
  c = config.default()
  c.dataset = "digits"
  c.arch = "digits_cnn"
  c.batch_size = 128  # 11.2 steps an epoch.
  c.epochs = 60  # Random labels are fitted by epoch 30 or so.
  c.learning_rate = 2e-3  # Peak of the cosine; half of it takes twice as long.
  return config.parse(c, variant)

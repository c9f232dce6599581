"""Datasets as arrays: scikit-learn's digits, and TFDS without TensorFlow.

`dataset` loads a split, by `digits`, or by `prepared`, `records` and `cache`;
`preparation`, `builders` and `archives` download. `augment` changes images in
training.

May import: models, ops, storage, runtime, corruptions.
"""

from rethinking.data.dataset import Dataset, load
from rethinking.data.registry import NAMES, SPECS

__all__ = ["NAMES", "SPECS", "Dataset", "load"]

"""Datasets as arrays: scikit-learn's digits, and TFDS without TensorFlow.

`registry` has a row a set; `loading` makes a `dataset` of a split, by the row's
reader, such as `digits`, or as `arrays` by `prepared`, `records` and `cache`;
`preparation`, `builders` and `archives` download. `augment` changes images in
training, by a preset of `presets`. A new set is a row and what it names: a
builder of TFDS's, or a function that reads a split of arrays that are there.

`own` is the user's: arrays, checked in `checked`, from an .npz file, `folders`
of `pictures`, or what TFDS has prepared by any name, in `tfds`; `pairs` checks
train and test set together, `label_files` puts labels of a CSV in their place.

Digits need nothing. The others are prepared once by TensorFlow Datasets,
without TensorFlow, downloaded from their original sites (the checksums are
TFDS's) into --data_dir, else TFDS_DATA_DIR, else TFDS's default folder. Decoded
arrays are kept in ~/.cache/rethinking, or under XDG_CACHE_HOME.

May import: models, ops, storage, runtime, corruptions.
"""

from rethinking.data.dataset import Dataset
from rethinking.data.loading import load
from rethinking.data.registry import NAMES, SPECS, shape, source

__all__ = ["NAMES", "SPECS", "Dataset", "load", "shape", "source"]

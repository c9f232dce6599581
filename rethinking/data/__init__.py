"""Datasets as arrays: scikit-learn's digits, and TFDS without TensorFlow."""

from rethinking.data.dataset import NAMES, SPECS, Dataset, load

__all__ = ["NAMES", "SPECS", "Dataset", "load"]

"""Datasets as arrays: scikit-learn's digits, and TFDS without TensorFlow."""

from rethinking.data.dataset import NAMES, Dataset, load

__all__ = ["NAMES", "Dataset", "load"]

"""Fingerprints that must never drift: other people compare theirs with them.

If a change of a definition is intended, say so in its docstring and replace
the digits that the failing test prints.
"""

import numpy as np
import pytest

from rethinking import corruptions, data
from rethinking.corruptions import Corruption

LABEL_NOISE = {
  "uniform": Corruption.create("uniform", level=0.4),
  "uniform_1": Corruption.create("uniform", level=1.0),
  "uniform_exact": Corruption.create("uniform", level=0.1, exact=True),
  "symmetric": Corruption.create("symmetric", level=0.4),
  "pair_flip": Corruption.create("pair_flip", level=0.45),
  "asymmetric": Corruption.create("asymmetric", level=0.4, map="mnist"),
  "transition": Corruption.create("transition", matrix=0.5 * np.eye(10) + 0.05),
  "permutation": Corruption.create("permutation", level=0.3),
}
PIXEL_NOISE = {
  "shuffled_pixels": Corruption.create("shuffled_pixels"),
  "random_pixels": Corruption.create("random_pixels"),
  "random_pixels_half": Corruption.create("random_pixels", fraction=0.5),
  "gaussian_pixels": Corruption.create("gaussian_pixels"),
  "gaussian_pixels_each": Corruption.create(
    "gaussian_pixels", per_channel=True
  ),
  "partial_shuffle": Corruption.create("partial_shuffle", level=0.3),
  "occlusion": Corruption.create("occlusion", level=0.5),
}

# (name, seed) -> first 16 digits of the SHA-256 of ids and labels or images.
DIGITS = {}
MNIST = {}


def found(dataset, name, seed):
  one = {**LABEL_NOISE, **PIXEL_NOISE}[name]
  done = corruptions.apply(
    [one],
    seed=seed,
    images=dataset.images,
    labels=dataset.labels,
    ids=dataset.ids,
    num_classes=dataset.num_classes,
  )
  return done.report[f"{one.target}_sha256"][:16]


@pytest.fixture(scope="module")
def digits():
  return data.load("digits", "train", cache=False)


@pytest.fixture(scope="module")
def mnist(tfds_dir):
  return data.load("mnist", "train", data_dir=str(tfds_dir))


@pytest.mark.parametrize(("name", "seed"), DIGITS)
def test_digits(digits, name, seed):
  assert found(digits, name, seed) == DIGITS[name, seed]


@pytest.mark.parametrize(("name", "seed"), MNIST)
def test_mnist(mnist, name, seed):
  assert found(mnist, name, seed) == MNIST[name, seed]


def test_every_definition_is_covered():
  assert {name for name, _ in DIGITS} == {*LABEL_NOISE, *PIXEL_NOISE}
  # Promised for a platform and version only, or from a file.
  apart = {"instance", "gaussian_noise", "human"}
  named = {c.name for c in [*LABEL_NOISE.values(), *PIXEL_NOISE.values()]}
  assert named | apart == set(corruptions.DEFINITIONS)

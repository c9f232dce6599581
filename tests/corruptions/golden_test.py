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
  "uniform_0.1": Corruption.create("uniform", level=0.1),
  "uniform_0.8": Corruption.create("uniform", level=0.8),
  "uniform_1": Corruption.create("uniform", level=1.0),
  "uniform_exact": Corruption.create("uniform", level=0.1, exact=True),
  "symmetric": Corruption.create("symmetric", level=0.4),
  "symmetric_0.8": Corruption.create("symmetric", level=0.8),
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
  "partial_shuffle_each": Corruption.create(
    "partial_shuffle", level=0.3, per_image=True
  ),
  "partial_shuffle": Corruption.create("partial_shuffle", level=0.3),
  "occlusion": Corruption.create("occlusion", level=0.5),
}

# (name, seed) -> first 16 digits of the SHA-256 of ids and labels or images.
DIGITS = {
  ("uniform", 0): "b0957bd9714a71b7",
  ("uniform", 1): "a143a1f661d9976e",
  ("uniform_1", 0): "15c7050b3b6c1ac3",
  ("uniform_1", 1): "332f0af8da6d5c7a",
  ("uniform_exact", 0): "c1166cb256f41c94",
  ("symmetric", 0): "2113278c908c530c",
  ("symmetric", 1): "4d458f18513c3b62",
  ("pair_flip", 0): "1b069a667c149259",
  ("asymmetric", 0): "4c3af2ea2573f5c9",
  ("transition", 0): "c01d93bf0d4ed652",
  ("permutation", 0): "97a2b268fcc704f3",
  ("shuffled_pixels", 0): "6a57b0f71f3b1778",
  ("shuffled_pixels", 1): "7bcb56cbbe74f2c0",
  ("random_pixels", 0): "4b52b2aa02acd0dc",
  ("random_pixels", 1): "8838bbca2e9b25f9",
  ("random_pixels_half", 0): "db1dd20dcbae0d7a",
  ("gaussian_pixels", 0): "7db876cf504a3057",
  ("gaussian_pixels", 1): "3d20d0aa58b3e7e3",
  ("gaussian_pixels_each", 0): "7db876cf504a3057",
  ("partial_shuffle", 0): "8d16bc013440e69c",
  ("occlusion", 0): "7feb94240dd3ce3c",
  ("uniform_0.1", 0): "6196d22304cd9cd7",
  ("uniform_0.1", 1): "848c46a6b01f1360",
  ("uniform_0.8", 0): "28ed3692867e9643",
  ("uniform_0.8", 7): "4c9751065143f20f",
  ("symmetric_0.8", 0): "caa4589a864d6349",
  ("symmetric_0.8", 1): "7cb2681d5f4702d8",
  ("asymmetric", 1): "93415a3ebf4eb483",
  ("pair_flip", 1): "7b97ce02f7f3f369",
  ("transition", 1): "d8ebe809fd724870",
  ("permutation", 1): "58db739b08f11d35",
  ("uniform_exact", 1): "5b658137b91395cf",
  ("gaussian_pixels_each", 1): "3d20d0aa58b3e7e3",
  ("partial_shuffle", 1): "eef0b7dc5f9b6483",
  ("partial_shuffle_each", 0): "0704c256621ef886",
  ("random_pixels_half", 1): "571a80bf1d1cdc9e",
  ("occlusion", 1): "1a85ef98e517309b",
}
MNIST = {
  ("uniform", 0): "077252363f740929",
  ("uniform_1", 0): "26b05d902abc932f",
  ("uniform_1", 7): "3dc486bd83faf337",
  ("symmetric", 0): "bbb1802bb2ad23ac",
  ("asymmetric", 0): "d5cc2130d37476cf",
  ("shuffled_pixels", 0): "53c55301448cbc4d",
  ("random_pixels", 0): "7d4e9a76291bfa32",
  ("gaussian_pixels", 0): "31acd1f64d6aa2a9",
  ("uniform", 1): "1c360d54caa8f639",
  ("uniform_0.1", 0): "ac91db68260b20f1",
  ("uniform_0.8", 0): "22f5bbd961526b44",
  ("symmetric_0.8", 7): "a169c345e2bf5ab3",
  ("pair_flip", 0): "a26ef3ad92f3367d",
  ("permutation", 0): "22db613264bd9d88",
  ("uniform_exact", 0): "b546e40b1f6040d6",
  ("shuffled_pixels", 1): "e73f9d7f5f8698b2",
  ("random_pixels", 7): "8547c81267b6d0c0",
  ("gaussian_pixels", 1): "af833b60fcacf862",
}


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
  # Promised for a platform and version only, or from people.
  apart = {"instance", "gaussian_noise", "human", "given"}
  named = {c.name for c in [*LABEL_NOISE.values(), *PIXEL_NOISE.values()]}
  assert named | apart == set(corruptions.DEFINITIONS)

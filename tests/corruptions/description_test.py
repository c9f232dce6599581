"""Descriptions: immutable, hashable, printable, checked when made."""

import dataclasses
import json

import numpy as np
import pytest
from golden_test import LABEL_NOISE, PIXEL_NOISE
from ml_collections import ConfigDict

from rethinking.corruptions import DEFINITIONS, Corruption

EXAMPLES = [
  *LABEL_NOISE.values(),
  *PIXEL_NOISE.values(),
  Corruption.create("uniform", level=0.4, exact=True),
  Corruption.create("symmetric", level=1),
  Corruption.create("pair_flip", level=0),
  Corruption.create("asymmetric", level=0.4, map=[1, 0]),
  Corruption.create("instance", level=0.3),
  Corruption.create("human", path="labels.npz", array="worse_label"),
  Corruption.create("given"),
  Corruption.create("gaussian_noise", level=0.1),
  Corruption.create("occlusion", level=0.5, value=128),
]


def test_every_definition_has_an_example_here():
  assert {c.name for c in EXAMPLES} == set(DEFINITIONS)


@pytest.mark.parametrize("one", EXAMPLES, ids=repr)
def test_descriptions_survive_every_way_round(one):
  assert eval(repr(one)) == one
  config = json.loads(json.dumps(one.to_config()))
  assert Corruption.from_config(config) == one
  assert Corruption.from_config(ConfigDict(config)) == one
  assert hash(Corruption.from_config(config)) == hash(one)
  assert Corruption.from_config(config).sha256 == one.sha256
  with pytest.raises(dataclasses.FrozenInstanceError):
    one.level = 0.1


def test_fingerprints_tell_descriptions_apart():
  assert len({c.sha256 for c in EXAMPLES}) == len(EXAMPLES)
  assert (
    Corruption.create("uniform", level=0.4).sha256[:16] == "279562ef352f9c23"
  )


def test_defaults_are_filled_in():
  one = Corruption.create("uniform", level=0.4)
  assert one == Corruption.create("uniform", level=0.4, exact=False)
  assert repr(one) == "Corruption.create('uniform', level=0.4)"


@pytest.mark.parametrize(
  ("name", "options", "message"),
  [
    ("foo", {}, r"one of \['asymmetric', .* got 'foo'; try"),
    ("uniform", {}, "'uniform' must have a level in .*, got none"),
    ("uniform", {"level": 1.2}, "level of 'uniform' must be .*, got 1.2;"),
    ("uniform", {"level": "0.5"}, "level of 'uniform' must be .*, got '0.5'"),
    (
      "uniform",
      {"level": 0.1, "map": "mnist"},
      r"must be among \['exact'\], got 'map'",
    ),
    (
      "uniform",
      {"level": 0.1, "exact": 1},
      "exact must be True or False, got 1;",
    ),
    (
      "random_pixels",
      {"level": 0.5},
      "must have no level, got 0.5; try without it",
    ),
    (
      "random_pixels",
      {"fraction": 2},
      r"fraction must be a number in \[0, 1\], got 2",
    ),
    ("asymmetric", {"level": 0.5}, "must have the option 'map', got none"),
    (
      "asymmetric",
      {"level": 0.5, "map": "svhn"},
      "map must be one of .*, got 'svhn'",
    ),
    ("transition", {"matrix": [[0.5, 0.4], [0, 1]]}, "Row 0 .* 0.9"),
    (
      "occlusion",
      {"level": 0.5, "value": 256},
      "value must be an integer in 0..255, got 256",
    ),
    (
      "human",
      {"path": 3, "array": "a"},
      "path must be a non-empty string, got 3",
    ),
    (["uniform"], {}, r"must be one of .*, got \['uniform'\]"),
    ("uniform", {"level": [0.5]}, r"level of 'uniform' must be .* got \[0.5\]"),
    (
      "uniform",
      {"level": np.True_},
      "level of 'uniform' must be .* got np.True_",
    ),
    (
      "uniform",
      {"level": float("nan")},
      "level of 'uniform' must be .* got nan",
    ),
    (
      "asymmetric",
      {"level": 0.5, "map": ["a"]},
      "map must be of integers in 0..0, got .*; try",
    ),
    (
      "asymmetric",
      {"level": 0.5, "map": [None]},
      "map must be of integers in 0..0, got .*; try",
    ),
    ("transition", {"matrix": [["a"]]}, r"must be numbers of shape \[K, K\]"),
    (
      "transition",
      {"matrix": [[1.0, 0.0]]},
      r"must be of shape \[1, 1\].* got \[1, 2\]",
    ),
  ],
)
def test_mistakes_are_named(name, options, message):
  with pytest.raises(ValueError, match=message):
    Corruption.create(name, **options)


def test_a_config_without_a_name_is_refused():
  with pytest.raises(ValueError, match="must have a 'name', got"):
    Corruption.from_config({"level": 0.5})
  with pytest.raises(ValueError, match="must be a mapping, got 'uniform'"):
    Corruption.from_config("uniform")

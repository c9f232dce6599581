"""What configs say about a run, in words."""

import dataclasses

import pytest

from rethinking.config import variants
from rethinking.models import ARCHITECTURES
from rethinking.report import settings

from . import synthetic


@pytest.mark.parametrize(
  ("fields", "name"),
  [
    ({}, "true_labels"),
    ({"label_noise": "uniform", "p": 0.0}, "true_labels"),
    ({"label_noise": "uniform", "p": 1.0}, "random_labels"),
    ({"label_noise": "uniform", "p": 0.4}, "partial_labels"),
    ({"label_noise": "pair_flip", "p": 1.0}, "pair_flip"),
    ({"pixel_noise": "shuffled_pixels"}, "shuffled_pixels"),
    (
      {"pixel_noise": "shuffled_pixels", "fraction": 0.5},
      "partly_shuffled_pixels",
    ),
    # Nothing is corrupted, so nothing partly.
    ({"fraction": 0.5}, "true_labels"),
    (
      {"label_noise": "uniform", "p": 1.0, "redraw": "epoch"},
      "redrawn_random_labels",
    ),
    (
      {"pixel_noise": "occlusion", "label_noise": "uniform", "p": 1.0},
      "occlusion+random_labels",
    ),
  ],
)
def test_condition(fields, name):
  assert (
    variants.condition(settings.settings(synthetic.CONFIG | fields)) == name
  )


@pytest.mark.parametrize(
  ("given", "name"),
  [
    (None, "none"),
    ("none", "none"),
    ({}, "none"),
    ({"preset": "none"}, "none"),
    ("keras_cifar", "keras_cifar"),
    ({"preset": "crop"}, "crop"),
    (
      {"rotation": 15.0, "flip": True, "shear": 0.0},
      "rotation 15.0, flip True",
    ),
  ],
)
def test_augmentation(given, name):
  assert settings.augmentation({"augment": given}) == name


@pytest.mark.parametrize(
  ("fields", "names"),
  [
    ({}, ()),
    ({"weight_decay": 5e-4}, ("weight decay 0.0005",)),
    ({"l2": 1e-4, "dropout": 0.5}, ("L2 0.0001", "dropout 0.5")),
    ({"augment": "crop"}, ("augmentation crop",)),
    ({"arch": "keras_mnist_cnn"}, ("its own dropout",)),
    ({"arch": "keras_mnist_cnn", "dropout": 0.0}, ()),
  ],
)
def test_regularisers(fields, names):
  assert settings.regularisers(synthetic.CONFIG | fields) == names


def test_an_architecture_that_was_registered_counts(monkeypatch):
  config = synthetic.CONFIG | {"arch": "mine"}
  assert settings.regularisers(config) == ()
  row = dataclasses.replace(ARCHITECTURES["mlp_1x512"], own_dropout=True)
  monkeypatch.setitem(ARCHITECTURES, "mine", row)
  assert settings.regularisers(config) == ("its own dropout",)

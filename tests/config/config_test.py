"""The variant grammar, late resolution and every refusal."""

import importlib.util
import pathlib

import pytest

from rethinking import config as config_lib
from rethinking.runtime.errors import UserError

_CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
_NAMES = ("digits", "mnist", "cifar")


def _load(name, variant):
  spec = importlib.util.spec_from_file_location(name, _CONFIGS / f"{name}.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config(variant)


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize("variant", sorted(config_lib.VARIANTS))
def test_every_config_has_every_variant(name, variant):
  c = _load(name, variant)
  assert c.is_locked and c.variant == variant
  found = config_lib.corruptions(config_lib.resolve(c))
  targets = [one.target for one in found]
  assert targets == (
    ["images"]
    if variant.endswith("pixels")
    else []
    if variant == "true_labels"
    else ["labels"]
  )


def test_keys_set_fields_in_their_types():
  c = _load(
    "cifar",
    "partial_labels,p=0.25,arch=alexnet,recipe=paper,epochs=3,batch_size=64,"
    "subset=500,seed=7,stop_at_fit=true,dropout=none",
  )
  assert (c.p, c.arch, c.recipe, c.epochs) == (0.25, "alexnet", "paper", 3)
  assert (c.batch_size, c.subset, c.seed) == (64, 500, 7)
  assert c.stop_at_fit is True and c.dropout is None


@pytest.mark.parametrize(
  ("text", "message"),
  [
    (
      "random_lables",
      "got 'random_lables'; did you mean 'random_labels'.$",
    ),
    ("true_labels,foo=1", "key must be one of .*'p'.*, got 'foo'; try"),
    ("true_labels,seed", "seed must have a value, got none; try seed=VALUE"),
    (
      "true_labels,epochs=many",
      "epochs must be of type int, got 'many'; try 1",
    ),
    (
      "true_labels,plots=perhaps",
      "plots must be of type bool, got .*; try true or false",
    ),
  ],
)
def test_the_grammar_says_what_is_allowed(text, message):
  with pytest.raises(UserError, match=message):
    _load("digits", text)


def test_derived_fields_follow_overrides():
  c = _load("cifar", "random_labels")
  with c.unlocked():
    c.recipe, c.arch, c.seed = "paper", "alexnet", 5
  r = config_lib.resolve(c)
  assert (r.optimizer, r.learning_rate, r.schedule) == (
    "sgd",
    0.01,
    "exponential",
  )
  assert r.crop == 28 and r.init_seed == r.order_seed == 5
  with c.unlocked():
    c.arch, c.learning_rate, c.init_seed = "inception", None, 6
  r = config_lib.resolve(c)
  assert r.learning_rate == 0.1 and r.init_seed == 6 and r.order_seed == 5
  with c.unlocked():
    c.arch, c.learning_rate = "keras_cifar_cnn", 0.2
  r = config_lib.resolve(c)
  assert r.learning_rate == 0.2 and r.crop == 0


def test_the_seed_s_recipe():
  c = _load("cifar", "true_labels,recipe=keras,arch=alexnet,validation=5000")
  r = config_lib.resolve(c)
  assert (r.optimizer, r.learning_rate) == ("adam", 5e-4)
  assert (r.schedule, r.early_stopping) == ("plateau", 40)
  # Keras's 1e-4 times the sum of squares is half of 2e-4 times it.
  assert (r.l2, r.l2_kernels) == (2e-4, "conv")
  with c.unlocked():
    c.l2, c.early_stopping = 0.0, 0
  r = config_lib.resolve(c)
  assert (r.l2, r.early_stopping) == (0.0, 0)
  for recipe in ("adam_cosine", "paper"):
    r = config_lib.resolve(_load("cifar", f"true_labels,recipe={recipe}"))
    assert (r.l2, r.l2_kernels, r.early_stopping) == (0.0, "all", 0)


def test_resolve_changes_no_input_and_is_idempotent():
  c = _load("digits", "random_labels")
  before = c.to_json_best_effort()
  r = config_lib.resolve(c)
  assert c.to_json_best_effort() == before
  assert config_lib.resolve(r) == r and r.is_locked


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    ({"p": 1.5}, r"p must be a rate in \[0, 1\], got 1.5"),
    ({"p": -0.1}, "p must be .* got -0.1"),
    ({"p": float("nan")}, "p must be .* got nan"),
    ({"epochs": -1}, "epochs must be at least 1, got -1"),
    ({"epochs": 0}, "epochs must be .* got 0"),
    ({"batch_size": 0}, "batch_size must be .* got 0"),
    ({"subset": 0}, "subset must be .* got 0"),
    ({"arch": "resnet"}, r"arch must be one of \d+ names, got 'resnet'; did"),
    ({"recipe": "sgd"}, "recipe must be one of .*, got 'sgd'"),
    ({"dataset": "imagenet"}, "dataset must be one of .*, got 'imagenet'"),
    ({"optimizer": "lion"}, "optimizer must be one of .*, got 'lion'"),
    ({"schedule": "linear"}, "schedule must be one of .*, got 'linear'"),
    ({"dtype": "float16"}, "dtype must be one of .*, got 'float16'"),
    ({"learning_rate": 0.0}, "learning_rate must be above 0 or None, got 0.0"),
    ({"learning_rate": float("inf")}, "learning_rate must be .*, got inf; try"),
    ({"weight_decay": -1e-4}, "weight_decay must be .* got -0.0001"),
    ({"l2": -1.0}, "l2 must be at least 0 or None, got -1.0"),
    ({"dropout": 1.0}, "dropout must be .* got 1.0"),
    ({"decay": 0.0}, "decay must be .* got 0.0"),
    ({"seed": -1}, "seed must be .* got -1"),
    (
      {"augment": "foo"},
      "augmentation must be one of .*, got 'foo'",
    ),
    ({"normalization": "batch"}, "normalization must be one of .*got 'batch'"),
    ({"l2_kernels": "dense"}, "l2_kernels must be one of .*, got 'dense'"),
    ({"validation": -1}, "validation must be at least 0, got -1"),
    ({"validation_labels": "no"}, "validation_labels must be one .* got 'no'"),
    (
      {"early_stopping": -1},
      "early_stopping must be at least 0 or None, got -1",
    ),
    ({"recipe": "keras"}, "got 0 .*; try .* such as validation=5000"),
    ({"schedule": "plateau"}, "validation must .*, got 0 .*=plateau"),
    ({"early_stopping": 3}, "got 0 with .*early_stopping=3; try"),
    (
      {"recipe": "keras", "validation": 9, "arch": "mlp_1x512"},
      "no convolutions, .* and mlp_1x512; try l2_kernels=all",
    ),
    (
      {"label_noise": "unifrom"},
      "label_noise must be .*, got 'unifrom'; did you mean 'uniform'",
    ),
    (
      {"label_noise": "random_pixels"},
      "label_noise .* got 'random_pixels'",
    ),
    ({"pixel_noise": "uniform"}, "pixel_noise must be .* got 'uniform'"),
    (
      {"label_noise": None, "p": 0.5},
      "p must be 0 where label_noise is None, got 0.5",
    ),
  ],
)
def test_values_outside_their_range_are_refused(fields, message):
  c = _load("digits", "partial_labels")
  with c.unlocked():
    c.update(fields)
  with pytest.raises(UserError, match=message) as caught:
    config_lib.resolve(c)
  assert "\n" not in str(caught.value)


def test_differences_name_the_fields_but_not_the_place():
  c = config_lib.resolve(_load("digits", "random_labels"))
  old = config_lib.plain(c)
  assert config_lib.differences(old, config_lib.plain(c)) == []
  new = {**old, "seed": 3, "data_dir": "/elsewhere"}
  assert config_lib.differences(old, new) == ["seed: 0 -> 3"]


def test_options_reach_their_corruption():
  c = _load(
    "cifar",
    "partial_labels,label_noise=asymmetric,label_options=map=cifar10,p=0.2,"
    "pixel_noise=random_pixels,pixel_options=fraction=0.5 exact=True",
  )
  labels, pixels = config_lib.corruptions(c)
  assert (labels.name, labels.level) == ("asymmetric", 0.2)
  assert dict(labels.options)["map"] == "cifar10"
  assert dict(pixels.options) == {"fraction": 0.5, "exact": True}
  with c.unlocked():
    c.pixel_options = "fraction"
  with pytest.raises(
    UserError, match="must be name=value, separated by spaces"
  ):
    config_lib.corruptions(c)

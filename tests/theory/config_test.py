"""Every field is checked before any work."""

import pytest

from rethinking.runtime import errors
from rethinking.theory import config


@pytest.mark.parametrize("dataset", ["digits", "mnist", "cifar10"])
@pytest.mark.parametrize("name", ["kernel", "expressivity", "rademacher"])
def test_defaults_resolve(name, dataset):
  c = config.resolve(getattr(config, name)(dataset))
  assert c.experiment == name and c.dataset == dataset
  assert c.corruption_seed == c.seed
  assert c.is_locked


@pytest.mark.parametrize(
  "name, field, value, message",
  [
    ("kernel", "kernel", "foo", "kernel must .*gaussian.*got 'foo'"),
    ("kernel", "features", "foo", "features must .*gabor.*got 'foo'"),
    ("kernel", "solver", "foo", "solver must .*tiles.*got 'foo'"),
    ("kernel", "precision", "float16", "float32.*float16"),
    ("kernel", "gamma", -1.0, "gamma must be .* got -1.0"),
    ("kernel", "tile", 50_000, "tile must be .*46,341.*got 50000"),
    ("kernel", "ridges", (-1.0,), "ridges must be .* got"),
    ("kernel", "ridges", (), "ridges must be .* got"),
    ("kernel", "ridges", tuple("0.1"), "ridges must be .*config.ridges="),
    ("kernel", "levels", (0.0, 2.0), "label_noise is None"),
    ("kernel", "p", 0.5, "label_noise is None"),
    ("kernel", "wavelength", 2.0, "wavelength must be .* got 2.0"),
    ("kernel", "memory_gb", 0.0, "memory_gb must be .* got 0.0"),
    ("kernel", "dataset", "foo", "dataset must .*got 'foo'"),
    ("kernel", "seed", -1, "seed must be .* got -1"),
    ("expressivity", "arch", "foo", "arch must .*got 'foo'"),
    ("expressivity", "epochs", 0, "epochs must be .* got 0"),
    ("rademacher", "draws", 1, "draws must be .* got 1"),
    ("rademacher", "sizes", (), "sizes must be .* got"),
    ("rademacher", "eval_steps", (9999,), "eval_steps must be .* got"),
    ("rademacher", "confidence", 1.0, "confidence must be .* got 1.0"),
    ("rademacher", "dropout", 1.0, "dropout must be .* got 1.0"),
  ],
)
def test_bad_values_are_named(name, field, value, message):
  c = getattr(config, name)("digits")
  c[field] = value
  with pytest.raises(errors.UserError, match=message):
    config.resolve(c)

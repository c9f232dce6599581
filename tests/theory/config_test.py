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
    ("kernel", "kernel", "foo", "kernel 'foo'.*gaussian"),
    ("kernel", "features", "foo", "features 'foo'.*gabor"),
    ("kernel", "solver", "foo", "solver 'foo'.*tiles"),
    ("kernel", "precision", "float16", "float16.*float32"),
    ("kernel", "gamma", -1.0, "gamma is -1.0"),
    ("kernel", "tile", 50_000, "tile is 50000.*46,341"),
    ("kernel", "ridges", (-1.0,), "ridges is"),
    ("kernel", "ridges", (), "ridges is"),
    ("kernel", "ridges", tuple("0.1"), "ridges is.*config.ridges="),
    ("kernel", "levels", (0.0, 2.0), "label_noise is None"),
    ("kernel", "p", 0.5, "label_noise is None"),
    ("kernel", "wavelength", 2.0, "wavelength is 2.0"),
    ("kernel", "memory_gb", 0.0, "memory_gb is 0.0"),
    ("kernel", "dataset", "foo", "dataset 'foo'"),
    ("kernel", "seed", -1, "seed is -1"),
    ("expressivity", "arch", "foo", "arch 'foo'"),
    ("expressivity", "epochs", 0, "epochs is 0"),
    ("rademacher", "draws", 1, "draws is 1"),
    ("rademacher", "sizes", (), "sizes is"),
    ("rademacher", "eval_steps", (9999,), "eval_steps is"),
    ("rademacher", "confidence", 1.0, "confidence is 1.0"),
    ("rademacher", "dropout", 1.0, "dropout is 1.0"),
  ],
)
def test_bad_values_are_named(name, field, value, message):
  c = getattr(config, name)("digits")
  c[field] = value
  with pytest.raises(errors.UserError, match=message):
    config.resolve(c)

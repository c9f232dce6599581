"""What was asked is what happens, or it is refused in one line."""

import importlib.util
import pathlib

import pytest

from rethinking import config as config_lib
from rethinking.runtime.errors import UserError
from rethinking.sweeps import grid

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def _config(variant, **fields):
  """The digits' config of a variant, with fields set afterwards."""
  path = _ROOT / "configs" / "digits.py"
  spec = importlib.util.spec_from_file_location("digits", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config(variant)
  with config.unlocked():
    config.update(fields)
  return config


def _refused(act, *words):
  """Whether an act is refused in one line that has all the words."""
  with pytest.raises(UserError) as caught:
    act()
  line = str(caught.value)
  assert "\n" not in line
  for word in words:
    assert word in line, line


@pytest.mark.parametrize(
  ("variant", "fields", "hint"),
  [
    ("randm_labels", {}, "random_labels"),
    ("true_labels,epoch=3", {}, "epochs"),
    ("true_labels,epoch", {}, "epochs"),
    ("true_labels,arch=mlp_1x521", {}, "mlp_1x512"),
    ("true_labels", {"arch": "alexnte"}, "alexnet"),
    ("true_labels", {"dataset": "cifar"}, "cifar10"),
    ("true_labels", {"augment": "flip_rotate"}, "flip_rotation"),
    ("partial_labels", {"label_noise": "symetric"}, "symmetric"),
    ("levels", {"experiment": "swep"}, "sweep"),
  ],
)
def test_the_nearest_name_comes_first(variant, fields, hint):
  from rethinking.config import experiments

  def act():
    config = _config(variant, **fields)
    experiments.chosen(config)
    config_lib.resolve(config)

  _refused(act, f"; did you mean {hint!r}? Choose one of [")


def test_a_grids_axis_has_its_nearest_name_and_is_no_field_of_the_sweep():
  def expand(axes):
    return lambda: grid.expand(_config("levels", grids={"g": axes}))

  _refused(expand({"sed": (0,)}), "axis of a grid 'sed'; did you mean 'seed'?")
  _refused(expand({"only": (0,)}), "Unknown axis of a grid 'only'")

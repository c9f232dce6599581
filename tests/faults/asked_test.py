"""What was asked is what happens, or it is refused in one line."""

import importlib.util
import pathlib
import pkgutil

import pytest

import rethinking
from rethinking import config as config_lib
from rethinking.config import experiments
from rethinking.exports import verify, write
from rethinking.runtime.errors import UserError
from rethinking.sweeps import grid
from rethinking.training import task

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


def _run(module):
  def act(config, folder):
    pkgutil.resolve_name(f"rethinking.{module}").run(config, folder, quiet=True)

  return act


_ENTRIES = {
  "train": _run("training.run"),
  "sweep": _run("sweeps.run"),
  "kernel": _run("theory.kernel"),
  "expressivity": _run("theory.expressivity"),
  "rademacher": _run("theory.rademacher"),
  "export": write.write,
  "verify": verify.verify,
  "load": lambda config, folder: task.load(config),
}
_KINDS = ("true_labels", "levels", "kernel", "expressivity", "rademacher")


@pytest.mark.parametrize("entry", _ENTRIES)
@pytest.mark.parametrize("variant", _KINDS)
def test_every_entry_refuses_a_config_of_another_experiment(
  entry, variant, tmp_path
):
  config = _config(variant)
  name = config.experiment
  own = {entry} if entry in experiments.EXPERIMENTS else {"train"}
  if name in own:
    pytest.skip("its own")
  folder = tmp_path / "folder"
  _refused(lambda: _ENTRIES[entry](config, folder), f"here, got {name}; try")
  assert not folder.exists()


@pytest.mark.parametrize("entry", [*_ENTRIES, "any"])
def test_every_entry_says_what_a_config_is(entry, tmp_path):
  act = {**_ENTRIES, "any": rethinking.run}[entry]
  _refused(
    lambda: act({"experiment": "train"}, tmp_path / "folder"),
    "config must be a ConfigDict, got a dict; try rethinking.config.default()",
  )


@pytest.mark.parametrize(
  "fields",
  [{"only": "mlp"}, {"runs_at_once": 2}, {"grids": {"g": {"seed": (0,)}}}],
)
def test_a_run_refuses_what_only_a_sweep_looks_at(fields):
  _refused(
    lambda: config_lib.resolve(_config("true_labels", **fields)),
    f"{next(iter(fields))} must be left out of a single run, got",
  )


def test_a_run_made_a_sweep_has_no_grids():
  config = _config("true_labels", experiment="sweep")
  _refused(lambda: grid.expand(config), "grids must have a grid, got none")

"""What was asked is what happens, or it is refused in one line."""

import importlib.util
import os
import pathlib
import pkgutil
import runpy
import subprocess
import sys

import numpy as np
import pytest
from refusals import refused

import rethinking
from rethinking import config as config_lib
from rethinking import corruptions
from rethinking.config import experiments
from rethinking.exports import verify, write
from rethinking.runtime.errors import UserError
from rethinking.storage import files
from rethinking.sweeps import grid
from rethinking.theory import config as theory_config
from rethinking.training import task

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_SWEEPS = runpy.run_path(str(_ROOT / "configs" / "digits.py"))["_SWEEPS"]


def _config(variant, **fields):
  """The digits' config of a variant, with fields set afterwards."""
  path = _ROOT / "configs" / "digits.py"
  spec = importlib.util.spec_from_file_location("digits", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config(variant)
  with config.unlocked():
    for name, value in fields.items():
      config[name] = value
  return config


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

  refused(act, f"; did you mean {hint!r}?")


def test_a_grids_axis_has_its_nearest_name_and_is_no_field_of_the_sweep():
  def expand(axes):
    return lambda: grid.expand(_config("levels", grids={"g": axes}))

  refused(expand({"sed": (0,)}), "got 'sed'; did you mean 'seed'?")
  refused(expand({"only": (0,)}), "axis of a grid must be one of", "got 'only'")


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
# Of the variants that are not called after theirs.
_EXPERIMENTS = {"true_labels": "train", "levels": "sweep"}
_KINDS = ("true_labels", "levels", "kernel", "expressivity", "rademacher")


@pytest.mark.parametrize(
  ("entry", "variant"),
  [
    (entry, variant)
    for entry in _ENTRIES
    for variant in _KINDS
    if _EXPERIMENTS.get(variant, variant)
    != (entry if entry in experiments.EXPERIMENTS else "train")
  ],
)
def test_every_entry_refuses_a_config_of_another_experiment(
  entry, variant, tmp_path
):
  config = _config(variant)
  name = config.experiment
  folder = tmp_path / "folder"
  refused(lambda: _ENTRIES[entry](config, folder), f"here, got {name}; try")
  assert not folder.exists()


@pytest.mark.parametrize("entry", [*_ENTRIES, "any"])
def test_every_entry_says_what_a_config_is(entry, tmp_path):
  act = {**_ENTRIES, "any": rethinking.run}[entry]
  refused(
    lambda: act({"experiment": "train"}, tmp_path / "folder"),
    "config must be a ConfigDict, got a dict; try rethinking.config.default()",
  )


@pytest.mark.parametrize(
  "fields",
  [{"only": "mlp"}, {"runs_at_once": 2}, {"grids": {"g": {"seed": (0,)}}}],
)
def test_a_run_refuses_what_only_a_sweep_looks_at(fields):
  refused(
    lambda: config_lib.resolve(_config("true_labels", **fields)),
    f"{next(iter(fields))} must be left out of a single run, got",
  )


def test_a_run_made_a_sweep_has_no_grids():
  config = _config("true_labels", experiment="sweep")
  refused(lambda: grid.expand(config), "grids must have a grid, got none")


@pytest.mark.parametrize(
  ("axis", "value", "kind"),
  [
    ("epochs", 1.5, "float"),
    ("learning_rate", "1e-3", "str"),
    ("batch_size", 64.0, "float"),
    ("batch_size", None, "NoneType"),
    ("seed", True, "bool"),
    ("p", False, "bool"),
    ("p", None, "NoneType"),
    ("stop_at_fit", 1, "int"),
    ("exact", None, "NoneType"),
    ("arch", None, "NoneType"),
    ("arch", ("mlp_1x512",), "tuple"),
    ("label_options", {"map": "mnist"}, "dict"),
    ("subset", "all", "str"),
    ("crop", 8.0, "float"),
    ("variant", 3, "int"),
  ],
)
def test_a_grids_values_have_the_types_of_their_fields(axis, value, kind):
  grids = {"g": {"variant": ("partial_labels",), axis: (value,)}}
  refused(
    lambda: grid.expand(_config("levels", grids=grids)),
    f"grids.g.{axis} must be a value of type ",
    f"got {value!r} of type {kind}; try",
  )


def test_what_a_grids_field_may_be_it_stays():
  grids = {"g": {"p": (0,), "subset": (None, 300), "learning_rate": (1, None)}}
  assert len(grid.expand(_config("levels", grids=grids))) == 4


@pytest.mark.parametrize("values", [(), [], "mlp_1x512", None, 3, {"a": 1}])
def test_an_axis_without_values_is_named(values):
  with pytest.raises(UserError, match="must be one or more values") as caught:
    grid.expand(_config("levels", grids={"g": {"arch": values}}))
  assert "grids.g.arch" in str(caught.value)


@pytest.mark.parametrize(
  ("variant", "field"),
  [
    *(("true_labels", name) for name in ("epochs", "p", "arch", "plots")),
    *(("kernel", name) for name in ("tile", "ridges", "kernel", "exact")),
  ],
)
def test_a_field_without_a_value_is_named(variant, field):
  config = _config(variant)
  with config.unlocked(), config.ignore_type():
    config[field] = None
  lib = theory_config if variant == "kernel" else config_lib
  refused(lambda: lib.resolve(config), f"{field} must be a value of type")


@pytest.mark.parametrize(
  ("variant", "fields"),
  [
    ("random_labels,p=0.4", {}),
    ("random_labels", {"p": 0.0}),
    ("random_pixels,pixel_noise=gaussian_pixels", {}),
    ("shuffled_pixels", {"pixel_noise": None}),
  ],
)
def test_a_variants_own_meaning_stays(variant, fields):
  name = variant.partition(",")[0]
  refused(
    lambda: config_lib.resolve(_config(variant, **fields)),
    f" in {name}, got ",
    "; try another variant",
  )


@pytest.mark.parametrize(
  ("text", "flag"),
  [
    ("levels,seed=5", "grids.levels.seed"),
    ("levels,p=1", "grids.levels.p"),
    ("levels,stop_at_fit=false", "grids.levels.stop_at_fit"),
    ("levels,label_noise=symmetric", "grids.levels.variant"),
    (
      "figure1,arch=mlp_1x512",
      "grids.conditions.arch, --config.grids.levels.a",
    ),
    ("memorization,p=0.5", "grids.ensemble.p"),
    ("portions,seed=5", "grids.clean.seed"),
  ],
)
def test_an_override_that_every_grid_hides_isrefused(text, flag):
  field = text.partition(",")[2].partition("=")[0]
  refused(
    lambda: _config(text),
    f"{field} must be left to the grids, which set it, got ",
    f"--config.{flag}",
  )


def test_an_override_that_some_grids_hide_says_which():
  words = "l2=0.01 is ignored by the grids mlp, which set it; try "
  with pytest.warns(UserWarning, match=words):
    config = _config("keras_study,l2=0.01")
  assert {c.l2 for c in grid.expand(config).values()} == {0.0, 0.01}


@pytest.mark.parametrize("variant", [*_SWEEPS])
def test_what_a_config_file_sets_beside_its_grids_is_no_override(variant):
  config = _config(f"{variant},epochs=2,weight_decay=1e-4,only=e")
  assert grid.expand(config)


def test_a_member_of_a_sweep_is_chosen_by_only():
  config = _config("memorization,member=3")
  refused(lambda: grid.expand(config), "member must be left", "only=member3")


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (["levels", "--config.p=1"], "p must be left to the grids"),
    (["levels", "--config.grids.levels.p=()"], "grids.levels.p must be one or"),
    (["random_labels", "--config.p=0.4"], "p must be 1.0 in random_labels"),
    (["levels", "--config.grids.a.seed=(0,)"], "part of grids must be one of"),
    (["levels", "--config.grids.levels.sede=(0,)"], "part of levels must be"),
  ],
)
def test_an_override_by_a_flag_is_one_line(flags, message, tmp_path):
  found = _command(flags, tmp_path)
  assert found.returncode == 2 and not (tmp_path / "w").exists()
  (line,) = found.stderr.splitlines()
  assert line.startswith(f"error: {message}")


def _command(flags, folder, module="main", to="--workdir=w", **environment):
  """A whole command, in a folder of its own."""
  config = f"--config={_ROOT}/configs/digits.py:{flags[0]}"
  place = {"PYTHONPATH": str(_ROOT), "JAX_PLATFORMS": "cpu", **environment}
  return subprocess.run(
    [sys.executable, "-m", f"rethinking.{module}", config, *flags[1:], to],
    cwd=folder,
    env=os.environ | place,
    capture_output=True,
    text=True,
  )


@pytest.mark.parametrize("platform", ["cuda", "cudda"])
@pytest.mark.parametrize(
  ("module", "to", "variant"),
  [
    ("main", "--workdir=w", "true_labels"),
    ("main", "--workdir=w", "kernel,subset=50"),
    ("export", "--out=w", "random_labels"),
  ],
)
def test_a_platform_that_is_not_there_is_one_line(
  module, to, variant, platform, tmp_path
):
  if platform == "cuda" and os.path.exists("/dev/nvidiactl"):
    pytest.skip("it is there")
  found = _command([variant], tmp_path, module, to, JAX_PLATFORMS=platform)
  assert found.returncode == 2
  line = found.stderr.splitlines()[-1]
  assert "Traceback" not in found.stderr
  assert line.startswith("error: JAX_PLATFORMS must name a platform of this")
  assert f"got {platform!r}" in line and "try JAX_PLATFORMS=cpu" in line


def test_a_home_folder_is_expanded_and_an_empty_onerefused(
  tmp_path, monkeypatch
):
  monkeypatch.setenv("HOME", str(tmp_path))
  monkeypatch.chdir(tmp_path)
  assert str(files.workdir("~/w")) == f"{tmp_path}/w"
  config = _config("true_labels", subset=200)
  write.write(config, "~/o")
  assert (tmp_path / "o" / "SHA256SUMS").exists()
  assert not pathlib.Path("~").exists()
  assert verify.verify(config, "~/o") == []
  np.savez(tmp_path / "x.npz", a=np.arange(10))
  noise = corruptions.Corruption.create("human", path="~/x.npz", array="a")
  labels = np.arange(10)
  done = corruptions.apply([noise], seed=0, labels=labels, ids=labels)
  assert done.report["flip_rate"] == 0
  for act in (write.write, verify.verify):
    refused(lambda act=act: act(config, ""), "must be a folder, got ''; try")
  refused(lambda: files.workdir(""), "workdir must be a folder, got ''; try")


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (
      ["levels", "--config.subset=None", "--config.only=None"],
      "epochs must be at least 1, got -1",
    ),
    (
      ["true_labels", "--config.data_dir=None"],
      "epochs must be at least 1, got -1",
    ),
    (["true_labels", "--config.p=None"], "p must be a value of type float"),
  ],
)
def test_none_by_a_flag_is_none(flags, message, tmp_path):
  found = _command([*flags, "--config.epochs=-1"], tmp_path)
  assert found.returncode == 2
  assert found.stderr.startswith(f"error: {message}"), found.stderr

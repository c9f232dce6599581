"""Options say what they mean, go where they count, or are refused."""

import os
import pathlib
import re
import runpy
import subprocess
import sys

import pytest
from refusals import refused

from rethinking import config as config_lib
from rethinking.runtime.errors import UserError
from rethinking.sweeps import grid
from rethinking.theory import config as theory_config
from rethinking.training import metrics

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_get_config = runpy.run_path(str(_ROOT / "configs" / "digits.py"))["get_config"]


def _resolved(variant, lib=config_lib, **fields):
  config = _get_config(variant)
  with config.unlocked(), config.ignore_type():
    config.update(fields)
  return lib.resolve(config)


def test_a_corruption_without_options_says_so():
  fields = {"label_noise": "permutation", "label_options": "exact=True"}
  with pytest.raises(UserError, match="must be none, got 'exact'; try without"):
    _resolved("true_labels", **fields)


@pytest.mark.parametrize(
  ("options", "expected"),
  [
    ("path=a b.npz array=x", ("a b.npz", "x")),
    ("path='a b.npz'   array=x", ("a b.npz", "x")),
    ('array=x path="my dir/b=1 c=2.npz" ', ("my dir/b=1 c=2.npz", "x")),
    (
      "array=worse label path=/tmp/a=b/c.npz",
      ("/tmp/a=b/c.npz", "worse label"),
    ),
  ],
)
def test_options_may_have_spaces(options, expected):
  config = _resolved("true_labels", label_noise="human", label_options=options)
  (noise,) = config_lib.corruptions(config)
  assert (noise.option("path"), noise.option("array")) == expected


def test_a_map_may_have_spaces():
  fields = {"label_noise": "asymmetric", "label_options": "map={1: 7, 7: 1}"}
  (noise,) = config_lib.corruptions(_resolved("partial_labels", **fields))
  assert noise.option("map") == ((1, 7), (7, 1))


@pytest.mark.parametrize(
  ("field", "options", "words"),
  [
    ("label", "map={[]:1}", ("got '{[]:1}'",)),
    ("label", "map={{}:1}", ("got '{{}:1}'",)),
    ("label", "name=x", ("one of ['exact', 'map'], got 'name'",)),
    ("label", "cls=x", ("'cls'",)),
    ("label", "self=x", ("'self'",)),
    ("label", "level=0.2", ("'level'",)),
    ("label", "mpa=cifar10", ("'mpa'; did you mean 'map'?",)),
    ("label", "map=cifar10 map=mnist", ("must have map once",)),
    ("label", "cifar10", ("must be name=value, separated by spaces", "; try")),
    ("label", "=cifar10", ("must be name=value", "; try")),
    ("pixel", "name=x", ("'name'",)),
    ("pixel", "target=x", ("'target'",)),
  ],
)
def test_options_that_make_no_sense_are_one_line(field, options, words):
  more = {"label_noise": "asymmetric"} if field == "label" else {}
  variant = "partial_labels" if field == "label" else "random_pixels"
  more[f"{field}_options"] = options
  refused(lambda: _resolved(variant, **more), *words)


def test_an_option_and_its_field_are_not_both_given():
  more = {"label_noise": "symmetric", "label_options": "exact=False"}
  refused(
    lambda: _resolved("partial_labels", exact=True, **more),
    "must be given once, got True and label_options=exact=False; try",
  )


def test_a_matrix_on_the_command_line_has_a_form_that_works():
  text = (
    "true_labels,label_noise=transition,label_options=matrix=((0.9,0.1),(0,1))"
  )
  refused(
    lambda: _get_config(text),
    "label_options must be given by a flag where its value has commas",
    "; try --config.label_options='...'.",
  )
  rows = tuple((0.0,) * i + (1.0,) + (0.0,) * (9 - i) for i in range(10))
  config = _resolved(
    "true_labels", label_noise="transition", label_options=f"matrix={rows}"
  )
  (noise,) = config_lib.corruptions(config)
  assert noise.option("matrix") == rows


@pytest.mark.parametrize(
  ("name", "lib"),
  [
    ("true_labels", config_lib),
    ("levels", config_lib),
    *(
      (name, theory_config) for name in ("kernel", "expressivity", "rademacher")
    ),
  ],
)
@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_is_refused_by_the_name_that_was_given(name, lib, seed):
  if name == "levels":
    name = "true_labels,init_seed=3"
  refused(
    lambda: _resolved(name, lib, seed=seed),
    f"seed must be in [0, 2**32), got {seed}",
  )
  with pytest.raises(UserError, match="^seed "):
    _resolved(name, lib, seed=seed)


@pytest.mark.parametrize("noise", ["occlusion", "gaussian_noise"])
def test_pixel_noise_without_a_level_says_how_to_give_one(noise):
  refused(
    lambda: _resolved("true_labels", pixel_noise=noise),
    f"level must be in [0, 1] for {noise}, got none; try ",
  )
  refused(
    lambda: _resolved("true_labels", pixel_noise=noise, p=0.3), "level=0.5"
  )
  for given in ({"level": 0.3}, {"pixel_options": "level=0.3"}):
    config = _resolved("true_labels", pixel_noise=noise, **given)
    assert config_lib.corruptions(config)[0].level == 0.3


def test_a_theory_field_without_a_value_is_named():
  refused(
    lambda: _resolved("expressivity,learning_rate=none", theory_config),
    "learning_rate must be a value of type float, got None",
  )


def test_clocks_are_marked_and_not_guessed_by_name():
  row = {"second_best_accuracy": 0.5, "seconds": 3.0, "images_per_second": 9.0}
  assert metrics.without_clock(row) == {"second_best_accuracy": 0.5}
  for path in (_ROOT / "rethinking").rglob("*.py"):
    assert not re.search(r"[\"']second[\"'] (not )?in", path.read_text()), path


@pytest.mark.parametrize("to", ["workdir", "out"])
def test_a_folder_beyond_ascii_in_another_locale_is_one_line(to, tmp_path):
  module = {"workdir": "main", "out": "export"}[to]
  ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
  found = subprocess.run(
    [sys.executable, "-m", f"rethinking.{module}", f"--{to}=w\u00e4"]
    + [f"--config={_ROOT}/configs/digits.py:true_labels,epochs=1"],
    cwd=tmp_path,
    env=os.environ | ascii_only | {"PYTHONPATH": str(_ROOT)},
    capture_output=True,
    text=True,
  )
  assert found.returncode == 2
  (line,) = found.stderr.splitlines()
  assert line.startswith("error: A folder must be named in ASCII where the loc")
  assert "; try PYTHONUTF8=1" in line
  assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
  ("folder", "config", "words"),
  [
    (".", "a\n", "--config must be a config file, got 'a\\n', which is not"),
    (".", 256 * "a", "--config must be a config file, got 'aaa"),
    ("\udcff", "a", "The current folder must have a name in UTF-8, got "),
  ],
)
def test_names_that_are_none_are_one_line(tmp_path, folder, config, words):
  (tmp_path / folder).mkdir(exist_ok=True)
  found = subprocess.run(
    [sys.executable, "-m", "rethinking.main", f"--config={config}"],
    cwd=tmp_path / folder,
    env=os.environ | {"PYTHONPATH": str(_ROOT)},
    capture_output=True,
    text=True,
  )
  (line,) = found.stderr.splitlines()
  assert found.returncode == 2 and line.startswith(f"error: {words}"), line


@pytest.mark.parametrize("lib", [config_lib, theory_config])
@pytest.mark.parametrize(
  ("name", "value"),
  [
    ("label_options", "map=cifar10"),
    ("exact", True),
    ("pixel_options", "per_image=True"),
  ],
)
def test_options_of_no_corruption_are_refused(name, value, lib):
  variant = "true_labels" if lib is config_lib else "kernel"
  noise = "pixel_noise" if name == "pixel_options" else "label_noise"
  refused(
    lambda: _resolved(variant, lib, **{name: value}),
    f"{name} must be left out where {noise} is None, got {value!r}; try ",
  )


def test_a_sweeps_options_go_to_the_cells_with_their_corruption():
  cells = grid.expand(_get_config("figure1,exact=true"))
  exact = {cell.label_noise: cell.exact for cell in cells.values()}
  assert exact == {None: False, "uniform": True}

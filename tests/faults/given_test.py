"""What is given keeps its meaning, or one line says how to give it."""

import os
import pathlib
import re
import runpy
import subprocess
import sys
import warnings

import numpy as np
import pytest

from rethinking import config as config_lib
from rethinking import corruptions, memorization
from rethinking.runtime.errors import UserError
from rethinking.sweeps import grid
from rethinking.theory import config as theory_config
from rethinking.training import metrics

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_get_config = runpy.run_path(str(_ROOT / "configs" / "digits.py"))["get_config"]
_SET = {"labels": np.arange(10), "ids": np.arange(10), "num_classes": 10}
_IMAGES = (np.arange(10 * 5 * 5 * 3) * 7 % 256).reshape(10, 5, 5, 3)


def _resolved(variant, lib=config_lib, **fields):
  config = _get_config(variant)
  with config.unlocked(), config.ignore_type():
    config.update(fields)
  return lib.resolve(config)


def _refused(act, *words):
  """Whether an act is refused in one line that has all the words."""
  with pytest.raises(ValueError) as caught:
    act()
  line = str(caught.value)
  assert "\n" not in line
  for word in words:
    assert word in line, line


def _apply(name="uniform", level=0.5, options=None, **given):
  noise = corruptions.Corruption.create(name, level, **(options or {}))
  return corruptions.apply([noise], seed=0, **{**_SET, **given})


def _masked(values, at=0):
  mask = np.zeros(np.shape(values), bool)
  mask.flat[at] = True
  return np.ma.array(values, mask=mask)


@pytest.mark.parametrize(
  ("given", "name"),
  [
    ({"labels": _masked(np.arange(10))}, "Labels"),
    ({"ids": _masked(np.arange(10))}, "Ids"),
    ({"images": _masked(_IMAGES.astype(np.uint8))}, "Images"),
  ],
)
def test_masked_values_are_refused(given, name):
  _refused(
    lambda: _apply(**given), f"{name} must have no masked values, got 1;"
  )
  # A mask that hides nothing loses nothing.
  (key, value), *_ = given.items()
  whole = np.ma.array(value.data, mask=False)
  done = _apply(**{key: whole})
  assert (done.labels == _apply(**{key: value.data}).labels).all()


def test_masked_matrices_images_and_masks_are_refused():
  def matrix():
    corruptions.Corruption.create("transition", matrix=_masked(np.eye(3)))

  def image():
    corruptions.shuffle_pixels(
      _masked(_IMAGES[0].astype(np.uint8)), np.arange(25)
    )

  for act in (matrix, image):
    _refused(act, "must have no masked values, got 1; try filled(")
  inside = np.ones((4, 10), bool)
  _refused(
    lambda: memorization.pack(_masked(inside)),
    "must have no masked values, got 1; try filled(",
  )


@pytest.mark.parametrize("kind", [set, frozenset, dict.fromkeys])
@pytest.mark.parametrize("name", ["labels", "ids", "images"])
def test_what_has_no_order_is_refused(name, kind):
  given = {name: kind(range(10))}
  _refused(lambda: _apply(**given), " must be an array, got a ", "no order")


def test_labels_that_count_from_1_are_refused_with_what_to_do():
  _refused(lambda: _apply(labels=np.arange(1, 11)), "10", "try labels - 1")
  with pytest.raises(ValueError) as caught:
    _apply(labels=np.arange(10) + 5)
  assert "labels - 1" not in str(caught.value)


@pytest.fixture
def folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  true = np.arange(300) % 10
  noisy = np.where(np.arange(300) % 5 < 2, (true + 3) % 10, true)
  np.savez(
    "human.npz",
    noisy=noisy,
    shuffled=np.random.Generator(np.random.Philox(0)).permutation(noisy),
    from_1=np.minimum(true + 1, 9),
    from_1_all=true + 1,
    few=noisy[:3],
  )
  np.savez("known.npz", clean_label=true, from_1=(true + 1) % 10)
  return tmp_path


def _human(path="human.npz", array="noisy", count=300):
  about = {"labels": np.arange(count) % 10, "ids": np.arange(count)}
  return _apply("human", None, {"path": path, "array": array}, **about)


@pytest.mark.parametrize("array", ["shuffled", "from_1"])
def test_human_labels_at_chance_are_warned_of(array, folder):
  with pytest.warns(
    UserWarning, match="count from 0, got some that agree with"
  ):
    done = _human(array=array)
  assert done.report["flip_rate"] > 0.8
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    # These say which labels they were given to, so they are in order.
    _human("known.npz", "from_1")


def test_human_labels_better_than_chance_are_not(folder):
  assert _human().report["flip_rate"] == pytest.approx(0.4, abs=0.01)
  # Three labels say nothing about their order.
  assert _human(array="few", count=3).labels.tolist() == [3, 4, 2]


def test_human_labels_that_count_from_1_are_refused(folder):
  _refused(lambda: _human(array="from_1_all"), "try labels - 1")


@pytest.mark.parametrize(
  ("name", "data", "kind"),
  [
    ("a.npy", None, "an .npy file"),
    ("a.csv", b"id,label\n0,1\n", "text"),
    ("a.txt", b"7\n" * 500, "text"),
    ("a.npz", b"", "which is empty"),
    ("a.pt", b"\x80\x02}q\x00.", "a pickle, or an old PyTorch file"),
    ("b.pt", b"PK\x03\x04" + bytes(26) + b"b/data.pkl", "a PyTorch file"),
  ],
)
def test_human_files_of_other_kinds_are_named(name, data, kind, folder):
  if data is None:
    np.save(name, np.arange(10))
  else:
    pathlib.Path(name).write_bytes(data)
  _refused(
    lambda: _human(name),
    "path must be an .npz file, got ",
    name,
    kind,
    "; try ",
  )


def test_a_path_may_be_a_path(folder):
  assert (_human(folder / "human.npz").labels == _human().labels).all()
  _refused(lambda: _human(3), "path is 3")


def test_rows_that_were_rounded_are_taken():
  thirds = np.full((3, 3), 0.333333)
  noise = corruptions.Corruption.create("transition", matrix=thirds)
  assert np.allclose(noise.option("matrix"), thirds)
  about = {"labels": np.arange(9) % 3, "ids": np.arange(9), "num_classes": 3}
  exact = corruptions.Corruption.create(
    "transition", matrix=np.full((3, 3), 1 / 3)
  )
  done = [corruptions.apply([n], seed=0, **about) for n in (noise, exact)]
  assert (done[0].labels == done[1].labels).all()
  rate = done[0].report["corruptions"][0]["nominal_rate"]
  assert rate == pytest.approx(2 / 3)


@pytest.mark.parametrize("value", [0.333, 0.34])
def test_rows_of_another_sum_are_refused_with_what_to_do(value):
  _refused(
    lambda: corruptions.Corruption.create(
      "transition", matrix=np.full((3, 3), value)
    ),
    f"must sum to 1, got {3 * value:.6g}; try matrix / matrix.sum(axis=1, keep",
  )


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
    ("label", "map={[]:1}", ("map '{[]:1}'",)),
    ("label", "map={{}:1}", ("map '{{}:1}'",)),
    ("label", "name=x", ("'name'", "choose one of ['exact', 'map']")),
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
  _refused(lambda: _resolved(variant, **more), *words)


def test_an_option_and_its_field_are_not_both_given():
  more = {"label_noise": "symmetric", "label_options": "exact=False"}
  _refused(
    lambda: _resolved("partial_labels", exact=True, **more),
    "exact is True, but label_options says exact=False; give one of them.",
  )


def test_a_matrix_on_the_command_line_has_a_form_that_works():
  text = (
    "true_labels,label_noise=transition,label_options=matrix=((0.9,0.1),(0,1))"
  )
  _refused(
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
  _refused(
    lambda: _resolved(name, lib, seed=seed),
    f"seed must be in [0, 2**32), got {seed}",
  )
  with pytest.raises(UserError, match="^seed "):
    _resolved(name, lib, seed=seed)


@pytest.mark.parametrize("noise", ["occlusion", "gaussian_noise"])
def test_pixel_noise_without_a_level_says_how_to_give_one(noise):
  _refused(
    lambda: _resolved("true_labels", pixel_noise=noise),
    f"level must be in [0, 1] for {noise}, got none; try ",
  )
  _refused(
    lambda: _resolved("true_labels", pixel_noise=noise, p=0.3), "level=0.5"
  )
  for given in ({"level": 0.3}, {"pixel_options": "level=0.3"}):
    config = _resolved("true_labels", pixel_noise=noise, **given)
    assert config_lib.corruptions(config)[0].level == 0.3


def test_a_theory_field_without_a_value_is_named():
  _refused(
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
  _refused(
    lambda: _resolved(variant, lib, **{name: value}),
    f"{name} must be left out where {noise} is None, got {value!r}; try ",
  )


def test_a_sweeps_options_go_to_the_cells_with_their_corruption():
  cells = grid.expand(_get_config("figure1,exact=true"))
  exact = {cell.label_noise: cell.exact for cell in cells.values()}
  assert exact == {None: False, "uniform": True}

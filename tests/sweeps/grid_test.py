"""The cells of a grid of configs."""

import importlib.util
import itertools
import pathlib

import pytest
import small

from rethinking import config as config_lib
from rethinking.config import figures
from rethinking.report import published, rows, settings
from rethinking.runtime.errors import UserError
from rethinking.sweeps import grid as cells_lib


def _config(grids, **fields):
  return small.config(grids, **{"subset": None, **fields})


_LEVELS = {
  "levels": {"variant": ("partial_labels",), "p": (0.0, 0.5), "seed": (0, 1)}
}


def test_figure_1_of_the_digits_has_45_cells():
  c = _config(**figures.figure1("digits_cnn", ("digits_cnn", "mlp_1x512")))
  cells = cells_lib.expand(c)
  # 5 conditions and 2 x 6 levels at 3 seeds, less the 6 that both have.
  assert len(cells) == 45
  for name, cell in cells.items():
    assert cell.experiment == "train" and "grids" not in name
    assert cell.corruption_seed == cell.init_seed == cell.seed


_SWEEPS = {
  ("cifar", "table1"): 83,
  ("cifar", "table4"): 24,
  ("cifar", "figure2b"): 6,
  ("cifar", "keras_study"): 180,
  ("mnist", "keras_study"): 120,
  ("digits", "keras_study"): 80,
  ("cifar", "portions"): 144,
  ("mnist", "portions"): 96,
  ("digits", "portions"): 96,
  ("mnist", "redraw"): 33,
  ("digits", "redraw"): 66,
}
_PUBLISHED = {
  ("cifar", "table1"),
  ("cifar", "table4"),
  ("cifar", "keras_study"),
  ("mnist", "keras_study"),
}


def _cells(name, text):
  path = pathlib.Path(__file__).parents[2] / "configs" / f"{name}.py"
  spec = importlib.util.spec_from_file_location(name, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config(text)
  # The workdir keeps it as JSON.
  assert set(config_lib.plain(config)["grids"]) == set(config.grids)
  return cells_lib.expand(config)


@pytest.mark.parametrize(("name", "variant"), _SWEEPS)
def test_every_published_number_has_its_cell(name, variant):
  cells = _cells(name, variant)
  # No run is made twice under two names, which would count as two seeds.
  assert len(cells) == len({c.to_json() for c in cells.values()})
  assert len(cells) == _SWEEPS[name, variant]
  configs = [config_lib.plain(cell) for cell in cells.values()]
  groups = [
    rows.Group(variant, settings.settings(c), ({"config": c},)) for c in configs
  ]
  wanted = [
    entry
    for entry in published.load()["rows"]
    if entry["figure"] == variant
    and entry["match"]["dataset"] == configs[0]["dataset"]
  ]
  for entry in wanted:
    mine = [g for g in groups if published.matches(entry["match"], g)]
    assert mine, entry["match"]
    for group in mine:
      for field, value in entry["expected"].items():
        assert group.settings[field] == value, (entry["match"], field)
  assert bool(wanted) == ((name, variant) in _PUBLISHED)


def test_mlps_on_shuffled_pixels_have_five_seeds():
  seeds = {}
  for cell in _cells("cifar", "table1,only=mlp").values():
    key = (cell.arch, cell.variant, cell.l2)
    seeds.setdefault(key, []).append(cell.seed)
  for arch in ("mlp_1x512", "mlp_3x512"):
    for variant in ("true_labels", "shuffled_pixels"):
      assert sorted(seeds[arch, variant, 0.0]) == [0, 1, 2, 3, 4]


def test_portions_share_the_runs_that_corrupt_no_image():
  archs, seeds = ("digits_cnn", "mlp_1x512"), (0, 1, 2)
  pixels = ("shuffled_pixels", "random_pixels", "gaussian_pixels")
  found = {
    (c.arch, c.seed, c.pixel_noise, c.fraction)
    for c in _cells("digits", "portions").values()
  }
  one = {(None, 1.0), *itertools.product(pixels, (0.2, 0.4, 0.6, 0.8, 1.0))}
  assert found == {
    (a, s, *which) for a in archs for s in seeds for which in one
  }


def test_each_level_is_drawn_once_and_in_each_epoch():
  found = {
    (c.seed, c.p, c.redraw, c.stop_at_fit, c.recipe)
    for c in _cells("mnist", "redraw").values()
  }
  levels = itertools.product((0.2, 0.4, 0.6, 0.8, 1.0), ("never", "epoch"))
  which = [(0.0, "never"), *levels]
  assert found == {
    (seed, *one, False, "adam_cosine") for seed in (0, 1, 2) for one in which
  }


def test_only_takes_the_cells_of_that_name():
  whole, part = (
    cells_lib.expand(_config(_LEVELS, only=only)) for only in (None, "p0.5")
  )
  assert part == {n: c for n, c in whole.items() if "p0.5" in n}
  assert len(part) == 2
  with pytest.raises(
    UserError, match="only must be part of a cell's name, got 'foo'"
  ):
    cells_lib.expand(_config(_LEVELS, only="foo"))


def test_the_ends_of_the_levels_are_conditions():
  cells = cells_lib.expand(_config(_LEVELS))
  assert {(c.variant, c.p, c.seed) for c in cells.values()} == {
    ("true_labels", 0.0, 0),
    ("true_labels", 0.0, 1),
    ("partial_labels", 0.5, 0),
    ("partial_labels", 0.5, 1),
  }


def test_levels_of_any_label_noise_are_cells_of_their_own():
  grid = {"g": {"label_noise": ("symmetric",), "p": (0.0, 0.2, 0.4)}}
  assert len(cells_lib.expand(_config(grid))) == 3
  grid = {"g": {"variant": ("random_labels",), "p": (0.2, 1.0)}}
  with pytest.raises(UserError, match="p must be 1.0 in random_labels, got"):
    cells_lib.expand(_config(grid))


def test_seeds_are_separate_axes():
  grid = {"g": {"init_seed": (1, 2), "order_seed": (3,)}}
  for cell in cells_lib.expand(_config(grid)).values():
    assert (cell.seed, cell.order_seed, cell.noise_seed) == (0, 3, 0)
    assert cell.init_seed in (1, 2)


_NOISE = {
  "clean": {"variant": ("partial_labels",), "p": (0.0,)},
  "noisy": {"variant": ("partial_labels",), "p": (0.2,), "epochs": (9,)},
  "pixels": {"variant": ("random_pixels",)},
}


@pytest.mark.parametrize(
  ("levels", "want"),
  [
    (None, {(0, 3), (0.2, 9)}),
    ((0.0,), {(0, 3)}),
    ((0.1, 0.0, 0.4), {(0.1, 9), (0, 3), (0.4, 9)}),
    ((1.0,), {(1, 9)}),
  ],
)
def test_levels_go_to_the_grids_that_have_some_of_their_kind(levels, want):
  cells = cells_lib.expand(small.config(_NOISE, levels=levels))
  found = {(c.p, c.epochs) for c in cells.values() if not c.pixel_noise}
  assert found == want
  assert "mlp_1x512-random_pixels" in cells


@pytest.mark.parametrize(
  ("levels", "message"),
  [
    ((0.2, 1.5), "levels must be one or more rates"),
    ((), "levels must be one or more rates"),
    (tuple("0.2"), "levels must be one or more rates"),
    ((0.5,), "grid's kind"),
  ],
)
def test_levels_that_no_grid_has_are_refused(levels, message):
  grids = {"clean": _NOISE["clean"]}
  with pytest.raises(UserError, match=message) as error:
    cells_lib.expand(small.config(grids, levels=levels))
  assert "\n" not in str(error.value)


def test_a_grid_may_have_subsets_of_its_own():
  ensemble = {"ratio": 0.5, "members": 2, "permutations": 3}
  grids = {**_NOISE, "noisy": {**_NOISE["noisy"], "permutations": (2,)}}
  del grids["pixels"]
  found = {}
  for cell in cells_lib.expand(small.config(grids, **ensemble)).values():
    found.setdefault(cell.p, []).append((cell.permutations, cell.member))
  assert found == {
    0.0: [(3, i) for i in range(6)],
    0.2: [(2, i) for i in range(4)],
  }


@pytest.mark.parametrize("field", [{"influence": True}, {"reference": "a.npy"}])
def test_influence_wants_runs_on_subsets(field):
  with pytest.raises(UserError, match="left out of a sweep without runs on"):
    cells_lib.expand(small.config(_NOISE, **field))

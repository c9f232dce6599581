"""Runs that train together are the runs that train alone."""

import jax
import numpy as np
import pytest
import small

from rethinking.runtime.errors import Stopped
from rethinking.sweeps import grid as cells_lib
from rethinking.sweeps import groups as grouping
from rethinking.sweeps import run as sweep
from rethinking.training import loop, optim, slots


def _config(grids=None, **fields):
  return small.config(grids or _LEVELS, **fields)


_LEVELS = {
  "levels": {
    "variant": ("partial_labels",),
    "p": (0.0, 0.5, 1.0),
    "seed": (0, 1),
  }
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
  """The rows of the sweep, one run after another."""
  workdir = tmp_path_factory.mktemp("alone")
  sweep.run(_config(runs_at_once=1), workdir, quiet=True)
  return small.rows(workdir)


def _assert_same(rows, alone):
  """Equal up to what rounding in another order may change."""
  assert rows.keys() == alone.keys()
  for name, row in rows.items():
    want = alone[name]
    assert row.keys() == want.keys()
    for key in ("config", "flip_rate", "data_fingerprint", "steps", "epoch"):
      assert row[key] == want[key], key
    for key, curve in row["curve"].items():
      if None in curve:
        assert curve == want["curve"][key]
        continue
      # An example at the border may fall on its other side.
      atol = 0.011 if "accuracy" in key or "predicted" in key else 1e-4
      np.testing.assert_allclose(
        curve, want["curve"][key], rtol=1e-4, atol=atol, err_msg=f"{name} {key}"
      )


# Four devices: with 6 runs each device has its own, with 3 each device has a
# part of every run's batch.
@pytest.mark.parametrize(
  "at_once", [pytest.param(6, marks=pytest.mark.slow), 3]
)
def test_together_is_as_alone(alone, tmp_path, at_once):
  sweep.run(_config(runs_at_once=at_once), tmp_path, quiet=True)
  _assert_same(small.rows(tmp_path), alone)


@pytest.mark.parametrize("at_once", [6, 3])
def test_what_the_host_reads_is_named(tmp_path, at_once):
  """As under a user's guard; JAX sees it on a CPU from 0.12 on."""
  with jax.transfer_guard_device_to_host("disallow"):
    sweep.run(_config(runs_at_once=at_once), tmp_path, quiet=True)


def test_runs_that_train_together_are_one_program(tmp_path, monkeypatch):
  taken = []
  dispatch = loop.Loop.dispatch

  def counted(self, ends):
    found = dispatch(self, ends)
    taken.append(found[2])
    return found

  monkeypatch.setattr(loop.Loop, "dispatch", counted)
  sweep.run(_config(runs_at_once=6), tmp_path, quiet=True)
  # One dispatch for each of three epochs, whatever the number of runs.
  assert len(taken) == 3
  # 100 examples at 32 a step: the third epoch ends with the tenth step. Four
  # devices have two slots each.
  assert np.sum(taken, axis=0).tolist() == [10] * 6 + [0] * 2


@pytest.mark.slow
def test_a_fitted_run_makes_room_and_the_time_saved_is_told(tmp_path):
  grid = {"g": {**_LEVELS["levels"], "stop_at_fit": (True,)}}
  fields = {"epochs": 12, "learning_rate": 3e-3, "checkpoint_epochs": 4}
  config = _config(grid, runs_at_once=4, **fields)
  summary = sweep.run(config, tmp_path / "together", quiet=True)
  rows = small.rows(tmp_path / "together")
  early = [row for row in rows.values() if row["epoch"] < 12]
  assert early and all(row["train_accuracy"] == 1 for row in early)
  assert summary["retired"] == len(early)
  assert summary["steps_saved"] == sum(row["steps_saved"] for row in early)
  assert all(
    row["steps_saved"] == pytest.approx((12 - row["epoch"]) * 3.125, abs=4)
    for row in early
  )
  assert 0 < summary["seconds_saved"]
  # With one another or alone, they end at the same epoch.
  sweep.run(
    _config(grid, runs_at_once=1, **fields), tmp_path / "alone", quiet=True
  )
  for name, row in small.rows(tmp_path / "alone").items():
    assert row["epochs_to_fit"] == rows[name]["epochs_to_fit"]


@pytest.mark.parametrize(
  "dispatches",
  [
    1,
    pytest.param(2, marks=pytest.mark.slow),
    pytest.param(4, marks=pytest.mark.slow),
    5,
  ],
)
def test_killed_at_any_dispatch_it_goes_on_to_the_same_rows(
  tmp_path, monkeypatch, dispatches
):
  config = _config(runs_at_once=4)
  sweep.run(config, tmp_path / "whole", quiet=True)
  original = slots.Slots.train
  seen = []

  def crash(self, ends):
    if len(seen) == dispatches:
      raise RuntimeError("power cut")
    seen.append(ends)
    return original(self, ends)

  with monkeypatch.context() as patch:
    patch.setattr(slots.Slots, "train", crash)
    with pytest.raises(RuntimeError, match="power cut"):
      sweep.run(config, tmp_path / "cut", quiet=True)
  before = small.rows(tmp_path / "cut") if dispatches > 3 else {}
  sweep.run(config, tmp_path / "cut", quiet=True)
  assert list(small.rows(tmp_path / "cut"))[: len(before)] == list(before)
  assert small.rows(tmp_path / "cut") == small.rows(tmp_path / "whole")


def test_a_stopped_sweep_goes_on_where_it_was(tmp_path, monkeypatch):
  config = _config(runs_at_once=6, chunk_steps=2, checkpoint_epochs=3)
  original = loop.Loop.train
  taken = []

  def stopping(self, stop):
    if self.slots.active[0].epoch == 1:
      stop.set()
    return original(self, stop)

  with monkeypatch.context() as patch:
    patch.setattr(loop.Loop, "train", stopping)
    with pytest.raises(Stopped):
      sweep.run(config, tmp_path / "cut", quiet=True)

  def counting(self, ends):
    taken.append(self.active[0].step)
    return dispatch(self, ends)

  dispatch = slots.Slots.train
  monkeypatch.setattr(slots.Slots, "train", counting)
  # Four steps in the first epoch and two of the second were kept.
  sweep.run(config, tmp_path / "cut", quiet=True)
  assert taken[0] == 6
  monkeypatch.undo()
  sweep.run(_config(runs_at_once=6), tmp_path / "whole", quiet=True)
  cut, whole = small.rows(tmp_path / "cut"), small.rows(tmp_path / "whole")
  for name in whole:
    assert cut[name]["curve"] == whole[name]["curve"]


def test_one_that_diverges_leaves_the_others_alone(tmp_path, monkeypatch):
  config = _config(runs_at_once=6)

  def spoil(self, one):
    state = initial(self, one)
    if one.config.p == 1.0 and one.config.seed == 1:
      params = jax.tree.map(lambda x: x * np.float32(np.inf), state.params)
      return state.replace(params=params)
    return state

  initial = slots.Slots.initial
  sweep.run(config, tmp_path / "good", quiet=True)
  monkeypatch.setattr(slots.Slots, "initial", spoil)
  summary = sweep.run(config, tmp_path / "bad", quiet=True)
  assert (summary["finished"], summary["diverged"]) == (5, 1)
  good, bad = small.rows(tmp_path / "good"), small.rows(tmp_path / "bad")
  for name, row in bad.items():
    if row["status"] == "diverged":
      assert row["config"]["seed"] == 1 and row["config"]["p"] == 1.0
    else:
      assert row["curve"] == good[name]["curve"]


def test_only_runs_of_the_same_images_and_program_are_together():
  grid = {
    "a": {"variant": ("shuffled_pixels",), "seed": (0, 1), "init_seed": (5, 6)},
    "b": {"variant": ("random_labels", "true_labels"), "seed": (0, 1)},
    "c": {"learning_rate": (0.1, 0.2)},
  }
  cells = cells_lib.expand(_config(grid, corrupt_in="step"))
  groups = {tuple(sorted(names)) for names in grouping.groups(cells)}
  kinds = [
    {(cells[n].pixel_noise, cells[n].learning_rate) for n in g} for g in groups
  ]
  assert all(len(kind) == 1 for kind in kinds)
  # Permutations and labels with any seed, two learning rates.
  assert sorted(map(len, groups)) == [1, 1, 4, 4]


def test_ops_that_differ_are_no_group_and_levels_are():
  grid = {
    name: {"label_noise": (name,), "p": (0.2, 0.4), **options}
    for name, options in {
      "uniform": {},
      "symmetric": {},
      "permutation": {},
      "pair_flip": {"exact": (True,)},
    }.items()
  }
  grid["occlusion"] = {"pixel_noise": ("occlusion",), "level": (0.2, 0.4)}
  grid["occlusion"]["corrupt_in"] = ("step",)
  # Its images are made at load, so runs of other levels have others.
  grid["noise"] = {"pixel_noise": ("gaussian_noise",), "level": (0.2, 0.4)}
  cells = cells_lib.expand(_config(grid))
  found = grouping.groups(cells)
  kinds = [
    {(cells[n].label_noise, cells[n].pixel_noise) for n in group}
    for group in found
  ]
  assert sorted(map(len, found)) == [1, 1, 2, 2, 2, 4]
  assert {("permutation", None), ("pair_flip", None)} in kinds


# What only a run alone had: each in a group of three, with a slot refilled.
_ALONE = {
  "validation": {"validation": 20},
  "plateau": {"validation": 20, "schedule": "plateau"},
  "early stopping": {"validation": 20, "early_stopping": 2, "epochs": 5},
  "given": {"validation": 20, "validation_labels": "given"},
  "tensorboard": {"tensorboard": True},
  "examples": {"per_example": True},
  # Its images are those of the kept rows, which the seed decides.
  "at load": {
    "pixel_noise": "gaussian_pixels",
    "validation": 20,
    "normalization": "global",
  },
  "global": {"normalization": "global"},
  "pixels": {
    "pixel_noise": "occlusion",
    "level": 0.4,
    "fraction": 0.5,
    "corrupt_in": "step",
  },
}


@pytest.mark.parametrize("name", _ALONE)
def test_a_group_does_what_runs_alone_do(tmp_path, name, monkeypatch):
  # The plateau of ten evaluations, shortened.
  monkeypatch.setattr(optim, "_PATIENCE", 1)
  grid = {
    "g": {
      "variant": ("partial_labels",),
      "p": (0.0, 0.5),
      "seed": (0, 1),
      "corruption_seed": (3,),
    }
  }
  found = {}
  for at_once in (1, 3):
    workdir = tmp_path / str(at_once)
    config = _config(grid, runs_at_once=at_once, learning_rate=3e-3)
    config.update(_ALONE[name])
    sweep.run(config, workdir, quiet=True)
    found[at_once] = small.rows(workdir)
    for cell in found[at_once]:
      folder = workdir / "cells" / cell
      assert (folder / "tensorboard").exists() == (name == "tensorboard")
      count = len([*folder.glob("per_example/*.npz")])
      assert count == (4 if name == "examples" else 0)
  _assert_same(found[3], found[1])


@pytest.mark.parametrize(
  ("fields", "at_once", "want"),
  [
    ({}, None, 5),
    ({}, 3, 3),
    ({}, 99, 5),
    ({"arch": "digits_cnn"}, None, 1),
    ({"arch": "digits_cnn"}, 2, 2),
    ({"arch": "mlp_3x512"}, None, 1),
    ({"tensorboard": True, "validation": 9}, 3, 3),
  ],
)
def test_how_many_train_together_on_a_cpu(fields, at_once, want):
  cell = next(iter(cells_lib.expand(_config(**fields)).values()))
  assert grouping.slots(cell, 5, at_once) == want
  assert grouping.slots(cell, 1, at_once) == 1


@pytest.mark.parametrize(
  ("memory", "devices", "number"),
  # 38,410 parameters of 32 bytes a run, in half of the memory.
  [
    (38_410 * 64 * 5, 1, 5),
    (38_410 * 64 * 5, 2, 10),
    (1, 1, 1),
    (2**40, 1, 88),
  ],
)
def test_an_accelerator_takes_as_many_runs_as_fit_its_memory(
  monkeypatch, memory, devices, number
):
  class Accelerator:
    platform = "gpu"

    def memory_stats(self):
      return {"bytes_limit": memory}

  cell = next(iter(cells_lib.expand(_config()).values()))
  assert grouping.parameters(cell) == 38_410
  monkeypatch.setattr(jax, "local_devices", lambda: [Accelerator()] * devices)
  assert grouping.slots(cell, 88, None) == number
  # What the user asks for goes before.
  assert grouping.slots(cell, 88, 7) == 7

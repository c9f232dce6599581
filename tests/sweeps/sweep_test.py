"""A sweep is nothing but its runs."""

import dataclasses
import json
import os
import shutil
import signal

import numpy as np
import pytest
import small
from etils import epath

from rethinking import data
from rethinking.config import fields
from rethinking.runtime.errors import Stopped, UserError
from rethinking.storage import jsonl
from rethinking.sweeps import cells
from rethinking.sweeps import grid as cells_lib
from rethinking.sweeps import rows as sweep_rows
from rethinking.sweeps import run as sweep
from rethinking.training import loop, metrics, summary
from rethinking.training import run as train
from rethinking.training import task as task_lib


def _config(grids, **fields):
  one = {"subset": 128, "runs_at_once": 1}
  return small.config(grids, **{**one, **fields})


_LEVELS = {
  "levels": {"variant": ("partial_labels",), "p": (0.0, 0.5), "seed": (0, 1)}
}


@pytest.mark.parametrize(
  ("grid", "message"),
  [
    ({"variant": ("foo",)}, "variant of a grid must be one .* got 'foo'"),
    ({"foo": (1,)}, "axis of a grid must be one .* got 'foo'"),
    ({"arch": ("foo",)}, "arch must be one of .*, got 'foo'"),
    ({"variant": ("partial_labels",), "p": (2.0,)}, "p must be a rate in"),
    ({"subset": (9999,)}, "subset must be at most .*, got 9999"),
  ],
)
def test_a_grid_that_makes_no_sense_is_refused(tmp_path, grid, message):
  with pytest.raises(UserError, match=message):
    sweep.run(_config({"g": grid}), tmp_path / "w", quiet=True)
  assert not (tmp_path / "w").exists()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("sweep")
  summary = sweep.run(_config(_LEVELS), workdir, quiet=True)
  return workdir, summary


def test_a_cell_is_the_run_of_the_main_job_to_the_bit(undisturbed, tmp_path):
  workdir, summary = undisturbed
  assert summary["cells"] == summary["finished"] == 4
  name, cell = next(
    (n, c) for n, c in cells_lib.expand(_config(_LEVELS)).items() if c.p == 0.5
  )
  alone = train.run(cell, tmp_path, quiet=True)
  row = small.rows(workdir)[name]
  for key, value in alone.items():
    if key not in metrics.CLOCK and key != "git_commit":
      assert row[key] == value, key
  assert row["flip_rate"] == pytest.approx(0.45, abs=0.15)
  assert row["curve"]["step"] == [0, 4, 8, 12]
  assert row["curve"]["test_accuracy"][-1] == row["test_accuracy"]


def test_a_sweep_that_was_killed_loses_nothing_and_repeats_nothing(
  undisturbed, tmp_path, monkeypatch
):
  whole = cells._run_cell
  ran = []

  def crash(name, **others):
    row = whole(name, **others)
    # The third cell is finished, but its row is not written yet.
    if len(ran) == 2:
      raise RuntimeError("power cut")
    ran.append(name)
    return row

  with monkeypatch.context() as patch:
    patch.setattr(cells, "_run_cell", crash)
    with pytest.raises(RuntimeError, match="power cut"):
      sweep.run(_config(_LEVELS), tmp_path, quiet=True)
  assert list(small.rows(tmp_path)) == ran
  steps = []

  def count(self, ends):
    found = original(self, ends)
    steps.extend(found[2])
    return found

  original = loop.Loop.dispatch
  monkeypatch.setattr(loop.Loop, "dispatch", count)
  sweep.run(_config(_LEVELS), tmp_path, quiet=True)
  # Only the fourth cell trained.
  assert sum(steps) == 12
  assert small.rows(tmp_path) == small.rows(undisturbed[0])


def test_a_signal_at_the_end_of_a_run_ends_the_sweep(tmp_path, monkeypatch):
  finish = summary.finish

  def ask(self, *args):
    os.kill(os.getpid(), signal.SIGTERM)
    return finish(self, *args)

  monkeypatch.setattr(summary, "finish", ask)
  with pytest.raises(Stopped, match="every run that had begun"):
    sweep.run(_config(_LEVELS), tmp_path, quiet=True)
  assert len(small.rows(tmp_path)) == 1


def test_a_damaged_row_is_refused(undisturbed, tmp_path):
  workdir = tmp_path / "w"
  shutil.copytree(undisturbed[0], workdir)
  (workdir / "summary.json").unlink()
  path = workdir / "results.jsonl"
  row = path.read_text().splitlines()[0]
  accuracy = f'"train_accuracy": {json.loads(row)["train_accuracy"]}'
  assert accuracy in row
  path.write_text(path.read_text().replace(accuracy, accuracy + "1", 1))
  with pytest.raises(UserError, match="results.jsonl and .* differ"):
    sweep.run(_config(_LEVELS), workdir, quiet=True)
  # Emptied or gone, its rows are taken from the runs again.
  path.write_text("")
  sweep.run(_config(_LEVELS), workdir, quiet=True)
  assert small.rows(workdir) == small.rows(undisturbed[0])


def test_a_flipped_bit_anywhere_in_a_row_is_refused(undisturbed, tmp_path):
  workdir = tmp_path / "w"
  shutil.copytree(undisturbed[0], workdir)
  config = _config(_LEVELS)
  todo = cells_lib.expand(config)
  path = workdir / "results.jsonl"
  whole = path.read_bytes()

  def load():
    lines = jsonl.JsonLines(path)
    return sweep_rows.kept(lines, todo, config.variant, epath.Path(workdir))

  rows = load()
  for at in range(5, len(whole), max(1, len(whole) // 150)):
    for bit in (1, 16):
      flipped = whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
      path.write_bytes(flipped)
      try:
        found = load()
      except UserError as error:
        assert "\n" not in str(error)
      else:
        # Only what the clock said or what may differ between calls, which
        # nothing else knows, or the end of a number that is the same one.
        for row in (*found, *rows):
          row.pop("seconds", None)
          for name in fields.flagged("resume"):
            row["config"].pop(name, None)
        assert found == rows[: len(found)], flipped[at - 20 : at + 20]
  path.write_bytes(whole)


def _begun(whole, workdir, number):
  """Copies a sweep as it was when its first cells were finished."""
  shutil.copytree(whole, workdir)
  (workdir / "summary.json").unlink()
  path = workdir / "results.jsonl"
  lines = path.read_text().splitlines(True)
  path.write_text("".join(lines[:number]))
  for line in lines[number:]:
    shutil.rmtree(workdir / "cells" / json.loads(line)["cell"])
  return path.read_text()


def _other(split, bit):
  """`data.load` of a split of another identity, one pixel changed by a bit."""
  load = data.load

  def other(name, which, **places):
    found = load(name, which, **places)
    if which == split:
      images = found.images.copy()
      images[0, 3, 3] ^= bit
      found = dataclasses.replace(found, images=images, identity="other")
    return found

  return other


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_sweep_does_not_go_on_with_other_data(
  undisturbed, tmp_path, monkeypatch, split
):
  workdir = tmp_path / "w"
  first = _begun(undisturbed[0], workdir, 1)
  path = workdir / "results.jsonl"
  with monkeypatch.context() as patch:
    patch.setattr(data, "load", _other(split, 1))
    with pytest.raises(UserError, match="runs on the digits data") as error:
      sweep.run(_config(_LEVELS), workdir, quiet=True)
  assert f"'{split}': 'other'" in str(error.value)
  assert "\n" not in str(error.value)
  assert path.read_text() == first
  assert len([*(workdir / "cells").iterdir()]) == 1
  sweep.run(_config(_LEVELS), workdir, quiet=True)
  assert small.rows(workdir) == small.rows(undisturbed[0])


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_sweep_goes_on_with_the_same_data_in_other_files(
  undisturbed, tmp_path, monkeypatch, split
):
  workdir = tmp_path / "w"
  kept = _begun(undisturbed[0], workdir, 3).splitlines()
  loaded = []
  load = task_lib.load

  def count(cell):
    loaded.append(cell.p)
    return load(cell)

  with monkeypatch.context() as patch:
    patch.setattr(data, "load", _other(split, 0))
    patch.setattr(task_lib, "load", count)
    sweep.run(_config(_LEVELS), workdir, quiet=True)
  # Once for each level of the kept rows, and by the run that is left.
  levels = {json.loads(line)["config"]["p"] for line in kept}
  assert len(kept) == 3 and sorted(loaded[:-1]) == sorted(levels)
  rows = small.rows(workdir).values()
  assert [row["data_source"][split] == "other" for row in rows] == (
    [False] * 3 + [True]
  )
  for row, before in zip(
    rows, small.rows(undisturbed[0]).values(), strict=True
  ):
    assert row["curve"] == before["curve"]


def test_a_sweep_without_a_run_left_asks_for_no_data(
  undisturbed, tmp_path, monkeypatch
):
  workdir = tmp_path / "w"
  _begun(undisturbed[0], workdir, 4)
  monkeypatch.setattr(data, "load", _other("train", 1))
  assert sweep.run(_config(_LEVELS), workdir, quiet=True)["finished"] == 4


def test_a_cell_that_diverges_is_a_row_and_the_others_go_on(tmp_path):
  grid = {"g": {"learning_rate": (1e9, 1e-3), "optimizer": ("sgd",)}}
  config = _config(grid, schedule="constant")
  summary = sweep.run(config, tmp_path, quiet=True)
  assert (summary["finished"], summary["diverged"]) == (1, 1)
  rows = small.rows(tmp_path)
  lost = next(r for r in rows.values() if r["status"] == "diverged")
  assert lost["config"]["learning_rate"] == 1e9 and lost["step"] >= 1
  # It is not tried again, and the finished sweep says so.
  (tmp_path / "summary.json").unlink()
  assert sweep.run(config, tmp_path, quiet=True)["diverged"] == 1
  assert small.rows(tmp_path) == rows


def test_levels_share_their_draws(undisturbed):
  config = _config({"g": {"variant": ("partial_labels",), "p": (0.2, 0.6)}})
  low, high = (
    task_lib.load(cell) for cell in cells_lib.expand(config).values()
  )
  changed = low.train.labels != low.train.true_labels
  assert changed.any()
  np.testing.assert_array_equal(
    low.train.labels[changed], high.train.labels[changed]
  )


def test_a_finished_sweep_says_so_without_its_data(
  undisturbed, capsys, monkeypatch
):
  workdir, summary = undisturbed

  def gone(*_, **__):
    raise UserError("There are no data.")

  monkeypatch.setattr(data, "load", gone)
  assert sweep.run(_config(_LEVELS), workdir) == summary
  assert "Finished already" in capsys.readouterr().out
  assert {"table.md", "table.csv", "figure1c.png"} <= {
    p.name for p in workdir.iterdir()
  }

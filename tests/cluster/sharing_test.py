"""Shares of a sweep leave what one process leaves."""

import csv
import io
import json
import os
import re
import shutil
import signal

import pytest
from etils import epath
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking.report.__main__ import main as report_main
from rethinking.runtime.errors import Stopped, UserError
from rethinking.storage import reading
from rethinking.sweeps import grid, groups, merging, shares, sharing
from rethinking.sweeps import run as sweep
from rethinking.training import loop, metrics, summary

# Three runs that go one by one, and two that a CPU trains in one program.
_GRIDS = {
  "large": {
    "arch": ("mlp_3x512",),
    "variant": ("partial_labels",),
    "p": (0.5,),
    "seed": (0, 1, 2),
  },
  "small": {"arch": ("mlp_1x512",), "seed": (0, 1)},
}


def _config(**fields):
  c = config_lib.default()
  c.update(
    experiment="sweep",
    variant="figure1",
    dataset="digits",
    subset=100,
    batch_size=32,
    epochs=2,
    checkpoint_epochs=1,
    plots=False,
    tensorboard=False,
  )
  c.update(fields)
  c.grids = ConfigDict(_GRIDS)
  return c


def _text(path):
  """A table without what the clock said."""
  text = re.sub(r"[\d.,]+ s in sum", "", path.read_text())
  if path.suffix != ".csv":
    return text
  rows = csv.DictReader(io.StringIO(text))
  return [{k: v for k, v in row.items() if "second" not in k} for row in rows]


def _rows(workdir):
  lines = (workdir / "results.jsonl").read_text().splitlines()
  return [metrics.without_clock(json.loads(line)) for line in lines]


def _files(workdir):
  return {
    path.relative_to(workdir).as_posix()
    for path in workdir.rglob("*")
    # Orbax draws the names of its files.
    if path.is_file() and "checkpoints" not in path.parts
  }


_DRAWN = ("table.md", "table.csv", "published.csv", "claims.md")


def _check(workdir, whole):
  """Holds that shares left what one process left."""
  assert _rows(workdir) == _rows(whole)
  for name in _DRAWN:
    assert _text(workdir / name) == _text(whole / name), name
  own = {"cells.json"}
  own |= {f"rows/{path.name}" for path in (workdir / "rows").iterdir()}
  # A page is the command's.
  assert _files(workdir) - own == _files(whole) | {"index.html"}
  assert len(own) == 1 + len(_rows(whole))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("whole")
  sweep.run(_config(), workdir, quiet=True)
  return workdir


def _share(workdir, index, count, **fields):
  share = shares.Share(index, count)
  return sharing.run(_config(**fields), workdir, share, quiet=True)


def test_three_shares_leave_what_one_process_leaves(whole, tmp_path):
  assert _share(tmp_path, 2, 3) is None
  assert _share(tmp_path, 0, 3) is None
  assert not (tmp_path / "table.md").exists()
  summary = _share(tmp_path, 1, 3)
  assert summary["finished"] == 5
  _check(tmp_path, whole)
  assert _share(tmp_path, 1, 3) == summary


def test_another_number_goes_on_where_a_share_was_stopped(
  whole, tmp_path, monkeypatch
):
  finish = summary.finish
  ended = []

  def ask(self, *args):
    ended.append(self.name)
    if len(ended) == 2:
      os.kill(os.getpid(), signal.SIGTERM)
    return finish(self, *args)

  with monkeypatch.context() as patch:
    patch.setattr(summary, "finish", ask)
    with pytest.raises(Stopped, match=f"--workdir={tmp_path} "):
      _share(tmp_path, 0, 1)
  done = len(_names(tmp_path))
  assert 1 <= done < 5
  assert _share(tmp_path, 1, 2) is None
  monkeypatch.setattr(summary, "finish", _counted(ended, finish))
  del ended[:]
  missing = 5 - len(_names(tmp_path))
  assert _share(tmp_path, 0, 2)["finished"] == 5
  assert len(ended) == missing
  _check(tmp_path, whole)


def _counted(ended, finish):
  def count(self, *args):
    ended.append(self.name)
    return finish(self, *args)

  return count


def _names(workdir):
  return [path.name for path in (workdir / "rows").iterdir()]


class _PowerCutError(Exception):
  """Stands for kill -9."""


@pytest.mark.parametrize("arch", ["mlp_3x512", "mlp_1x512"])
def test_a_killed_share_goes_on_from_its_checkpoint(
  whole, tmp_path, monkeypatch, arch
):
  saved, dispatched = [], []
  save, dispatch = loop.Loop.save, loop.Loop.dispatch

  def cut(self, **how):
    save(self, **how)
    # After the first epoch of two.
    saved.append(self.saved)
    raise _PowerCutError

  def count(self, ends):
    found = dispatch(self, ends)
    dispatched.append(sum(found[2]))
    return found

  only = {"only": arch}
  with monkeypatch.context() as patch:
    patch.setattr(loop.Loop, "save", cut)
    patch.setattr(groups, "width", lambda *_: 1)
    with pytest.raises(_PowerCutError):
      _share(tmp_path, 0, 1, **only)
  [left] = (tmp_path / "shares").iterdir()
  assert left.exists() and not (tmp_path / "rows").exists()
  monkeypatch.setattr(loop.Loop, "dispatch", count)
  summary = _share(tmp_path, 0, 1, **only)
  runs = summary["finished"]
  # Of seven steps the four before the cut are not taken again.
  again = {"mlp_3x512": 1, "mlp_1x512": 2}[arch]
  assert sum(dispatched) == 7 * runs - 4 * again
  rows = {row["cell"]: row for row in _rows(whole)}
  for row in _rows(tmp_path):
    assert {**row, "config": None} == {**rows[row["cell"]], "config": None}
  assert not (tmp_path / "shares").exists()


def test_two_copies_of_a_share_at_once_leave_the_same(whole, tmp_path):
  """One is in the middle of a run when the other makes all of them."""
  made = []
  finish = sharing.Place.finish

  def other(self, name, seen):
    if not made:
      made.append(None)
      made[0] = _share(tmp_path, 0, 1)
    return finish(self, name, seen)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sharing.Place, "finish", other)
    summary = _share(tmp_path, 0, 1)
  assert summary == made[0]
  _check(tmp_path, whole)
  # Whole, by its checksums.
  assert sharing.run(_config(), tmp_path, shares.Share(0, 1), quiet=True)


def test_one_process_goes_on_with_what_shares_made(whole, tmp_path):
  assert _share(tmp_path, 0, 2) is None
  before = len(_names(tmp_path))
  assert 0 < before < 5
  sweep.run(_config(), tmp_path, quiet=True)
  assert _rows(tmp_path) == _rows(whole)


def test_shares_go_on_with_what_one_process_made(whole, tmp_path, monkeypatch):
  ended = []
  finish = summary.finish
  shutil.copytree(whole, tmp_path / "w")
  (tmp_path / "w" / "summary.json").unlink()
  path = tmp_path / "w" / "results.jsonl"
  lines = path.read_text().splitlines(keepends=True)
  path.write_text("".join(lines[:2]))
  monkeypatch.setattr(summary, "finish", _counted(ended, finish))
  assert _share(tmp_path / "w", 0, 1)["finished"] == 5
  # What had ended has its files still, and needs no row to be taken.
  assert ended == []
  assert _rows(tmp_path / "w") == _rows(whole)


def test_a_changed_config_is_refused_in_a_line(tmp_path):
  _share(tmp_path, 0, 3, only="seed0")
  with pytest.raises(UserError, match="another config .*epochs") as error:
    _share(tmp_path, 1, 3, only="seed0", epochs=3)
  assert "\n" not in str(error.value)


def test_a_damaged_row_is_named(tmp_path):
  _share(tmp_path, 0, 3, only="seed0")
  row, *_ = (tmp_path / "rows").iterdir()
  row.write_text(row.read_text().replace('"finished"', '"finish"'))
  with pytest.raises(UserError, match=f"{row.name} is damaged in line 1"):
    _share(tmp_path, 0, 3, only="seed0")


def test_two_rows_of_a_cell_that_differ_are_named(whole, tmp_path):
  shutil.copytree(whole, tmp_path / "w")
  todo = grid.expand(_config())
  lines = (whole / "results.jsonl").read_text().splitlines()
  (tmp_path / "w" / "rows").mkdir()
  said = []
  for line, change in zip(lines, ("seconds", "test_accuracy"), strict=False):
    row = json.loads(line)
    row[change] += 1
    path = merging.path(tmp_path / "w", row["cell"], todo[row["cell"]])
    path.write_text(json.dumps(row) + "\n")
  merging.merge(epath.Path(tmp_path / "w"), todo, said.append)
  [warning] = said
  assert json.loads(lines[1])["cell"] in warning
  assert (tmp_path / "w" / "results.jsonl").read_text().splitlines() == lines


def test_the_report_counts_what_is_missing_and_names_what_is_damaged(
  whole, tmp_path, capsys
):
  (tmp_path / "begun").mkdir()
  (tmp_path / "begun" / "cells.json").write_text('{"cells": ["a", "b"]}')
  assert report_main([str(tmp_path / "begun")]) == 0
  assert capsys.readouterr().out == (
    "0 of 2 cells are finished; missing: a, b.\n"
  )
  assert _share(tmp_path, 0, 2) is None
  rows = sorted((tmp_path / "rows").iterdir())
  assert report_main([str(tmp_path)]) == 0
  first, *paths = capsys.readouterr().out.splitlines()
  assert first.startswith(f"{len(rows)} of 5 cells are finished; missing: ")
  assert str(tmp_path / "table.md") in paths
  rows[0].write_bytes(rows[0].read_bytes()[:100])
  name = json.loads(rows[1].read_text())["cell"]
  (tmp_path / "cells" / name / "summary.json").write_text("{}")
  assert report_main([str(tmp_path)]) == 0
  said = capsys.readouterr().out.splitlines()
  assert said[0].startswith(f"{len(rows) - 1} of 5 cells are finished")
  assert f"Damaged: {rows[0]}: no row." in said
  folder = tmp_path / "cells" / name
  assert f"Damaged: {folder} has a damaged file summary.json." in said
  assert f"Left out: {rows[0]}: no row." in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize("number", [4, 40])
def test_a_merge_reads_each_file_twice(tmp_path, monkeypatch, number):
  """Once to look, once to write, however many there are."""
  cell = next(iter(grid.expand(_config()).values()))
  todo = {f"cell{i}": cell for i in range(3 * number)}
  (tmp_path / "rows").mkdir()
  for i in range(number):
    own = [f"cell{3 * i + j}" for j in range(3)]
    lines = [json.dumps({"cell": name, "config": {}}) for name in own]
    (tmp_path / "rows" / f"{i:02}.jsonl").write_text("\n".join([*lines, ""]))
  asked = []
  read = reading.read

  def count(path, most_bytes):
    asked.append(path)
    return read(path, most_bytes)

  monkeypatch.setattr(reading, "read", count)
  merging.merge(epath.Path(tmp_path), todo, pytest.fail)
  # And results.jsonl, which is not there.
  assert len(asked) == 2 * number + 1
  names = [row["cell"] for row in _rows(tmp_path)]
  assert names == [*todo]

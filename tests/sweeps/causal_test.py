"""Influence on its flag: pairs, their files, and runs without the strongest."""

import csv
import io
import shutil

import numpy as np
import pytest
import small

from rethinking import memorization, report
from rethinking.memorization.influence import Pairs
from rethinking.report import ensembles
from rethinking.sweeps import causal
from rethinking.sweeps import run as sweep
from rethinking.training import loop

_FIELDS = {
  "variant": "memorization",
  "subset": 64,
  "ratio": 0.5,
  "members": 2,
  "permutations": 4,
  "per_example": True,
  "presentations": True,
  "eval_epochs": 3,
  "batch_size": 8,
  "runs_at_once": 8,
}
_PLANTED = Pairs(
  0.25,
  0.5,
  np.array([5, 6, 7, 7]),
  np.array([40, 2, 40, 3]),
  np.array([0.5, 0.4, 0.3, 0.25]),
)


def _config(**fields):
  levels = {"e": {"variant": ("partial_labels",), "p": (0.5,)}}
  return small.config(levels, **{**_FIELDS, **fields})


def _rows(path):
  return [*csv.DictReader(io.StringIO(path.read_text()))]


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("ensemble")
  sweep.run(_config(), workdir, quiet=True)
  return workdir


@pytest.mark.slow
def test_too_few_runs_are_said_and_nothing_is_sought(
  ensemble, tmp_path, monkeypatch, capsys
):
  shutil.copytree(ensemble, tmp_path, dirs_exist_ok=True)
  monkeypatch.setattr(causal, "pairs", None)
  sweep.run(_config(influence=True), tmp_path)
  line = "Influence needs 400 runs at ratio 0.5, for an influence of 0.15"
  assert line in capsys.readouterr().out
  assert line in (tmp_path / "memorization.md").read_text()
  assert line not in (ensemble / "memorization.md").read_text()
  assert not [*tmp_path.rglob("influence*")]


@pytest.fixture(scope="module")
def checked(ensemble, tmp_path_factory):
  workdir = tmp_path_factory.mktemp("checked")
  shutil.copytree(ensemble, workdir, dirs_exist_ok=True)
  with pytest.MonkeyPatch.context() as patch:
    _plant(patch)
    sweep.run(_config(influence=True), workdir, quiet=True)
  return workdir


def _plant(patch):
  for module in (causal, report.memorization_page):
    patch.setattr(module, "too_few", lambda runs, ratio: None)
  patch.setattr(causal, "pairs", lambda *_: _PLANTED)
  patch.setattr(causal, "_RUNS", 2)


def _ensemble(workdir):
  groups = report.row_files.load(workdir / "results.jsonl").groups
  [one] = ensembles.levels(groups, workdir)
  return one


def test_pairs_are_written_with_their_ids(checked):
  one = _ensemble(checked)
  rows = _rows(next(checked.glob("memorization/*/influence.csv")))
  assert [(int(r["train_id"]), float(r["influence"])) for r in rows] == [
    (one.ids[i], x) for i, x in zip(*_PLANTED[2::2], strict=True)
  ]
  tests = [int(r["test_id"]) for r in rows]
  assert tests == one.test_ids[_PLANTED.test].tolist()
  text = (checked / "memorization.md").read_text()
  assert "4 pairs of a train and a test example at 0.250 or more, 0.5" in text
  assert next(checked.glob("memorization/*/influence.png")).stat().st_size


def test_runs_are_made_without_the_strongest_eight(checked):
  one = _ensemble(checked)
  table = _rows(next(checked.glob("memorization/*/causal.csv")))
  # Those that lean most on their pairs first.
  tests = [40, 2, 3]
  assert [int(r["test_id"]) for r in table] == one.test_ids[tests].tolist()
  strength = np.concatenate(
    [tile for _, tile in memorization.influence(one.masks, one.tested)]
  )
  [cells] = checked.glob("causal/*/cells")
  assert len([*cells.iterdir()]) == 8
  for test, row in zip(tests, table, strict=True):
    left_out = np.argsort(-strength[:, test], kind="stable")[:8]
    names = [f"test{row['test_id']}-seed{seed}" for seed in range(2)]
    right = []
    for name in names:
      found = ensembles.last(cells / name)
      np.testing.assert_array_equal(
        found["validation_id"], np.sort(one.ids[left_out])
      )
      assert len(found["train_id"]) == 56
      given = dict(zip(one.ids, one.labels, strict=True))
      want = [given[i] for i in found["train_id"]]
      np.testing.assert_array_equal(found["train_label"], want)
      right.append(found["test_correct"][test])
    assert float(row["without_top"]) == np.mean(right)
    assert row["runs"] == "2"
  # Seeds are of pairs, and what is left out at random another for each.
  drawn = [ensembles.last(cells / f"random-seed{k}") for k in range(2)]
  assert (drawn[0]["validation_id"] != drawn[1]["validation_id"]).any()


def test_a_stopped_check_goes_on(checked, tmp_path, monkeypatch):
  """As after a kill in its midst: no summary, one run less."""
  shutil.copytree(checked, tmp_path, dirs_exist_ok=True)
  (tmp_path / "summary.json").unlink()
  results = next(tmp_path.glob("causal/*/results.jsonl"))
  *rest, last = results.read_text().splitlines(keepends=True)
  results.write_text("".join(rest))
  before = {
    path.name: path.read_bytes() for path in tmp_path.glob("memorization/*/*")
  }
  begun = []
  whole = loop.Loop.run
  monkeypatch.setattr(
    loop.Loop, "run", lambda self, *a: (begun.append(self), whole(self, *a))
  )
  _plant(monkeypatch)
  sweep.run(_config(influence=True), tmp_path, quiet=True)
  assert len(begun) <= 1
  assert results.read_text().count("\n") == len(rest) + 1
  for path in tmp_path.glob("memorization/*/*"):
    assert path.read_bytes() == before[path.name], path

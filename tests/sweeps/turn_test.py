"""The list of wrong labels is made up to where loss outside was lowest."""

import csv
import pathlib
import shutil

import numpy as np
import pytest

from rethinking.label_issues import auroc, find
from rethinking.report import detection, ensembles, label_issues, row_files
from rethinking.runtime import cli
from rethinking.runtime.errors import UserError
from rethinking.sweeps import repair
from rethinking.sweeps import run as sweep

_CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"
_EPOCHS = 8


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  """Five runs that fit wrong labels before they end."""
  workdir = tmp_path_factory.mktemp("turn")
  text = "label_issues,label_noise=symmetric,p=0.4,subset=400,eval_epochs=1"
  config = cli.load(f"{_CONFIGS}/digits.py:{text},epochs={_EPOCHS}")
  sweep.run(config, workdir, quiet=True)
  return workdir


def _groups(workdir):
  return row_files.load(workdir / "results.jsonl").groups


def _outside(workdir, at):
  """Loss and probabilities, by id, of what each run left out."""
  loss, probs = np.zeros(400), np.zeros((400, 10), np.float32)
  for cell in workdir.glob("cells/*"):
    with np.load(sorted(cell.glob("per_example/*.npz"))[at]) as found:
      ids = found["validation_id"]
      loss[ids] = found["validation_loss"]
      probs[ids] = found["validation_probabilities"]
  return loss, probs


def test_the_list_is_of_the_mean_up_to_the_lowest_loss_outside(workdir):
  # The first is before any step.
  losses = [_outside(workdir, at)[0].mean() for at in range(1, _EPOCHS + 1)]
  turn = 1 + int(np.argmin(losses))
  assert 1 < turn < _EPOCHS
  probs = np.mean([_outside(workdir, at)[1] for at in range(1, turn + 1)], 0)
  np.testing.assert_allclose(
    np.load(workdir / "pred_probs.npy"), probs, atol=1e-6
  )
  said = f"each evaluation up to epoch {turn} of {_EPOCHS}, when the mean loss"
  assert said in (workdir / "label_issues.md").read_text()
  [one] = ensembles.levels(_groups(workdir), workdir, turn=True)
  assert one.epoch == turn
  np.testing.assert_allclose(one.outside, probs, atol=1e-6)


def test_wrong_labels_are_looked_for_in_the_same_probabilities(workdir):
  [one] = ensembles.levels(_groups(workdir), workdir, turn=True)
  detection.write(_groups(workdir), workdir)
  text = (workdir / "detection.csv").read_text()
  [row] = csv.DictReader(text.splitlines())
  assert int(row["epoch"]) == one.epoch
  found = find(one.labels, one.outside)
  want = auroc(one.changed, -found.p_wrong)
  assert float(row["auroc_posterior"]) == pytest.approx(want)


def test_repair_takes_six_times_these_epochs(workdir, tmp_path):
  [one] = ensembles.levels(_groups(workdir), workdir, turn=True)
  todo = dict(repair.cells_of(one, tmp_path))
  assert {cell.epochs for cell in todo.values()} == {6 * one.epoch}


def test_scores_of_memorisation_are_those_of_the_end(workdir):
  [one] = ensembles.levels(_groups(workdir), workdir)
  assert one.epoch is None
  np.testing.assert_array_equal(one.outside, _outside(workdir, -1)[1])


def test_a_loss_that_still_falls_is_said(workdir, tmp_path):
  early = tmp_path / "early"
  shutil.copytree(workdir, early)
  for cell in early.glob("cells/*"):
    (cell / "per_example/sha256.json").unlink()
    for path in sorted(cell.glob("per_example/*.npz"))[3:]:
      path.unlink()
  [one] = ensembles.levels(_groups(early), early, turn=True)
  assert one.epoch == 2
  for last, said in ((2, "so far; try more epochs."), (3, "was lowest.")):
    turned = label_issues.turned(
      one._replace(config=one.config | {"epochs": last})
    )
    assert turned.endswith(said)


def test_a_run_without_an_evaluation_is_named(workdir, tmp_path):
  damaged = tmp_path / "damaged"
  shutil.copytree(workdir, damaged)
  cell = sorted(damaged.glob("cells/*"))[2]
  sorted(cell.glob("per_example/*.npz"))[3].unlink()
  with pytest.raises(UserError, match="as many evaluations of each run"):
    label_issues.write(_groups(damaged), damaged)

"""The list of wrong labels from a command: files, sentences, what follows."""

import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics

from rethinking import data, label_issues
from rethinking.report import __main__ as report_main
from rethinking.report import detection, ensembles, row_files
from rethinking.report import repair as repair_report
from rethinking.report.label_issues import save
from rethinking.report.label_issues_page import Records
from rethinking.runtime import cli
from rethinking.runtime.errors import UserError
from rethinking.sweeps import predictions, repair
from rethinking.sweeps import run as sweep
from rethinking.training import task

_CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"
_SMALL = "label_noise=symmetric,p=0.2,subset=400"
# What people load by cleanlab's names, and what is said beside these.
_COLUMNS = """id is_label_issue label_score given_label predicted_label p_wrong
  rank"""
_ARMS = ["given", "random", "removed", "fixed", "true"]


def _config(text):
  return cli.load(f"{_CONFIGS}/{text}")


def _lines(path):
  return [*csv.DictReader(path.read_text().splitlines())]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
  """A workdir of digits with symmetric noise, and what was printed."""
  workdir = tmp_path_factory.mktemp("issues")
  capture = pytest.MonkeyPatch()
  said = []
  capture.setattr("builtins.print", lambda *text, **_: said.extend(text))
  sweep.run(_config(f"digits.py:label_issues,{_SMALL}"), workdir)
  capture.undo()
  return workdir, "\n".join(map(str, said))


def _given(workdir):
  """Given and true labels by id, from a run's own record."""
  [cell] = workdir.glob("cells/*-member0")
  with np.load(max(cell.glob("per_example/*.npz"))) as kept:
    parts = [
      [kept[f"{part}_{name}"] for name in ("id", "label", "true_label")]
      for part in ("train", "validation")
    ]
  ids, given, true = np.concatenate(parts, axis=1)
  return given[np.argsort(ids)], true[np.argsort(ids)]


def test_issues_have_cleanlabs_names_and_the_order_of_pred_probs(found):
  workdir, _ = found
  lines = _lines(workdir / "issues.csv")
  assert [*lines[0]] == _COLUMNS.split()
  given, true = _given(workdir)
  assert [int(x["id"]) for x in lines] == [*range(400)]
  assert [int(x["given_label"]) for x in lines] == given.tolist()
  probs = np.load(workdir / "pred_probs.npy")
  want = label_issues.find(given, probs)
  wrong = np.array([float(x["p_wrong"]) for x in lines])
  np.testing.assert_allclose(wrong, want.p_wrong, atol=1e-6)
  for line, p in zip(lines, wrong, strict=True):
    assert line["is_label_issue"] == str(p > 0.5)
    assert float(line["label_score"]) == pytest.approx(1 - p)
  assert [int(x["predicted_label"]) for x in lines] == want.predicted.tolist()
  assert sorted(int(x["rank"]) for x in lines) == [*range(1, 401)]
  assert label_issues.auroc(true != given, -wrong) > 0.97


def test_the_command_says_how_many_and_how_sure(found):
  workdir, said = found
  text = (workdir / "label_issues.md").read_text()
  assert text in said
  given, true = _given(workdir)
  probs = np.load(workdir / "pred_probs.npy")
  want = label_issues.find(given, probs)
  assert f"Estimated wrong labels: {want.errors:.0f} of 400" in text
  assert f"(95 % interval {want.errors_low:.0f} to {want.errors_high:.0f}" in (
    text
  )
  assert f"Known to be wrong: {(true != given).sum()}" in text
  classes = _lines(workdir / "classes.csv")
  assert [int(x["examples"]) for x in classes] == np.bincount(given).tolist()
  total = sum(float(x["estimated_wrong"]) for x in classes)
  assert total == pytest.approx(want.errors)
  assert sum(int(x["listed"]) for x in classes) == want.listed.sum()


def test_only_sure_labels_are_fixed_and_labels_takes_them(
  found, tmp_path, capsys
):
  workdir, _ = found
  before = (workdir / "issues.csv").read_bytes()
  asked = [f"--label_issues={workdir}", "--labels_fixed"]
  assert report_main.main(asked) == cli.FINISHED
  assert str(workdir / "labels_fixed.csv") in capsys.readouterr().out
  assert (workdir / "issues.csv").read_bytes() == before
  fixed = _lines(workdir / "labels_fixed.csv")
  issues = {x["id"]: x for x in _lines(workdir / "issues.csv")}
  want = [
    (i, x["given_label"], x["predicted_label"])
    for i, x in issues.items()
    if float(x["p_wrong"]) >= 0.9 and x["given_label"] != x["predicted_label"]
  ]
  assert [(x["id"], x["given"], x["fixed"]) for x in fixed] == want and want
  given, _ = _given(workdir)
  images = data.load("digits", "train").images[:400]
  np.savez(tmp_path / "own.npz", images=images, labels=given)
  config = _config(
    f"own.py:true_labels,data={tmp_path}/own.npz,test_fraction=0.2,"
    f"labels={workdir}/labels_fixed.csv"
  )
  train = data.load("own", "train", **data.source(config))
  by_id = dict(zip(train.given_ids.tolist(), train.labels, strict=True))
  assert len(by_id) < 400
  fixes = {int(i): int(label) for i, _, label in want}
  for i, label in by_id.items():
    assert label == fixes.get(i, given[i])


def test_anyones_predictions_are_ranked_without_training(found, tmp_path):
  workdir, _ = found
  config = _config(f"digits.py:label_issues,{_SMALL}")
  command = [sys.executable, "-m", "rethinking.main"]
  command += [f"--config={_CONFIGS}/digits.py:label_issues,{_SMALL}"]
  command += [f"--pred_probs={workdir}/pred_probs.npy"]
  done = subprocess.run(
    [*command, f"--workdir={tmp_path}/a"],
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert done.returncode == 0, done.stderr
  assert "Estimated wrong labels" in done.stdout
  want = (workdir / "issues.csv").read_bytes()
  assert (tmp_path / "a" / "issues.csv").read_bytes() == want
  assert not (tmp_path / "a" / "cells").exists()
  order = np.random.default_rng(0).permutation(400)
  probs = np.load(workdir / "pred_probs.npy")
  path = tmp_path / "x.npz"
  np.savez(path, pred_probs=probs[order], ids=order)
  predictions.rank(config, tmp_path / "b", path, quiet=True)
  assert (tmp_path / "b" / "issues.csv").read_bytes() == want


def test_predictions_of_names_are_in_their_order(tmp_path):
  names = np.array([f"{n:02}.png" for n in range(60)])
  images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
  labels = np.arange(60) % 3
  shown = np.random.default_rng(1).permutation(60)
  both = {"images": images, "labels": labels, "ids": names}
  arrays = {f"train_{k}": v[shown] for k, v in both.items()}
  arrays |= {"test_images": 255 - images[:6], "test_labels": labels[:6]}
  arrays["test_ids"] = np.array([f"t{n}" for n in range(6)])
  np.savez(tmp_path / "x.npz", **arrays)
  probs = np.full((60, 3), 0.05)
  probs[np.arange(60), labels] = 0.9
  probs[7] = probs[8]
  np.save(tmp_path / "p.npy", probs)
  config = _config(f"own.py:label_issues,data={tmp_path}/x.npz")
  predictions.rank(config, tmp_path / "w", tmp_path / "p.npy", quiet=True)
  with (tmp_path / "w" / "issues.csv").open() as file:
    rows = [*csv.DictReader(file)]
  assert [row["id"] for row in rows] == names.tolist()
  assert [r["id"] for r in rows if r["is_label_issue"] == "True"] == ["07.png"]


def test_predictions_of_others_are_refused(found, tmp_path):
  workdir, _ = found
  config = _config(f"digits.py:label_issues,{_SMALL}")
  probs = np.load(workdir / "pred_probs.npy")
  np.save(tmp_path / "few.npy", probs[:9])
  np.savez(tmp_path / "ids.npz", pred_probs=probs[:9], ids=np.arange(9))
  np.savez(tmp_path / "name.npz", probs=probs)
  (tmp_path / "no.npy").write_text("no")
  np.save(tmp_path / "wide.npy", np.pad(probs, ((0, 0), (0, 1))))
  for name, message in {
    "few.npy": "a row for each of 400 labels, got 9",
    "wide.npy": "a column for each of 10 classes",
    "ids.npz": "none for 391, such as 9",
    "name.npz": "pred_probs must be an array of the file",
    "no.npy": "pred_probs must be a readable",
  }.items():
    with pytest.raises(UserError, match=message) as error:
      predictions.rank(config, tmp_path / "w", tmp_path / name, quiet=True)
    assert "\n" not in str(error.value)
  with pytest.raises(UserError, match="must hold no run"):
    path = workdir / "pred_probs.npy"
    predictions.rank(config, workdir, path, quiet=True)


def test_a_workdir_of_another_run_is_refused(found, tmp_path):
  workdir, _ = found
  config = _config("digits.py:label_issues,label_noise=symmetric,p=0.3")
  match = "a run of this config or none, got another config .*; try another"
  before = (workdir / "label_issues.md").stat()
  with pytest.raises(UserError, match=match):
    sweep.run(config, workdir, quiet=True)
  (tmp_path / "config.json").write_bytes((workdir / "config.json").read_bytes())
  config = _config(f"digits.py:label_issues,{_SMALL}")
  with pytest.raises(UserError, match=match):
    path = workdir / "pred_probs.npy"
    predictions.rank(config, tmp_path, path, quiet=True)
  assert (workdir / "label_issues.md").stat() == before
  assert len([*tmp_path.iterdir()]) == 1


def test_a_sweep_without_subsets_has_no_list(tmp_path, capsys):
  (tmp_path / "results.jsonl").write_text("")
  assert report_main.main([f"--label_issues={tmp_path}"]) == cli.REFUSED
  assert "must hold the runs on subsets" in capsys.readouterr().err
  assert report_main.main([f"--workdir={tmp_path}", "--labels_fixed"]) == 2
  assert "--labels_fixed must be with" in capsys.readouterr().err


def test_twins_and_small_classes_are_named(tmp_path):
  draw = np.random.default_rng(0)
  images = draw.integers(0, 256, (62, 4, 4, 1), np.uint8)
  labels = np.append(np.arange(60) % 2, [2, 2])
  images[7] = images[4]
  test = draw.integers(0, 256, (5, 4, 4, 1), np.uint8)
  test[3] = images[10]
  split = {"test_images": test, "test_labels": np.arange(5) % 3}
  names = np.array([f"{n:02}.png" for n in range(62)])
  np.savez(
    tmp_path / "x.npz",
    train_images=images,
    train_labels=labels,
    train_ids=names,
    class_names=["cat", "dog", "<script>"],
    **split,
  )
  config = _config(f"own.py:true_labels,data={tmp_path}/x.npz").to_dict()
  probs = 0.1 + 0.7 * np.eye(3)[labels]
  order = draw.permutation(62)
  records = Records(
    "", names[order], labels[order], labels[order], probs[order], config, 5
  )
  with pytest.warns(RuntimeWarning, match="images"):
    save(records, tmp_path)
  twins = _lines(tmp_path / "duplicates.csv")
  told = {(x["group"], x["split"], x["id"], x["label"]) for x in twins}
  groups = {x["id"]: x["group"] for x in twins}
  first, second = groups["04.png"], groups["10.png"]
  assert told == {
    (first, "train", "04.png", "0"),
    (first, "train", "07.png", "1"),
    (second, "train", "10.png", "0"),
    (second, "test", "3", "0"),
  }
  text = (tmp_path / "label_issues.md").read_text()
  assert "1 with different labels, 1 in the train and the test set" in text
  assert "fewer examples than the 5 runs" in text and "<script> (2)" in text


def test_detection_is_scikit_learns_on_the_same_scores(found, tmp_path):
  workdir, _ = found
  groups = row_files.load(workdir / "results.jsonl").groups
  (tmp_path / "cells").symlink_to(workdir / "cells")
  names = detection.write(groups, tmp_path)
  assert {*names} >= {"detection.csv", "detection.md", "detection.svg"}
  [row] = _lines(tmp_path / "detection.csv")
  given, true = _given(workdir)
  probs = np.load(workdir / "pred_probs.npy")
  own = probs[np.arange(400), given]
  auroc = metrics.roc_auc_score(true != given, -own)
  assert float(row["auroc_self_confidence"]) == pytest.approx(auroc)
  low, high = (
    float(row[f"auroc_self_confidence_{end}"]) for end in ("low", "high")
  )
  assert low < auroc <= high
  found_ap = float(row["ap_self_confidence"])
  want = metrics.average_precision_score(true != given, -own)
  assert found_ap == pytest.approx(want)
  assert int(row["wrong"]) == (true != given).sum()
  listed = label_issues.find(given, probs).listed
  real = (true != given)[listed].mean()
  assert float(row["real_precision"]) == pytest.approx(real)


def test_repair_trains_on_what_it_says(found, tmp_path):
  workdir, _ = found
  issues = _lines(workdir / "issues.csv")
  listed = {x["id"] for x in issues if x["is_label_issue"] == "True"}
  given, true = _given(workdir)
  predicted = np.array([int(x["predicted_label"]) for x in issues])
  at = np.array([x["id"] in listed for x in issues])
  fixed = np.where(at, predicted, given)
  groups = row_files.load(workdir / "results.jsonl").groups
  [one] = ensembles.levels(groups, workdir)
  todo = dict(repair.cells_of(one, tmp_path))
  assert len(todo) == 5 * len(_ARMS)
  without = set()
  for name, cell in todo.items():
    arm, _, seed = name.partition("-seed")
    assert cell.init_seed == cell.order_seed == int(seed)
    assert cell.corruption_seed == 0 and cell.member is None
    assert cell.epochs == 30
    if seed != "0" and arm != "random":
      continue
    loaded = task.load(cell)
    want = {"fixed": fixed, "true": true}.get(arm, given)
    left = np.isin(np.arange(400), loaded.train.given_ids)
    np.testing.assert_array_equal(loaded.train.labels, want[left])
    out = {str(i) for i in np.flatnonzero(~left)}
    assert len(out) == (len(listed) if arm in ("removed", "random") else 0)
    assert (out == listed) == (arm == "removed")
    if arm == "random":
      without.add(cell.without)
  assert len(without) == 5


def test_repair_is_held_against_the_same_seeds(found, tmp_path):
  workdir, _ = found
  first = json.loads((workdir / "results.jsonl").read_text().splitlines()[0])
  tested = {"given": (0.5, 0.6, 0.7), "fixed": (0.7, 0.8, 0.9)}
  kept = [
    first
    | {"cell": f"{arm}-seed{seed}", "test_accuracy": value}
    | {"config": first["config"] | {"seed": seed, "without": arm}}
    for arm, values in tested.items()
    for seed, value in enumerate(values)
  ]
  folder = tmp_path / "repair" / "level"
  folder.mkdir(parents=True)
  text = "".join(f"{json.dumps(row)}\n" for row in kept)
  (folder / "results.jsonl").write_text(text)
  assert "repair.svg" in repair_report.write([], tmp_path)
  given, fixed = _lines(tmp_path / "repair.csv")
  assert [given["arm"], fixed["arm"]] == ["given", "fixed"]
  # Student's t of three: 4.303 standard errors of 0.1 / sqrt(3).
  assert float(given["test_accuracy_high"]) == pytest.approx(0.848, abs=1e-3)
  for end in ("", "_low", "_high"):
    assert float(fixed[f"gain{end}"]) == pytest.approx(0.2)
  text = (tmp_path / "repair.md").read_text()
  assert "| listed fixed | 3 | 80.00 [55.16, 104.84] | +20.00" in text

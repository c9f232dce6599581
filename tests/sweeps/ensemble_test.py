"""An ensemble on subsets: who saw what, what is kept, what is said of it."""

import csv
import io
import pathlib
import re
import shutil

import numpy as np
import pytest
import small

from rethinking import config as config_lib
from rethinking import data, memorization, report
from rethinking.runtime import cli
from rethinking.runtime.errors import UserError
from rethinking.sweeps import estimate, grid
from rethinking.sweeps import run as sweep
from rethinking.sweeps.console import SweepConsole
from rethinking.training import loop, subsets, task

_FIELDS = {
  "ratio": 0.5,
  "members": 4,
  "permutations": 2,
  "per_example": True,
  "presentations": True,
  "early_epochs": 2,
  "el2n_epochs": (1, 3),
  "eval_epochs": 3,
  "batch_size": 8,
}


def _config(**fields):
  levels = {"e": {"variant": ("partial_labels",), "p": (0.0, 0.5)}}
  config = small.config(levels, subset=64, **_FIELDS)
  config.update({"variant": "memorization", "plots": True, **fields})
  return config


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("ensemble")
  config = _config(runs_at_once=8, learning_rate=3e-3)
  sweep.run(config, workdir, quiet=True)
  return workdir, grid.expand(config)


def _arrays(path):
  with np.load(io.BytesIO(path.read_bytes())) as found:
    return dict(found)


def _masks():
  train = data.load("digits", "train")
  return memorization.design(
    train.ids[:64], train.labels[:64], 0.5, members=4, permutations=2, seed=0
  )


def test_each_run_trains_on_its_subset_and_is_held_against_the_rest(ensemble):
  workdir, cells = ensemble
  assert len(cells) == 16
  for name, cell in cells.items():
    [_, last] = sorted((workdir / "cells" / name).glob("per_example/*.npz"))
    found = _arrays(last)
    inside = _masks()[cell.member]
    ids = data.load("digits", "train").ids[:64]
    np.testing.assert_array_equal(found["train_id"], ids[inside])
    np.testing.assert_array_equal(found["validation_id"], ids[~inside])
    given = found["validation_label"]
    shown = np.take_along_axis(
      found["validation_probabilities"], given[:, None], axis=1
    )
    np.testing.assert_allclose(
      shown[:, 0], np.exp(-found["validation_loss"]), rtol=1e-4
    )
    seen = _arrays(workdir / "cells" / name / "presentations.npz")
    np.testing.assert_array_equal(seen["id"], found["train_id"])
    np.testing.assert_array_equal(seen["times"], np.full(32, 3))


def test_corruption_is_of_all_and_the_rest_is_a_runs_own(ensemble):
  workdir, cells = ensemble
  whole = task.load(
    config_lib.resolve(
      small.as_run(subset=64, batch_size=8, label_noise="uniform", p=0.5)
    )
  )
  given = dict(zip(whole.train.ids.tolist(), whole.train.labels, strict=True))
  reports = set()
  for name, cell in cells.items():
    if cell.p == 0.5:
      loaded = task.load(cell)
      for split in (loaded.train, loaded.validation):
        want = [given[i] for i in split.ids.tolist()]
        np.testing.assert_array_equal(split.labels, want)
      reports.add((workdir / "cells" / name / "corruption.json").read_text())
    assert cell.corruption_seed == cell.validation_seed == 0
    assert cell.init_seed == cell.order_seed == cell.noise_seed == cell.member
  assert len(reports) == 1


def test_exact_counts_are_over_all_examples():
  cell = small.as_run(subset=64, label_noise="uniform", p=0.5, exact=True)
  ensemble = {k: _FIELDS[k] for k in ("ratio", "members", "permutations")}
  cell.update(batch_size=8, member=1, **ensemble)
  found = task.load(config_lib.resolve(cell))
  assert found.report["corruptions"][0]["drawn"] == 32
  assert len(found.train.ids) == len(found.validation.ids) == 32


def test_the_scores_are_those_of_the_runs(ensemble):
  workdir, cells = ensemble
  mine = {c.member: n for n, c in cells.items() if c.p == 0.5}
  masks = _masks()
  right = np.zeros(masks.shape, bool)
  ids = data.load("digits", "train").ids[:64].tolist()
  for member, name in mine.items():
    found = _arrays(max((workdir / "cells" / name).glob("per_example/*.npz")))
    for part in ("train", "validation"):
      for i, ok in zip(
        found[f"{part}_id"], found[f"{part}_correct"], strict=True
      ):
        right[member, ids.index(i)] = ok
  folder = workdir / "memorization" / "mlp_1x512-partial_labels-p0.5"
  lines = [*csv.DictReader(io.StringIO((folder / "examples.csv").read_text()))]
  assert [int(line["id"]) for line in lines] == sorted(ids)
  for line in lines:
    column = ids.index(int(line["id"]))
    inside = masks[:, column]
    assert int(line["k_in"]) == inside.sum() == 4
    mem = right[inside, column].mean() - right[~inside, column].mean()
    assert float(line["mem"]) == pytest.approx(mem, abs=1e-12)
  kept = _arrays(folder / "masks.npz")
  order = np.argsort(ids)
  np.testing.assert_array_equal(
    memorization.unpack(kept["masks"], 64), masks[:, order]
  )
  probabilities = np.load(io.BytesIO((folder / "pred_probs.npy").read_bytes()))
  assert probabilities.shape == (64, 10)
  np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


_COLUMNS = """id label true_label changed k_in k_out acc_in acc_out mem mem_low
  mem_high p_in p_out mem_p heldout_true forgetting never_learned aum loss_mean
  el2n"""


def _lines(folder):
  return [*csv.DictReader(io.StringIO((folder / "examples.csv").read_text()))]


def test_presentations_are_means_over_named_epochs_and_runs(ensemble):
  workdir, cells = ensemble
  sums = {}
  for name, cell in cells.items():
    if cell.p == 0.5:
      seen = _arrays(workdir / "cells" / name / "presentations.npz")
      for i, *values in zip(
        *(seen[k].tolist() for k in ("id", "margin", "loss", "error")),
        strict=True,
      ):
        sums.setdefault(i, []).append(values)
  lines = _lines(workdir / "memorization" / "mlp_1x512-partial_labels-p0.5")
  assert [*lines[0]] == _COLUMNS.split()
  for line in lines:
    want = np.mean(sums[int(line["id"])], axis=0) / 2
    found = [float(line[k]) for k in ("aum", "loss_mean", "el2n")]
    np.testing.assert_allclose(found, want, rtol=1e-6)
    assert 0 < found[2] < 2**0.5


def test_the_page_has_halves_differences_and_what_is_not_fitted(ensemble):
  text = (ensemble[0] / "memorization.md").read_text()
  rows = [line.split(" | ") for line in text.splitlines() if "| 0" in line]
  assert [row[:2] for row in rows] == [
    ["| 0", "label unchanged"],
    ["| 0.5", "label unchanged"],
    ["| 0.5", "label changed, not fitted"],
    ["| 0", "8"],
    ["| 0.5", "8"],
  ]
  assert [" to " in row[7] for row in rows[:3]] == [False, True, False]
  assert -1 < float(rows[3][3]) < 1
  assert [row[2] for row in rows[3:]] == ["0.354"] * 2


def test_rows_are_means_of_their_examples(ensemble):
  text = (ensemble[0] / "memorization.csv").read_text()
  for row in csv.DictReader(text.splitlines()):
    lines = _lines(ensemble[0] / "memorization" / row["name"])
    who = {"0": "label unchanged", "1": "label changed"}
    mine = [x for x in lines if who[x["changed"]] == row["examples"]]
    assert int(row["n"]) == len(mine)
    for name in ("acc_in", "acc_out", "mem", "p_in", "p_out", "mem_p"):
      want = np.mean([float(x[name]) for x in mine])
      assert float(row[name]) == pytest.approx(want)
    assert float(row["mem_low"]) < float(row["mem"]) < float(row["mem_high"])


def test_ones_own_images_with_names_have_scores(tmp_path):
  images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
  ids = np.array([f"{n}.png" for n in range(60)])
  labels = np.arange(60) % 3
  np.savez(tmp_path / "x.npz", images=images, labels=labels, ids=ids)
  configs = pathlib.Path(__file__).resolve().parents[2] / "configs"
  config = cli.load(
    f"{configs}/own.py:memorization,data={tmp_path}/x.npz,test_fraction=0.2,"
    "members=5,ratio=0.6,permutations=1,epochs=2,eval_epochs=2,batch_size=16"
  )
  sweep.run(config, tmp_path / "w", quiet=True)
  (path,) = (tmp_path / "w").rglob("examples.csv")
  rows = [*csv.DictReader(path.read_text().splitlines())]
  assert {row["id"] for row in rows} < {*ids}
  assert {(row["k_in"], row["k_out"]) for row in rows} == {("3", "2")}


def test_only_whole_permutations_count(ensemble, tmp_path):
  shutil.copytree(ensemble[0], tmp_path, dirs_exist_ok=True)
  shutil.rmtree(tmp_path / "cells" / "mlp_1x512-true_labels-member6")
  report.draw(tmp_path)
  kept = _arrays(tmp_path / "memorization" / "mlp_1x512-true_labels/masks.npz")
  np.testing.assert_array_equal(
    memorization.unpack(kept["masks"], 64), _masks()[:4]
  )


def test_time_and_standard_error_are_said_before_the_start(ensemble, capsys):
  console = SweepConsole(16, "memorization")
  estimate.say(console, [(ensemble[1], 1, 2)])
  found = capsys.readouterr().out
  assert re.match(r"About \d+:\d\d:\d\d for 16 runs\. An example's", found)
  assert "at most 0.354, that of shares of 1/2" in found
  estimate.say(console, [({"one": small.as_run()}, 1, 2)])
  assert not capsys.readouterr().out


def test_a_finished_ensemble_is_held_against_a_reference(
  ensemble, tmp_path, monkeypatch, capsys
):
  workdir = tmp_path / "w"
  shutil.copytree(ensemble[0], workdir)
  train = data.load("digits", "train")
  scores = [float(x["p_out"]) for x in _lines(next(workdir.glob("mem*/*tr*")))]
  path = tmp_path / "scores.npz"
  np.savez(path, scores=scores, labels=train.labels[:64])
  monkeypatch.setattr(loop.Loop, "run", None)
  asked = {"runs_at_once": 8, "learning_rate": 3e-3, "reference": str(path)}
  sweep.run(_config(**asked), workdir, quiet=True)
  text = (workdir / "memorization.md").read_text()
  row = next(x for x in text.splitlines() if x.startswith("| 0 | 64 |"))
  assert row.split(" | ")[2:5] == ["1.000", "1.000", "1.000"]
  assert row.endswith("| 1.000 |")
  assert (next(workdir.glob("mem*/*tr*")) / "reference.svg").exists()
  sweep.run(_config(**asked), workdir)
  assert "Finished already" in capsys.readouterr().out
  path.unlink()
  report.draw(workdir)
  assert (
    "reference must be a readable .npz or .npy"
    in (workdir / "memorization.md").read_text()
  )


@pytest.mark.parametrize(
  ("scores", "labels", "message"),
  [(63, 0, "for each of 64 examples"), (64, 3, "labels of the reference must")],
)
def test_another_reference_is_refused_before_the_start(
  tmp_path, scores, labels, message
):
  own = data.load("digits", "train").labels[:scores]
  own = own.copy()
  own[:labels] += 1
  path = tmp_path / "scores.npz"
  np.savez(path, scores=np.ones(scores), labels=own)
  with pytest.raises(UserError, match=message):
    sweep.run(_config(reference=str(path)), tmp_path / "w", quiet=True)
  assert not (tmp_path / "w").exists()


def test_drawn_again_the_files_are_the_same(ensemble):
  workdir, _ = ensemble
  files = [*workdir.glob("memor*"), *workdir.glob("memorization/*/*")]
  before = {path: path.read_bytes() for path in files if path.is_file()}
  assert {path.name for path in before} >= {"memorization.png", "images.png"}
  assert {"memorization.md", "mem.png"} <= {*report.draw(workdir)} | {"mem.png"}
  for path, content in before.items():
    assert path.read_bytes() == content, path


def test_a_report_is_drawn_where_the_data_are_not(
  ensemble, tmp_path, monkeypatch
):
  def gone(*args, **places):
    raise UserError("no data here")

  shutil.copytree(ensemble[0], tmp_path, dirs_exist_ok=True)
  monkeypatch.setattr(data, "load", gone)
  names = {name.rpartition("/")[2] for name in report.draw(tmp_path)}
  assert "mem.png" in names and "images.png" not in names


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    ({"member": 3}, "must be given together"),
    (
      {"member": 8, **_FIELDS},
      "below members x permutations = 8, got 8; try 7",
    ),
    ({"member": 0, **_FIELDS, "ratio": 0.3}, "ratio"),
    ({"member": 0, **_FIELDS, "ratio": 1.0}, "ratio"),
    ({"member": 0, **_FIELDS, "validation": 9}, "must be 0, stop_at_fit"),
    ({"member": 0, **_FIELDS, "stop_at_fit": True}, "stop_at_fit false"),
    ({"member": 0, **_FIELDS, "schedule": "plateau"}, "not plateau in a run"),
    ({"member": 0, **_FIELDS, "batch_size": 40}, "batch_size"),
    ({"member": 0, **_FIELDS, "without": "3"}, "without must be empty"),
    ({"without": "3", "validation": 9}, "without must be empty"),
    ({"without": "3+x"}, "some of the 64 train ids, joined by"),
    ({"without": "64"}, "joined by .*, got '64'; try such as 0"),
    ({"el2n_epochs": (1, 4)}, "at most epochs, 3, got"),
    ({"el2n_epochs": (0,)}, "el2n_epochs must be epochs, from 1, got"),
  ],
)
def test_what_is_no_run_of_an_ensemble_is_refused(fields, message):
  with pytest.raises(UserError, match=message) as error:
    task.load(config_lib.resolve(small.as_run(subset=64, **fields)))
  assert "\n" not in str(error.value)


def test_a_run_without_ids_of_any_name():
  names = ["a", "a+b", "50%2B", "b", "c++"]
  images = np.arange(5 * 16, dtype=np.uint8).reshape(5, 4, 4)
  train = data.Dataset.from_arrays(images, [0, 1, 0, 1, 0], ids=names)
  config = small.as_run(dataset="own", data="x")
  for removed in (["a+b"], ["50%2B", "c++"], ["a", "b", "a+b"]):
    config.without = subsets.joined(removed)
    kept, left = subsets.rows(config, train)
    assert {*train.given_ids[left].tolist()} == {*removed}
    assert len(kept) + len(left) == 5

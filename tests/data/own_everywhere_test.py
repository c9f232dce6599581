"""A user's own data in exports, sweeps, theory and reports."""

import csv
import json
import sys

import numpy as np
import pytest
from own_sets import CLASSES, TRAIN, config, make, pair, write_folder, write_npz

import rethinking
from rethinking import config as config_lib
from rethinking import data
from rethinking.exports.verify import verify
from rethinking.exports.write import write
from rethinking.report import row_files
from rethinking.runtime.errors import UserError
from rethinking.storage import jsonl
from rethinking.theory import config as theory


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """The 500 images as class folders."""
  return write_folder(tmp_path_factory.mktemp("own") / "set", *make())


def test_an_export_names_the_files_and_trains_again(folder, tmp_path):
  c = config(folder, p=0.4)
  facts = write(c, tmp_path / "out")
  assert verify(c, tmp_path / "out") == []
  found = np.load(tmp_path / "out/labels.npz")
  assert {*found["id"]} == {*make()[2][:TRAIN]}
  with (tmp_path / "out/labels.csv").open() as file:
    rows = [*csv.DictReader(file)]
  assert [row["id"] for row in rows] == found["id"].tolist()
  assert {row["changed"] for row in rows} == {"0", "1"}
  c = config(folder, "true_labels", label_noise="given")
  c.labels = str(tmp_path / "out/labels.csv")
  rethinking.run(c, tmp_path / "again")
  again = json.loads((tmp_path / "again/corruption.json").read_text())
  for name in ("labels_sha256", "flip_rate", "transition_counts"):
    assert again[name] == facts[name]


def test_an_export_of_colour_with_opacity(tmp_path):
  made = make(30, 4)
  path = write_npz(tmp_path / "a.npz", *made, train=20)
  facts = write(config(path, "random_pixels", batch_size=8), tmp_path / "out")
  assert np.load(tmp_path / "out/images.npy").shape == (20, 16, 16, 4)
  assert facts["source"]["train"].startswith("own train sha256:")


def _sweep(path):
  c = config(path)
  c.update(experiment="sweep", variant="levels", p=0.0, label_noise=None)
  levels = {"variant": ("partial_labels",), "p": (0.2, 0.6)}
  c.grids = {"levels": {**levels, "seed": (0, 1)}}
  return c.lock()


def test_a_sweep_continues_and_knows_chance(folder, tmp_path):
  c = _sweep(folder)
  rethinking.run(c, tmp_path)
  results = jsonl.JsonLines(tmp_path / "results.jsonl")
  rows = results.rows()
  assert len(rows) == 4
  assert {row["config"]["data"] for row in rows} == {str(folder)}
  groups = row_files.load(tmp_path / "results.jsonl").groups
  assert {round(100 * group.chance, 1) for group in groups} == {33.3}
  # What is lost is made again, on the same data alone.
  lines = (tmp_path / "results.jsonl").read_text().splitlines(keepends=True)
  (tmp_path / "results.jsonl").write_text("".join(lines[:3]))
  (tmp_path / "summary.json").unlink()
  rethinking.run(c, tmp_path)
  assert len(results.rows()) == 4


def test_a_sweep_on_arrays_refuses_others(tmp_path):
  images, labels, names = make()
  train, test = (
    data.Dataset.from_arrays(images[r], labels[r], ids=names[r])
    for r in (slice(TRAIN), slice(TRAIN, None))
  )
  c = _sweep("left out")
  rethinking.run(c, tmp_path, train=train, test=test)
  other = data.Dataset.from_arrays(255 - train.images, train.labels)
  with pytest.raises(UserError, match="data"):
    rethinking.run(c, tmp_path, train=other, test=test)


def test_theory_takes_it(folder, tmp_path):
  c = theory.create("kernel", "own")
  c.update(data=str(folder), subset=100, plots=False, label_noise="uniform")
  c.levels = (0.0, 0.5)
  rethinking.run(c, tmp_path)
  assert any(tmp_path.iterdir())


def test_the_config_file_takes_a_path(folder, monkeypatch):
  monkeypatch.syspath_prepend("configs")
  monkeypatch.delitem(sys.modules, "own", raising=False)
  import own

  c = own.get_config(f"partial_labels,p=0.3,data={folder},resize=8")
  c = config_lib.resolve(c)
  assert (c.data, c.resize, c.p, c.crop) == (str(folder), 8, 0.3, 0)
  assert data.shape(c) == (8, 8, 1)
  for name in ("figure1", "levels", "portions", "redraw"):
    assert own.get_config(f"{name},data={folder}").experiment == "sweep"
  assert own.get_config(f"kernel,data={folder}").data == str(folder)
  assert CLASSES == pair(folder)[0].class_names


def test_a_torch_set_goes_in_by_two_lines():
  torch_data = pytest.importorskip("torch.utils.data")
  images, labels, _ = make(30)

  class Whole(torch_data.Dataset):
    def __len__(self):
      return len(images)

    def __getitem__(self, i):
      return images[i], labels[i]

  pairs = [Whole()[i] for i in range(30)]
  got, given = zip(*((np.asarray(x), int(y)) for x, y in pairs), strict=True)
  train = data.Dataset.from_arrays(np.stack(got), np.array(given))
  np.testing.assert_array_equal(train.images[..., 0], images)
  np.testing.assert_array_equal(train.labels, labels)

"""What is read back as a stranger left it: swapped, forged, made to do harm.

The sums of what is forged are made anew, as who edits on purpose does.
"""

import json
import pathlib
import shutil

import damage
import numpy as np
import pytest
from etils import epath
from refusals import refused

import rethinking
from rethinking import report
from rethinking.report import committed, row_files
from rethinking.storage import checksums, reading
from rethinking.sweeps import run as sweep
from rethinking.training import run as train

_FIELDS = {"per_example": True, "variant": "partial_labels"}
_FIELDS |= {"label_noise": "uniform", "p": 0.4}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
  """Two finished runs, of other seeds."""
  place = tmp_path_factory.mktemp("runs")
  for seed in (0, 1):
    config = damage.run(seed=seed, **_FIELDS)
    train.run(config, place / str(seed), quiet=True)
  return place


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
  folder = tmp_path_factory.mktemp("swept") / "sweep"
  sweep.run(damage.sweep(), folder, quiet=True)
  return folder


def _sum_anew(folder):
  names = json.loads((folder / checksums.NAME).read_text())
  checksums.write(epath.Path(folder), names)


def _unfinished(folder):
  for name in ("summary.json", checksums.NAME):
    (folder / name).unlink()


@pytest.mark.parametrize(
  ("text", "words"),
  [
    ('{"a": 1e400}', "1e400 is not JSON"),
    ('{"a": -1e999}', "-1e999 is not JSON"),
    ('{"a": 1%s}' % ("0" * 400), "is not JSON"),
    ('{"a": 1, "a": 2}', "twice"),
    ('{"a": {"b": 1, "b": 1}}', "twice"),
    ("\ufeff{}", "BOM"),
    ('{"a": "\\ud800"}', "utf-8"),
    ('{"\\uDFFF": 1}', "utf-8"),
  ],
)
def test_json_that_reads_in_two_ways_is_refused(text, words):
  refused(lambda: reading.loads(text.encode()), words)


def test_json_of_two_bytes_a_letter_is_refused():
  refused(lambda: reading.loads('{"a": 1}'.encode("utf-16")), "utf-8")


def test_json_of_every_character_is_read():
  assert reading.loads(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}
  assert reading.loads(b'{"a": -0.0, "b": 18446744073709551616}')


def test_the_config_of_a_finished_run_is_the_one_it_had(runs, tmp_path):
  folder = damage.copy(runs / "0", tmp_path / "w")
  shutil.copy(runs / "1/config.json", folder)
  other = damage.run(seed=1, **_FIELDS)
  for act in (
    lambda: train.run(other, folder, quiet=True),
    lambda: report.redraw(folder),
    lambda: report.compare([folder, runs / "1"], tmp_path / "out"),
    lambda: rethinking.load(folder),
  ):
    refused(act, "damaged file config.json")


def test_a_checkpoint_of_another_run_is_refused(runs, tmp_path):
  folder = damage.copy(runs / "0", tmp_path / "w")
  _unfinished(folder)
  damage.copy(runs / "1/checkpoints", folder / "checkpoints")
  shutil.copy(runs / "1/metrics.jsonl", folder)
  config = damage.run(seed=0, **_FIELDS)
  refused(
    lambda: train.run(config, folder, quiet=True), "that of another", "seed"
  )


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"train_loss": [1]}, "'train_loss' must be a number"),
    ({"test_loss": "1"}, "'test_loss' must be a number"),
    ({"test_accuracy": True}, "'test_accuracy' must be a number in [0, 1]"),
    ({"test_accuracy": -0.1}, "'test_accuracy' must be a number in [0, 1]"),
    ({"eval_seconds": -1.0}, "'eval_seconds' must be a number from 0"),
    ({"epoch": -1}, "'epoch' must be a whole number"),
    ({"epoch": 10**300}, "'epoch' must be a whole number"),
    ({"step": 0}, "'step' must be above 0"),
  ],
)
def test_an_evaluation_that_none_leaves_is_named(runs, tmp_path, change, words):
  folder = damage.copy(runs / "0", tmp_path / "w")
  _unfinished(folder)
  path = folder / "metrics.jsonl"
  rows = [json.loads(line) for line in path.read_text().splitlines()]
  rows[1] |= change
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  for act in (
    lambda: report.redraw(folder),
    lambda: report.compare([folder, runs / "1"], tmp_path / "out"),
  ):
    refused(act, str(path), "evaluation 2", words)


@pytest.mark.parametrize("change", [{"p": "x"}, {"arch": 5}, {"p": None}, None])
def test_the_config_of_an_unfinished_run_is_looked_at(runs, tmp_path, change):
  folder = damage.copy(runs / "0", tmp_path / "w")
  _unfinished(folder)
  path = folder / "config.json"
  config = json.loads(path.read_text()) | change if change else {}
  path.write_text(json.dumps(config))
  for act in (
    lambda: report.redraw(folder),
    lambda: report.compare([folder, runs / "1"], tmp_path / "out"),
  ):
    refused(act, str(path), "damaged")


@pytest.mark.parametrize(
  "change",
  [
    {"curve": "abc"},
    {"curve": {"step": 5}},
    {"curve": {"step": [0], "epoch": [0, 1]}},
    {"curve": {"step": [1, 0], "epoch": [0, 1]}},
    {"curve": {"step": [0], "epoch": [0], "train_loss": ["a"]}},
    {"num_classes": "x"},
    {"num_classes": True},
    {"test_accuracy": True},
    {"test_accuracy": 5.0},
    {"steps_to_fit": [1]},
    {"steps": "a"},
    {"steps": -5},
    {"epoch": "x"},
    {"flip_rate": 2.0},
    {"figure": "../../x"},
    {"figure": ""},
    {"cell": "../../x"},
    {"cell": "a\0b"},
    {"cell": "x" * 5000},
    {"status": "gone"},
    {"config": {"arch": "mlp_1x512"}},
  ],
)
def test_a_row_that_no_sweep_leaves_is_named(swept, tmp_path, change):
  folder = damage.copy(swept, tmp_path / "w")
  _unfinished(folder)
  path = folder / "results.jsonl"
  rows = [json.loads(line) for line in path.read_text().splitlines()]
  rows[1] |= change
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  refused(lambda: report.redraw(folder), f"{path}, line 2")


@pytest.mark.parametrize(
  ("field", "value"),
  [("p", "x"), ("p", -1), ("seed", [1]), ("epochs", "x"), ("label_noise", 5)],
)
def test_the_config_of_a_row_is_looked_at(swept, field, value):
  row = json.loads((swept / "results.jsonl").read_text().splitlines()[1])
  assert row_files.trouble(row) is None
  row["config"][field] = value
  assert field in row_files.trouble(row)


@pytest.mark.parametrize("listed", [[1, 2], [["a"]], ["../.."], ["\0"], {}, ""])
def test_names_of_cells_that_are_none_are_refused(tmp_path, listed):
  (tmp_path / "cells.json").write_text(json.dumps({"cells": listed}))
  refused(lambda: report.progress(tmp_path), "cells.json is damaged")


@pytest.mark.parametrize("kind", ["FIFO", "folder", "huge", "device", "deep"])
def test_a_list_of_cells_that_is_no_file_is_refused(tmp_path, kind):
  (tmp_path / "cells.json").write_text('{"cells": []}')
  damage.DAMAGE[kind](tmp_path / "cells.json")
  refused(lambda: report.progress(tmp_path), "cells.json is damaged")


def _about(**changes):
  return lambda x: np.array(json.dumps(json.loads(str(x)) | changes))


@pytest.mark.parametrize(
  ("name", "change"),
  [
    ("params/logits/kernel", lambda x: x[:-1]),
    ("params/logits/kernel", lambda x: x.T),
    ("params/logits/bias", lambda x: x.astype(str)),
    ("about", lambda x: np.array(5)),
    ("about", lambda x: np.array("[1]")),
    ("about", lambda x: np.array("[" * 60_000)),
    ("about", _about(class_names=5)),
    ("about", _about(class_names=["a"])),
    ("about", _about(image_shape=[8, 8])),
  ],
)
def test_a_model_of_other_arrays_is_refused(runs, tmp_path, name, change):
  folder = damage.copy(runs / "0", tmp_path / "w")
  damage.forge(folder / "model.npz", **{name: change})
  _sum_anew(folder)
  refused(lambda: rethinking.load(folder), "model.npz is damaged")


@pytest.mark.parametrize("change", [{"crop": "x"}, {"arch": None}, {"p": 7}])
def test_a_model_of_another_config_is_refused(runs, tmp_path, change):
  folder = damage.copy(runs / "0", tmp_path / "w")
  path = folder / "config.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | change))
  _sum_anew(folder)
  refused(lambda: rethinking.load(folder), "damaged")


def test_a_cell_nested_too_deeply_is_text(swept, tmp_path):
  text = (swept / "table.csv").read_text()
  path = pathlib.Path(tmp_path / "table.csv")
  path.write_text(text.replace("mlp_1x512", "[" * 9000, 1))
  assert committed._value("[" * 9000) == "[" * 9000
  committed.read(epath.Path(path))

"""What is read back as a stranger left it: swapped, forged, made to do harm.

The sums of what is forged are made anew, as who edits on purpose does.
"""

import io
import json
import pathlib
import shutil
import struct
import zipfile

import damage
import numpy as np
import pytest
from etils import epath
from refusals import refused

import rethinking
from rethinking import report
from rethinking.corruptions import array_files
from rethinking.memorization import agreement
from rethinking.report import committed, ensembles, memorization, row_files
from rethinking.storage import checksums, reading
from rethinking.sweeps import predictions
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


_IDS, _LABELS = np.arange(4), np.zeros(4, int)


def _read_predictions(path):
  return predictions.read(path, _IDS)


def _read_scores(path):
  return agreement.read(path, _IDS, _LABELS)


def test_an_array_that_is_there_twice_is_refused(tmp_path):
  path = tmp_path / "x.npz"
  np.savez(path, a=_IDS)
  other = io.BytesIO()
  np.save(other, _IDS[::-1])
  with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning):
    archive.writestr("a.npy", other.getvalue())
  for act in (
    lambda: array_files.read_npz(path, ["a"], most_bytes=2**20),
    lambda: array_files.npz_headers(path),
  ):
    refused(act, "twice")


def test_no_list_of_arrays_fills_the_memory(tmp_path):
  path = tmp_path / "x.npz"
  end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 2**32 - 2, 5, 0)
  with path.open("wb") as file:
    file.truncate(2**33)
    file.seek(2**33)
    file.write(end)
  refused(
    lambda: array_files.read_npz(path, ["a"], most_bytes=2**40),
    "its list of arrays has 4294967294 bytes",
  )
  refused(lambda: array_files.npz_headers(path), "its list of arrays")


@pytest.mark.parametrize("kind", ["FIFO", "folder", "device"])
def test_headers_are_of_files_alone(tmp_path, kind):
  path = tmp_path / "x.npz"
  np.savez(path, a=_IDS)
  damage.DAMAGE[kind](path)
  refused(lambda: array_files.npz_headers(path), "not a file")


@pytest.mark.parametrize("read", [_read_predictions, _read_scores])
def test_a_large_npy_of_nothing_is_refused(tmp_path, read):
  path = tmp_path / "x.npy"
  header = {"descr": "<f4", "fortran_order": False, "shape": (2**31,)}
  with path.open("wb") as file:
    np.lib.format.write_array_header_1_0(file, header)
    file.truncate(file.tell() + 2**33)
  refused(lambda: read(path), "bytes, more than")


@pytest.mark.parametrize(
  ("read", "name", "shape"),
  [(_read_predictions, "pred_probs", (8, 3)), (_read_scores, "scores", (8,))],
)
def test_an_id_that_is_there_twice_is_refused(tmp_path, read, name, shape):
  path = tmp_path / "x.npz"
  np.savez(path, ids=np.tile(_IDS, 2), **{name: np.ones(shape)})
  refused(lambda: read(path), "once each")


@pytest.mark.parametrize(("probs", "ids"), [(3.0, _IDS), (np.ones((4, 3)), 4)])
def test_predictions_of_no_rows_are_refused(tmp_path, probs, ids):
  path = tmp_path / "x.npz"
  np.savez(path, pred_probs=probs, ids=ids)
  refused(lambda: _read_predictions(path), "ids of pred_probs must")


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
  """Two finished runs on subsets, and the rows of them."""
  folder = tmp_path_factory.mktemp("ensemble") / "w"
  config = damage.run(
    experiment="sweep",
    variant="memorization",
    batch_size=16,
    presentations=True,
    per_example=True,
    members=2,
    permutations=1,
    ratio=0.5,
    runs_at_once=2,
  )
  config.grids = {"g": {"member": (0, 1), "variant": ("true_labels",)}}
  sweep.run(config, folder, quiet=True)
  text = (folder / "results.jsonl").read_text()
  return folder, [json.loads(line) for line in text.splitlines()]


def _arrays(path, **changes):
  with np.load(path) as kept:
    arrays = dict(kept)
  for name, change in changes.items():
    arrays[name] = change(arrays[name])
  np.savez(path, **arrays)


@pytest.mark.parametrize("sums", [True, False])
@pytest.mark.parametrize(
  ("name", "change"),
  [
    ("train_label", lambda x: (x + 1) % 10),
    ("train_label", lambda x: x.astype(float)),
    ("train_loss", lambda x: -1 - x),
    ("test_correct", lambda x: x[:-1]),
    ("test_correct", lambda x: x[None]),
  ],
)
def test_the_arrays_of_a_run_are_those_it_left(
  ensemble, tmp_path, name, change, sums
):
  whole, rows = ensemble
  folder = damage.copy(whole, tmp_path / "w")
  assert ensembles.read(rows, epath.Path(folder / "cells")) is not None
  own = folder / "cells" / rows[0]["cell"] / "per_example"
  _arrays(max(own.glob("*.npz")), **{name: change})
  if not sums:
    (own / checksums.NAME).unlink()
  refused(lambda: ensembles.read(rows, epath.Path(folder / "cells")), "cells")


@pytest.mark.parametrize("name", ["presentations.npz", "per_example"])
def test_the_arrays_of_two_runs_are_not_mixed(ensemble, tmp_path, name):
  whole, rows = ensemble
  folder = damage.copy(whole, tmp_path / "w")
  one, other = (folder / "cells" / row["cell"] for row in rows[:2])
  path = one / name
  if path.is_dir():
    path = max(path.glob("*.npz"))
  shutil.copy(other / path.relative_to(one), path)
  refused(
    lambda: ensembles.read(rows, epath.Path(folder / "cells")),
    "has a damaged file",
  )


@pytest.mark.parametrize(
  ("name", "text"),
  [
    ("influence.csv", "a,b\n1\n"),
    ("influence.csv", "train_id,test_id,influence\n1,2,1e400\n"),
    ("causal.csv", "test_id,without_top,without_random,runs\n1,x,1,1\n"),
    ("influence.json", '{"threshold": "x"}'),
  ],
)
def test_what_was_found_of_influence_is_looked_at(tmp_path, name, text):
  (tmp_path / name).write_text(text)
  refused(lambda: memorization._leaning(epath.Path(tmp_path)), name)


@pytest.mark.parametrize("kind", ["FIFO", "folder", "garbage", "huge"])
def test_influence_that_is_no_file_is_refused(tmp_path, kind):
  path = tmp_path / "influence.csv"
  path.write_text("train_id,test_id,influence\n")
  damage.DAMAGE[kind](path)
  refused(lambda: memorization._leaning(epath.Path(tmp_path)), path.name)


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
  _arrays(folder / "model.npz", **{name: change})
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

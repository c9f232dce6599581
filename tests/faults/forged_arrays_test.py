"""Arrays as a stranger left them: twice in a file, endless, of another run."""

import io
import json
import shutil
import struct
import zipfile

import damage
import numpy as np
import pytest
from etils import epath
from refusals import refused

from rethinking.corruptions import array_files
from rethinking.memorization import agreement
from rethinking.report import ensembles, memorization
from rethinking.storage import checksums
from rethinking.sweeps import predictions
from rethinking.sweeps import run as sweep

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
  damage.forge(max(own.glob("*.npz")), **{name: change})
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
    (
      "causal.csv",
      "test_id,without_top,without_random,runs,removed\n1,x,1,1,2+3\n",
    ),
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

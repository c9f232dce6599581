"""A trained model comes out: to predict with, and as files."""

import json
import shutil

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from refusals import refused

import rethinking
from rethinking import config as config_lib
from rethinking import data, models
from rethinking.export import main_model
from rethinking.storage import checksums
from rethinking.training import placement


def _run(workdir, grids=None, **fields):
  config = config_lib.default()
  small = {"dataset": "digits", "arch": "mlp_1x512", "subset": 100}
  small |= {"batch_size": 32, "epochs": 3, "compilation_cache": False}
  small |= {"plots": False, "tensorboard": False, **fields}
  config.update(small)
  if grids is not None:
    config.update({"experiment": "sweep", "grids": ConfigDict(grids)})
  # The model is on one device, too.
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(placement, "all_devices", lambda: jax.devices()[:1])
    return rethinking.run(config, workdir)


_ROUNDS = {
  "mlp": {"arch": "mlp_1x512", "p": 0.0},
  "cnn": {"arch": "digits_cnn", "normalization": "global"},
  # Two batches, the second of which is filled up; weights of an earlier epoch.
  "best": {
    "eval_batch_size": 200,
    "validation": 50,
    "early_stopping": 1,
    "learning_rate": 0.02,
    "p": 1.0,
    "epochs": 9,
  },
}


@pytest.fixture(scope="module", params=_ROUNDS)
def trained(request, tmp_path_factory):
  workdir = tmp_path_factory.mktemp(request.param)
  fields = {"label_noise": "uniform", "p": 0.3, **_ROUNDS[request.param]}
  summary = _run(workdir, per_example=True, **fields)
  return workdir, summary, rethinking.load(workdir)


def _images():
  return data.load("digits", "test").images


def _last(workdir, epoch):
  rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
  (step,) = (row["step"] for row in rows if row["epoch"] == epoch)
  with np.load(workdir / "per_example" / f"step_{step:08d}.npz") as found:
    return dict(found)


def test_it_predicts_what_the_run_did_to_the_bit(trained):
  workdir, summary, model = trained
  best = summary.get("best_epoch", summary["epoch"])
  if "best" in workdir.name:
    assert best < summary["epoch"]
  seen = _last(workdir, best)
  np.testing.assert_array_equal(
    model.predict(_images()), seen["test_probabilities"]
  )
  found = model.evaluate(_images(), seen["test_label"])
  assert found["loss"] == summary["test_loss"]
  assert found["accuracy"] == summary["test_accuracy"]


def test_any_batch_size_will_do(trained):
  _, _, model = trained
  images = _images()
  whole = model.predict(images)
  # The last: two batches, of which the second begins within the first.
  for rows in (slice(0, 1), slice(7, 12), slice(0, 359)):
    np.testing.assert_allclose(
      model.predict(images[rows, ..., 0]), whole[rows], atol=1e-5
    )
  assert whole.dtype == np.float32
  np.testing.assert_allclose(whole.sum(-1), 1, atol=1e-6)


def test_logits_and_features_are_those_of_the_last_layer(trained):
  _, _, model = trained
  images = _images()[:40]
  features, logits = model.features(images), model.logits(images)
  last = model.params["logits"]
  np.testing.assert_allclose(
    features @ last["kernel"] + last["bias"], logits, atol=1e-4
  )
  shown = np.exp(logits - logits.max(-1, keepdims=True))
  np.testing.assert_allclose(
    shown / shown.sum(-1, keepdims=True), model.predict(images), atol=1e-6
  )


def test_exported_arrays_and_words_build_the_model_again(trained, tmp_path):
  workdir, _, model = trained
  code = main_model([f"--model={workdir}", f"--out={tmp_path / 'o'}"])
  assert code == 0
  about = json.loads((tmp_path / "o" / "architecture.json").read_text())
  with np.load(tmp_path / "o" / "parameters.npz") as found:
    arrays = dict(found)
  params = {}
  for name, values in arrays.items():
    kind, layer, leaf = name.split("/")
    assert kind == "params"
    params.setdefault(layer, {})[leaf] = values
  module = models.create(about["architecture"], about["num_classes"])
  x = _images()[:5].astype(np.float32) / 255
  if about["normalization"] == "global":
    x = (x - np.float32(about["mean"])) / np.float32(about["std"])
  else:
    assert about["mean"] is None
    x = x - x.mean((1, 2, 3), keepdims=True)
    std = np.sqrt(np.square(x).mean((1, 2, 3), keepdims=True))
    x = x / np.maximum(std, x[0].size ** -0.5)
  np.testing.assert_allclose(
    module.apply({"params": params}, x, train=False),
    model.logits(_images()[:5]),
    atol=1e-4,
  )
  sums = (tmp_path / "o" / "SHA256SUMS").read_text().split()
  assert sums[1::2] == ["parameters.npz", "architecture.json"]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("one")
  _run(workdir, epochs=1)
  return workdir


@pytest.mark.parametrize(
  ("images", "words"),
  [
    (
      np.zeros((2, 8, 9), np.uint8),
      "must be of shape ['N', 8, 8, 1], got [2, 8, 9, 1]",
    ),
    (np.zeros((2, 8, 8, 3), np.uint8), "must be of shape"),
    (np.zeros((2, 8, 8)), "must be uint8"),
    (np.zeros((0, 8, 8), np.uint8), "must be of shape"),
  ],
)
def test_other_images_are_refused(one, images, words):
  model = rethinking.load(one)
  for act in (model.predict, model.features, model.logits):
    refused(lambda act=act: act(images), words)


@pytest.mark.parametrize("labels", [[0], [0, 10], [-1, 0], [0.0, 1.0]])
def test_other_labels_are_refused(one, labels):
  model = rethinking.load(one)
  images = np.zeros((2, 8, 8), np.uint8)
  refused(lambda: model.evaluate(images, labels), "labels must be")


def test_a_sweeps_run_leaves_its_model_when_asked(tmp_path):
  grids = {"g": {"variant": ("true_labels",), "seed": (0, 1)}}
  _run(tmp_path / "on", grids, runs_at_once=2, keep_params=True)
  refused(
    lambda: rethinking.load(tmp_path / "on"), "got a sweep", "a run of it"
  )
  test = data.load("digits", "test")
  for folder in (tmp_path / "on" / "cells").iterdir():
    summary = json.loads((folder / "summary.json").read_text())
    found = rethinking.load(folder).evaluate(test.images, test.labels)
    np.testing.assert_allclose(found["loss"], summary["test_loss"], rtol=1e-5)
  _run(tmp_path / "off", grids, runs_at_once=1, epochs=1)
  for folder in (tmp_path / "off" / "cells").iterdir():
    refused(lambda f=folder: rethinking.load(f), "one without model.npz")


def _damaged(folder):
  path = folder / "model.npz"
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)


def _other(folder):
  # With sums of its own.
  (folder / "model.npz").write_bytes(b"PK")
  checksums.write(folder, ("model.npz",))


@pytest.mark.parametrize(
  ("act", "words"),
  [
    (lambda w: (w / "config.json").unlink(), "got no config.json"),
    (lambda w: (w / "summary.json").unlink(), "has not finished"),
    (lambda w: (w / "model.npz").unlink(), "without model.npz"),
    (_damaged, "damaged file model.npz"),
    (_other, "is damaged"),
  ],
)
def test_what_is_no_finished_run_is_refused(one, tmp_path, act, words):
  shutil.copytree(one, tmp_path / "w")
  before = rethinking.load(tmp_path / "w")
  assert before.class_names == tuple(map(str, range(10)))
  act(tmp_path / "w")
  there = sorted(tmp_path.rglob("*"))
  refused(lambda: rethinking.load(tmp_path / "w"), words)
  assert sorted(tmp_path.rglob("*")) == there

"""The kernel experiment on real digits, end to end."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from rethinking import data
from rethinking.runtime import errors
from rethinking.theory import cholesky, config, kernel, plan, task

_FIGURES = [f"{n}.{e}" for n in ("noise", "ridge") for e in ("png", "svg")]


def _config(**fields):
  c = config.kernel("digits")
  c.update({"compilation_cache": False} | fields)
  return c


def test_digits_true_labels(tmp_path):
  summary = kernel.run(_config(), tmp_path, quiet=True)
  assert summary["train_accuracy"] == 1.0 and summary["train_error"] == 0.0
  # Golden: the fit is deterministic.
  assert summary["test_accuracy"] == pytest.approx(348 / 360)
  assert summary["norm"] == pytest.approx(21.704, abs=0.01)
  assert summary["residual"] < 1e-9
  assert summary["peak_bytes"] > 0
  assert json.loads((tmp_path / "summary.json").read_text())["n"] == 1437
  saved = json.loads((tmp_path / "config.json").read_text())
  assert saved["kernel"] == "gaussian" and saved["corruption_seed"] == 0
  # A finished folder is not fitted again, and belongs to its config.
  assert kernel.run(_config(), tmp_path, quiet=True) == json.loads(
    (tmp_path / "summary.json").read_text()
  )
  with pytest.raises(errors.UserError, match="another config"):
    kernel.run(_config(kernel="quartic"), tmp_path, quiet=True)


def test_ridges_times_noise_levels(tmp_path):
  c = _config(
    subset=400, ridges=(0.0, 1.0), label_noise="uniform", levels=(0.0, 1.0)
  )
  summary = kernel.run(c, tmp_path, quiet=True)
  fits = summary["fits"]
  assert [(f["ridge"], f["level"]) for f in fits] == [
    (0, 0),
    (0, 1),
    (1, 0),
    (1, 1),
  ]
  assert fits[0]["train_error"] == fits[1]["train_error"] == 0
  assert fits[1]["test_error"] > 0.7 > fits[0]["test_error"]
  assert fits[1]["norm"] > 2 * fits[0]["norm"]
  assert fits[2]["norm"] < fits[0]["norm"]
  assert fits[1]["flip_rate"] == pytest.approx(0.9, abs=0.06)
  with open(tmp_path / "table.csv") as file:
    assert len(list(csv.DictReader(file))) == 4
  assert "noise level" in (tmp_path / "table.md").read_text()
  for name in _FIGURES:
    assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize("name", ["quartic", "laplace", "arc_cosine", "ntk"])
def test_every_kernel_interpolates_random_labels(name, tmp_path):
  c = _config(kernel=name, subset=300, label_noise="uniform", p=1.0)
  summary = kernel.run(c, tmp_path, quiet=True)
  assert summary["train_error"] == 0.0


def test_linear_cannot_interpolate_and_says_its_rank(tmp_path):
  summary = kernel.run(_config(kernel="linear"), tmp_path, quiet=True)
  assert summary["train_error"] > 0 and summary["solver"] == "primal"
  # Three of the 64 pixels are black in every train image.
  assert summary["rank"] == 61


@pytest.mark.parametrize(
  "fields",
  [
    {"features": "gabor", "scales": 1, "pool": 2},
    {"features": "random_conv", "filters": 20, "patch": 3, "stride": 1},
    {"features": "random_conv", "filters": 300, "patch": 3, "subset": 200},
  ],
)
def test_features(fields, tmp_path):
  c = _config(**{"subset": 300, **fields})
  summary = kernel.run(c, tmp_path, quiet=True)
  assert summary["train_error"] == 0
  assert summary["test_accuracy"] > 0.8


def test_tiles_and_the_device_s_solver_agree(tmp_path):
  tiles = kernel.run(
    _config(solver="tiles", tile=500), tmp_path / "tiles", quiet=True
  )
  device = kernel.run(_config(solver="device"), tmp_path / "device", quiet=True)
  assert (tiles["solver"], device["solver"]) == ("tiles", "device")
  for name in ("test_accuracy", "norm", "norm_plus_minus_one"):
    assert tiles[name] == pytest.approx(device[name], rel=1e-6)


def test_norm_of_signed_targets(tmp_path):
  """-1 and 1 as targets, fitted directly."""
  c = _config(subset=200)
  summary = kernel.run(c, tmp_path, quiet=True)
  train = task.load(config.resolve(c)).train
  x = train.images.reshape(200, -1) / 255.0
  matrix = np.exp(-summary["gamma"] * ((x[:, None] - x[None]) ** 2).sum(-1))
  y = 2 * np.eye(10)[train.labels] - 1
  expected = np.sqrt(np.trace(y.T @ np.linalg.solve(matrix, y)))
  assert summary["norm_plus_minus_one"] == pytest.approx(expected, rel=1e-4)


def test_too_large_is_refused_with_the_largest_that_fits(tmp_path):
  with pytest.raises(plan.TooLargeError, match=r"n = 1437 .*about") as found:
    kernel.run(_config(memory_gb=0.715), tmp_path / "a", quiet=True)
  assert not (tmp_path / "a").exists()
  largest = int(str(found.value).split("subset=")[1].split(",")[0])
  assert 2 <= largest < 1437
  summary = kernel.run(
    _config(memory_gb=0.715, subset=largest), tmp_path / "b", quiet=True
  )
  assert summary["n"] == largest
  with pytest.raises(plan.TooLargeError):
    kernel.run(
      _config(memory_gb=0.715, subset=largest + 1), tmp_path / "c", quiet=True
    )


def test_estimate_of_mnist_is_near_what_it_took():
  estimate = plan.estimate_bytes(
    60_000,
    m=10_000,
    width=784,
    tile=4000,
    itemsize=4,
    summed=False,
    solver="tiles",
    columns=11,
    pixels=784,
  )
  assert 8e9 < estimate < 12e9


def test_the_whole_matrix_of_the_device_s_solver_counts(tmp_path):
  c = _config(memory_gb=0.74, solver="device")
  with pytest.raises(plan.TooLargeError, match="n = 1437.*memory_gb"):
    kernel.run(c, tmp_path / "a", quiet=True)
  c = _config(memory_gb=0.74, solver="tiles", tile=100)
  assert kernel.run(c, tmp_path / "b", quiet=True)["n"] == 1437


def test_linear_fits_repeats_with_two_labels_and_keeps_them(
  tmp_path, monkeypatch
):
  original = data.load("digits", "train")
  images = original.images.copy()
  images[1] = images[0]
  changed = {
    "train": dataclasses.replace(original, images=images),
    "test": data.load("digits", "test"),
  }
  monkeypatch.setattr(data, "load", lambda name, split, **_: changed[split])
  summary = kernel.run(_config(kernel="linear"), tmp_path / "a", quiet=True)
  assert (summary["n"], summary["repeats_left_out"]) == (1437, 0)
  with pytest.raises(task.ContradictionError, match="Examples 0 and 1 "):
    kernel.run(_config(), tmp_path / "b", quiet=True)


def test_linear_needs_no_kernel_matrix(tmp_path):
  c = _config(kernel="linear", memory_gb=0.715)
  assert kernel.run(c, tmp_path, quiet=True)["n"] == 1437


def test_singular_matrix_is_refused(tmp_path):
  c = _config(gamma=1e-9, subset=300, precision="float32")
  with pytest.raises(cholesky.NotPositiveDefiniteError, match="ridge"):
    kernel.run(c, tmp_path, quiet=True)

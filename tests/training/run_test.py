"""A run: what it leaves and what its numbers are."""

import json
import types

import jax
import numpy as np
import pytest

from rethinking import config as config_lib
from rethinking.runtime.errors import Diverged
from rethinking.training import loop, programs
from rethinking.training import run as train

from . import runs


def test_a_run_leaves_all_that_it_promises(tmp_path, capsys):
  config = runs.config(
    epochs=2, plots=True, tensorboard=True, per_example=True, arch="digits_cnn"
  )
  summary = train.run(config, tmp_path)
  files = {p.name for p in tmp_path.iterdir()}
  assert files >= {
    "config.json",
    "metrics.jsonl",
    "summary.json",
    "corruption.json",
    "curves.png",
    "tensorboard",
    "checkpoints",
    "per_example",
  }
  assert json.loads((tmp_path / "summary.json").read_text()) == summary
  rows = runs.rows(tmp_path)
  assert [row["epoch"] for row in rows] == [0, 1, 2]
  assert [row["step"] for row in rows] == [0, 6, 11]
  for key in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
    assert summary[key] == rows[-1][key]
  report = json.loads((tmp_path / "corruption.json").read_text())
  assert np.sum(report["transition_counts"]) == 256
  with np.load(tmp_path / "per_example" / "step_00000011.npz") as last:
    assert last["train_correct"].mean() == summary["train_accuracy"]
    np.testing.assert_array_equal(last["test_id"], np.arange(1437, 1797))
  said = capsys.readouterr().out
  assert "256 labels" in said and "chance is 10.00 %" in said


def test_a_plain_run_has_not_drifted(undisturbed):
  """If a change of every run is intended, put the new numbers here."""
  _, summary = undisturbed
  found = (summary["train_loss"], summary["test_loss"])
  np.testing.assert_allclose(found, (1.401577, 1.304267), rtol=1e-4)
  assert not {"validation_loss", "best_epoch"} & set(summary)


def test_clock_keys_are_the_only_ones_that_differ(undisturbed, tmp_path):
  workdir, _ = undisturbed
  train.run(runs.config(), tmp_path, quiet=True)
  runs.assert_same(tmp_path, workdir, runs.config())


def test_a_loss_that_is_not_finite_stops_with_its_step(tmp_path):
  config = runs.config(optimizer="sgd", learning_rate=1e30, schedule="constant")
  with pytest.raises(Diverged, match="The loss at step") as caught:
    train.run(config, tmp_path, quiet=True)
  assert 1 <= caught.value.step <= 6
  assert not (tmp_path / "summary.json").exists()


def test_stop_at_fit_ends_at_the_first_evaluation_that_fits(tmp_path):
  config = runs.config(
    p=0.0, label_noise=None, fit_accuracy=0.9, stop_at_fit=True, epochs=20
  )
  summary = train.run(config, tmp_path, quiet=True)
  rows = runs.rows(tmp_path)
  assert rows[-1]["train_accuracy"] >= 0.9 > rows[-2]["train_accuracy"]
  assert summary["epochs_to_fit"] == rows[-1]["epoch"] < 20
  assert summary["steps_not_fit"] == rows[-2]["step"]


@pytest.mark.parametrize("chunk_steps", [1, 4, 100])
def test_the_rate_is_that_of_steps_without_compilation(
  tmp_path, monkeypatch, chunk_steps
):
  """By a clock that only dispatches move: a second a step, the first 100."""
  seconds = 0.0
  whole = loop.Loop.dispatch

  def dispatch(self, ends):
    nonlocal seconds
    found = whole(self, ends)
    _, [step], [size], _ = found
    seconds += size if step > size else 100
    return found

  monkeypatch.setattr(loop.Loop, "dispatch", dispatch)
  clock = types.SimpleNamespace(monotonic=lambda: seconds)
  monkeypatch.setattr(loop, "time", clock)
  # Its programs are no other test's, so the first dispatch compiles.
  config = runs.config(learning_rate=0.00123, chunk_steps=chunk_steps)
  found = train.run(config, tmp_path, quiet=True)
  assert found["images_per_second"] == pytest.approx(config.batch_size)
  lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
  for row in map(json.loads, lines[3:]):
    assert row["train_images_per_second"] == pytest.approx(config.batch_size)


def test_what_the_host_reads_is_named(tmp_path):
  """As under a user's guard; JAX sees it on a CPU from 0.12 on."""
  config = runs.config(
    epochs=2,
    validation=32,
    early_stopping=1,
    schedule="plateau",
    per_example=True,
    normalization="global",
  )
  with jax.transfer_guard_device_to_host("disallow"):
    train.run(config, tmp_path, quiet=True)


def test_random_labels_are_fitted_and_teach_nothing(tmp_path):
  summary = train.run(
    runs.config(
      p=1.0,
      subset=None,
      epochs=60,
      learning_rate=2e-3,
      dropout=None,
      arch="digits_cnn",
      batch_size=128,
      eval_epochs=10,
    ),
    tmp_path,
    quiet=True,
  )
  assert summary["train_accuracy"] == 1.0
  assert 0.02 < summary["test_accuracy"] < 0.2


@pytest.mark.parametrize("name", ["none", "keras_mnist"])
def test_the_step_is_given_the_augmentation_or_none(monkeypatch, name):
  given = []

  def make(*args, augment, **kwargs):
    given.append(augment)
    return make_train_step(*args, augment=augment, **kwargs)

  make_train_step = programs.step_lib.make_train_step
  monkeypatch.setattr(programs.step_lib, "make_train_step", make)
  # A size of its own, so that it is not in the cache.
  config = config_lib.resolve(runs.config(augment=name, batch_size=44))
  programs.steps(programs.key(config), 256, 10, (8, 8, 1), None)
  assert [one is None for one in given] == [name == "none"]


def test_runs_share_programs_only_if_they_look_alike():
  one = config_lib.resolve(runs.config())
  alike = config_lib.resolve(runs.config(p=0.1, seed=3))
  assert programs.key(one) == programs.key(alike)
  for fields in (
    {"augment": "keras_mnist"},
    {"normalization": "global"},
    {"l2_kernels": "conv", "arch": "digits_cnn"},
  ):
    other = config_lib.resolve(runs.config(**fields))
    assert programs.key(one) != programs.key(other)

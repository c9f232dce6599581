"""The Keras study's recipe: early stopping, and the plateau of its rate."""

import jax
import numpy as np
import pytest

from rethinking import config as config_lib
from rethinking.training import examples, loop, metrics, optim, slots
from rethinking.training import run as train
from rethinking.training import task as task_lib

from . import runs

# Noisy labels with clean ones to validate on: the best epoch comes soon, and
# the early end after it.
_KERAS = {
  "recipe": "keras",
  "l2_kernels": "all",
  "p": 0.6,
  "subset": 192,
  "validation": 96,
  "augment": "keras_mnist",
  "epochs": 20,
  "early_stopping": 4,
  # Its own, so that no other test has compiled the plateau for it.
  "learning_rate": 3e-3,
}


@pytest.fixture(scope="module")
def keras_run(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("keras")
  with pytest.MonkeyPatch.context() as patch:
    # Ten evaluations are more than there are.
    patch.setattr(optim, "_PATIENCE", 2)
    yield workdir, train.run(runs.config(**_KERAS), workdir, quiet=True)


def test_early_stopping_restores_the_best_weights(keras_run):
  workdir, summary = keras_run
  rows = runs.rows(workdir)
  losses = [row["validation_loss"] for row in rows]
  best = int(np.argmin(losses[1:])) + 1
  assert summary["best_epoch"] == best
  assert 3 < best
  assert summary["epoch"] == rows[-1]["epoch"] == best + 4 < 20
  assert summary["steps"] == rows[-1]["step"]
  for key in ("validation_loss", "validation_accuracy", "test_accuracy"):
    assert summary[key] == rows[best][key]
  assert summary["validation_loss"] < rows[-1]["validation_loss"]
  assert summary["potential_gain"] == (
    max(row["test_accuracy"] for row in rows) - rows[best]["test_accuracy"]
  )
  # The weights that are left are those of that row.
  c = config_lib.resolve(runs.config(**_KERAS))
  task = task_lib.load(c)
  state = runs.state(workdir, runs.config(**_KERAS))
  key = jax.random.key(0)
  one = examples.Run("one", task, key, key, 0)
  held = slots.Slots(c, task, jax.devices())
  held.lay_out([one], 1, {"one": state})
  loss, prediction, _ = (x[0] for x in held.evaluate("test")[:3])
  np.testing.assert_allclose(
    loss.mean(dtype=np.float64), rows[best]["test_loss"], rtol=1e-6
  )
  assert np.mean(prediction == task.test.labels) == rows[best]["test_accuracy"]


def test_the_plateau_is_seen_along_the_run(keras_run):
  workdir, _ = keras_run
  scale, least, waited = 1.0, np.inf, 0
  for row in runs.rows(workdir)[1:]:
    waited += 1
    if row["validation_loss"] < least - 1e-4:
      least, waited = row["validation_loss"], 0
    if waited == 2:
      scale, waited = scale / 2, 0
  state = runs.state(workdir, runs.config(**_KERAS)).opt_state[-1]
  assert scale < 1 and float(state.scale) == scale
  assert int(state.plateau_count) == waited


def test_a_keras_run_that_is_interrupted_ends_in_the_same_bits(
  keras_run, tmp_path, monkeypatch
):
  workdir, summary = keras_run
  config = runs.config(**_KERAS)
  # What the best evaluation changed must not be lost.
  best = summary["best_epoch"]
  end = runs.rows(workdir)[best]["step"]
  # In an epoch; at its last step, before the evaluation is made; and there a
  # crash, after the evaluation and before it is saved.
  for steps in (end - 1, 1):
    with runs.stopped_after(monkeypatch, steps):
      train.run(config, tmp_path, quiet=True)
  with monkeypatch.context() as patch:
    patch.setattr(loop.Loop, "save", lambda self, **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
      train.run(config, tmp_path, quiet=True)
  assert runs.rows(tmp_path) == runs.rows(workdir)[: best + 1]
  again = train.run(config, tmp_path, quiet=True)
  runs.assert_same(tmp_path, workdir, config)
  for key, value in summary.items():
    if key not in metrics.CLOCK:
      assert again[key] == value, key
  # The end itself, crashed before its summary, ends the same again.
  (tmp_path / "summary.json").unlink()
  train.run(config, tmp_path, quiet=True)
  runs.assert_same(tmp_path, workdir, config)

"""The run: what it leaves, and that nothing of it depends on its luck."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import types

import jax.numpy as jnp
import numpy as np
import pytest

from rethinking import (
  checkpoint,
  loop,
  models,
  optim,
  problem,
  programs,
  runtime,
  signals,
  train,
)
from rethinking import config as config_lib
from rethinking.errors import Diverged, Stopped, UserError

_ROOT = pathlib.Path(__file__).parent.parent


def _config(**fields):
  c = config_lib.default()
  c.update(
    dataset="digits",
    arch="mlp_1x512",
    variant="partial_labels",
    label_noise="uniform",
    p=0.4,
    subset=256,
    batch_size=48,
    epochs=6,
    dropout=0.2,
    checkpoint_epochs=1,
    # A run can be stopped after any step.
    chunk_steps=1,
    plots=False,
    tensorboard=False,
    compilation_cache=False,
  )
  c.update(fields)
  return c


def _rows(workdir):
  """The evaluations without what depends on the clock."""
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  return [
    {k: v for k, v in json.loads(line).items() if "second" not in k}
    for line in lines
  ]


def _newest(workdir):
  folders = (workdir / "checkpoints").iterdir()
  return max(folders, key=lambda f: int(f.name))


def _state(workdir, config):
  """The final state."""
  import jax

  from rethinking import step

  c = config_lib.resolve(config)
  module = models.create(c.arch, num_classes=10)
  like = step.init_state(
    module, optim.create(c, 256), jax.random.key(0), (8, 8, 1)
  )
  if c.early_stopping:
    like = like.replace(
      best={"params": like.params, "batch_stats": like.batch_stats}
    )
  return checkpoint.Checkpointer(workdir / "checkpoints").restore(like).state


def _arrays(workdir, config):
  """The final state's arrays, in a fixed order."""
  import jax

  return jax.tree.leaves(_state(workdir, config))


def _assert_same(workdir, other, config):
  """The same rows and the same final bits."""
  assert _rows(workdir) == _rows(other)
  for a, b in zip(
    _arrays(workdir, config), _arrays(other, config), strict=True
  ):
    np.testing.assert_array_equal(a, b)


@contextlib.contextmanager
def _stopped_after(monkeypatch, steps):
  """A run in here gets its signal after so many of its own steps."""
  asked = iter(range(1, 1000))

  @contextlib.contextmanager
  def deferred():
    yield types.SimpleNamespace(is_set=lambda: next(asked) == steps)

  with monkeypatch.context() as patch:
    patch.setattr(signals, "deferred", deferred)
    with pytest.raises(Stopped):
      yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("undisturbed")
  return workdir, train.run(_config(), workdir, quiet=True)


def test_a_run_leaves_all_that_it_promises(tmp_path, capsys):
  config = _config(
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
  rows = _rows(tmp_path)
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
  np.testing.assert_allclose(found, (1.399424, 1.294743), rtol=1e-4)
  assert not {"validation_loss", "best_epoch"} & set(summary)


def test_clock_keys_are_the_only_ones_that_differ(undisturbed, tmp_path):
  workdir, _ = undisturbed
  train.run(_config(), tmp_path, quiet=True)
  assert _rows(tmp_path) == _rows(workdir)
  for a, b in zip(
    _arrays(tmp_path, _config()), _arrays(workdir, _config()), strict=True
  ):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("epoch", [1, 4])
def test_a_crash_and_a_restart_end_in_the_same_bits(
  undisturbed, tmp_path, monkeypatch, epoch
):
  workdir, _ = undisturbed
  whole = loop.Loop.save

  def crash(self, step):
    if self.rows[-1]["epoch"] == epoch + 1:
      raise RuntimeError("power cut")
    whole(self, step)

  with monkeypatch.context() as patch:
    patch.setattr(loop.Loop, "save", crash)
    with pytest.raises(RuntimeError, match="power cut"):
      train.run(_config(), tmp_path, quiet=True)
  # The row of the epoch that was not saved is there, and goes.
  assert _rows(tmp_path)[-1]["epoch"] == epoch + 1
  train.run(_config(), tmp_path, quiet=True)
  assert _rows(tmp_path) == _rows(workdir)
  for a, b in zip(
    _arrays(tmp_path, _config()), _arrays(workdir, _config()), strict=True
  ):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("arch", ["mlp_1x512", "seed_cifar_cnn"])
def test_a_stop_at_any_step_and_a_restart_end_in_the_same_bits(
  tmp_path, monkeypatch, arch
):
  config = _config(arch=arch, subset=64, batch_size=32, epochs=2, dropout=None)
  whole = tmp_path / "whole"
  train.run(config, whole, quiet=True)
  # BatchNorm's statistics must survive too; the last step is a case of its own.
  for last in (1, 4):
    workdir = tmp_path / f"stopped{last}"

    asked = iter(range(1, 100))

    @contextlib.contextmanager
    def deferred(asked=asked, last=last):
      yield types.SimpleNamespace(is_set=lambda: next(asked) == last)

    with monkeypatch.context() as patch:
      patch.setattr(signals, "deferred", deferred)
      with pytest.raises(Stopped, match=f"at step {last}.*{workdir}"):
        train.run(config, workdir, quiet=True)
    summary = train.run(config, workdir, quiet=True)
    assert (summary["epoch"], summary["steps"]) == (2, 4)
    assert _rows(workdir) == _rows(whole)


def test_checkpoints_come_at_the_evaluation_after_they_are_due(
  tmp_path, monkeypatch
):
  saved = []
  whole = loop.Loop.save

  def save(self, step):
    saved.append(self.rows[-1]["epoch"])
    whole(self, step)

  monkeypatch.setattr(loop.Loop, "save", save)
  train.run(
    _config(subset=48, epochs=12, eval_epochs=5, checkpoint_epochs=2),
    tmp_path,
    quiet=True,
  )
  assert saved == [5, 10, 12]


def test_lost_evaluations_are_refused(tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    patch.setattr(loop.Loop, "summary", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
      train.run(_config(), tmp_path, quiet=True)
  (tmp_path / "metrics.jsonl").unlink()
  with pytest.raises(UserError, match="has lost evaluations before"):
    train.run(_config(), tmp_path, quiet=True)


@pytest.mark.parametrize("damage", ["a digit", "zero length"])
def test_damaged_evaluations_are_refused(tmp_path, monkeypatch, damage):
  with monkeypatch.context() as patch:
    patch.setattr(loop.Loop, "summary", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
      train.run(_config(epochs=2), tmp_path, quiet=True)
  path = tmp_path / "metrics.jsonl"
  data = path.read_text()
  # JSON still, and a number still: only a sum can tell.
  at = data.index("train_loss") + len('train_loss": 2.')
  changed = data[:at] + str(int(data[at]) ^ 1) + data[at + 1 :]
  path.write_text(changed if damage == "a digit" else "")
  with pytest.raises(UserError, match="metrics.jsonl (is damaged|has lost)"):
    train.run(_config(epochs=2), tmp_path, quiet=True)
  path.write_text(data)
  assert train.run(_config(epochs=2), tmp_path, quiet=True)["epoch"] == 2


def test_a_damaged_newest_checkpoint_falls_back(
  undisturbed, tmp_path, monkeypatch, capsys
):
  workdir, _ = undisturbed

  def crash(self):
    raise RuntimeError("power cut")

  with monkeypatch.context() as patch:
    patch.setattr(loop.Loop, "summary", crash)
    with pytest.raises(RuntimeError, match="power cut"):
      train.run(_config(), tmp_path, quiet=True)
  newest = _newest(tmp_path)
  largest = max(
    (f for f in newest.rglob("*") if f.is_file()),
    key=lambda f: f.stat().st_size,
  )
  data = bytearray(largest.read_bytes())
  data[len(data) // 2] ^= 1
  largest.write_bytes(data)
  train.run(_config(), tmp_path)
  assert f"warning: The checkpoint of step {newest.name}" in (
    capsys.readouterr().out
  )
  assert _rows(tmp_path) == _rows(workdir)


def test_a_finished_run_says_so_and_changes_nothing(undisturbed, capsys):
  workdir, summary = undisturbed
  before = {p: p.stat().st_mtime_ns for p in workdir.rglob("*")}
  assert train.run(_config(), workdir) == summary
  assert "Finished already" in capsys.readouterr().out
  assert {p: p.stat().st_mtime_ns for p in workdir.rglob("*")} == before


def test_another_config_is_refused_naming_the_fields(undisturbed):
  workdir, _ = undisturbed
  with pytest.raises(UserError, match=r"another config \(p: 0.4 -> 0.5\)"):
    train.run(_config(p=0.5), workdir, quiet=True)


def _other_pixel(load):
  def other(config):
    task = load(config)
    images = task.test.images.copy()
    images[0, 3, 3] ^= 1
    return dataclasses.replace(task, test=task.test._replace(images=images))

  return other


def _other_label(load):
  def other(config):
    task = load(config)
    labels = task.test.labels.copy()
    labels[0] = (labels[0] + 1) % 10
    return dataclasses.replace(task, test=task.test._replace(labels=labels))

  return other


def _other_report(load):
  def other(config):
    task = load(config)
    return dataclasses.replace(
      task, report={**task.report, "images_sha256": "0" * 64}
    )

  return other


@pytest.mark.parametrize(
  ("other", "message"),
  [
    (_other_report, "holds a run on other images "),
    (_other_pixel, "holds a run on other test images "),
    (_other_label, "holds a run on other test labels "),
  ],
)
def test_other_data_is_refused_before_anything_is_written(
  tmp_path, monkeypatch, other, message
):
  with _stopped_after(monkeypatch, 7):
    train.run(_config(), tmp_path, quiet=True)
  before = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
  with monkeypatch.context() as patch:
    patch.setattr(problem, "load", other(problem.load))
    with pytest.raises(UserError, match=message) as error:
      train.run(_config(), tmp_path, quiet=True)
  assert "\n" not in str(error.value)
  assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before


def test_a_run_of_before_the_test_set_was_noted_goes_on(tmp_path, monkeypatch):
  with _stopped_after(monkeypatch, 7):
    train.run(_config(), tmp_path, quiet=True)
  path = tmp_path / "corruption.json"
  whole = json.loads(path.read_text())
  old = {k: v for k, v in whole.items() if not k.startswith("test_")}
  assert len(whole) == len(old) + 2
  path.write_text(json.dumps(old))
  train.run(_config(), tmp_path, quiet=True)
  assert json.loads(path.read_text()) == whole


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    ({"subset": 1438}, "the train set of digits has 1437 examples"),
    ({"batch_size": 50}, "4 devices cannot share evenly; give a multiple of 4"),
    ({"batch_size": 512}, "but there are 256 train examples"),
    ({"crop": 9}, "crop is 9, but the images of digits are 8 pixels"),
    ({"epochs": 2**30}, "do not fit a 32-bit counter"),
  ],
)
def test_refused_input_leaves_nothing(tmp_path, fields, message):
  workdir = tmp_path / "w"
  with pytest.raises(UserError, match=message):
    train.run(_config(**fields), workdir, quiet=True)
  assert not workdir.exists()


def test_an_unwritable_workdir_is_refused(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(UserError, match="workdir|folder"):
    train.run(_config(), tmp_path / "file" / "w", quiet=True)


def test_a_loss_that_is_not_finite_stops_with_its_step(tmp_path):
  config = _config(optimizer="sgd", learning_rate=1e30, schedule="constant")
  with pytest.raises(Diverged, match="The loss at step") as caught:
    train.run(config, tmp_path, quiet=True)
  assert 1 <= caught.value.step <= 6
  assert not (tmp_path / "summary.json").exists()


def test_stop_at_fit_ends_at_the_first_evaluation_that_fits(tmp_path):
  config = _config(
    p=0.0, label_noise=None, fit_accuracy=0.9, stop_at_fit=True, epochs=20
  )
  summary = train.run(config, tmp_path, quiet=True)
  rows = _rows(tmp_path)
  assert rows[-1]["train_accuracy"] >= 0.9 > rows[-2]["train_accuracy"]
  assert summary["epochs_to_fit"] == rows[-1]["epoch"] < 20
  assert summary["steps_not_fit"] == rows[-2]["step"]


@contextlib.contextmanager
def _dispatches_noted(monkeypatch):
  """The steps at which each dispatch of the runs in here begins and ends."""
  noted = []
  whole = loop.Loop.dispatch

  def dispatch(self, step, size):
    noted.append((step, step + size))
    return whole(self, step, size)

  with monkeypatch.context() as patch:
    patch.setattr(loop.Loop, "dispatch", dispatch)
    yield noted


@pytest.mark.parametrize("chunk_steps", [1, 4, 100])
def test_the_rate_is_that_of_steps_without_compilation(
  tmp_path, monkeypatch, chunk_steps
):
  """By a clock that only dispatches move: a second a step, the first 100."""
  seconds = 0.0
  whole = loop.Loop.dispatch

  def dispatch(self, step, size):
    nonlocal seconds
    seconds += size if step else 100
    return whole(self, step, size)

  monkeypatch.setattr(loop.Loop, "dispatch", dispatch)
  clock = types.SimpleNamespace(monotonic=lambda: seconds)
  monkeypatch.setattr(loop, "time", clock)
  # Its programs are no other test's, so the first dispatch compiles.
  config = _config(learning_rate=0.00123, chunk_steps=chunk_steps)
  found = train.run(config, tmp_path, quiet=True)
  assert found["images_per_second"] == pytest.approx(config.batch_size)
  lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
  for row in map(json.loads, lines[3:]):
    assert row["train_images_per_second"] == pytest.approx(config.batch_size)


def _whole_epochs(monkeypatch):
  """Dispatches what an accelerator would."""
  monkeypatch.setattr(runtime, "chunk_steps", lambda **_: None)


# Of 256 examples, 48 a step.
_EPOCH_ENDS = [6, 11, 16, 22, 27, 32]
_DISPATCH_ENDS = {
  1: [*range(1, 33)],
  # Evaluations end them too.
  4: [4, 6, 8, 11, 12, 16, 20, 22, 24, 27, 28, 32],
  7: [6, 7, 11, 14, 16, 21, 22, 27, 28, 32],
  None: _EPOCH_ENDS,
}


@pytest.mark.parametrize("chunk_steps", _DISPATCH_ENDS)
def test_the_size_of_dispatches_changes_no_number(
  undisturbed, tmp_path, monkeypatch, chunk_steps
):
  workdir, _ = undisturbed
  _whole_epochs(monkeypatch)
  with _dispatches_noted(monkeypatch) as noted:
    train.run(_config(chunk_steps=chunk_steps), tmp_path, quiet=True)
  ends = _DISPATCH_ENDS[chunk_steps]
  assert noted == [*zip([0, *ends], ends, strict=False)]
  for a, b in zip(_rows(tmp_path), _rows(workdir), strict=True):
    assert a.keys() == b.keys()
    for key, value in a.items():
      if value is not None:
        np.testing.assert_allclose(value, b[key], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("chunk_steps", [7, None])
def test_a_resume_makes_the_dispatches_that_were_left(
  tmp_path, monkeypatch, chunk_steps
):
  _whole_epochs(monkeypatch)
  config = _config(chunk_steps=chunk_steps, eval_epochs=2)
  with _dispatches_noted(monkeypatch) as noted:
    train.run(config, tmp_path / "whole", quiet=True)
    whole = noted.copy()
    noted.clear()
    for dispatches in (2, 1):
      with _stopped_after(monkeypatch, dispatches):
        train.run(config, tmp_path / "stopped", quiet=True)
      # It is saved where the dispatch ended.
      assert _newest(tmp_path / "stopped").name == str(noted[-1][1])
    train.run(config, tmp_path / "stopped", quiet=True)
  assert noted == whole
  _assert_same(tmp_path / "stopped", tmp_path / "whole", config)


def test_a_dense_run_stopped_within_an_epoch_on_a_cpu_ends_in_the_same_bits(
  tmp_path, monkeypatch
):
  """What this platform dispatches by itself: 4,096 examples, 85 steps."""
  config = _config(
    chunk_steps=None, subset=None, epochs=4, eval_epochs=4, checkpoint_epochs=4
  )
  with _dispatches_noted(monkeypatch) as noted:
    train.run(config, tmp_path / "whole", quiet=True)
    whole = noted.copy()
    noted.clear()
    with _stopped_after(monkeypatch, 1):
      train.run(config, tmp_path / "stopped", quiet=True)
    assert _newest(tmp_path / "stopped").name == "85"
    train.run(config, tmp_path / "stopped", quiet=True)
  assert noted == whole == [(0, 85), (85, 120)]
  _assert_same(tmp_path / "stopped", tmp_path / "whole", config)


def _from_host(self, size):
  return np.int32(size)


def _scalar(self, epoch):
  stream = stream_of(self, epoch)
  return stream._replace(epoch=stream.epoch + jnp.asarray(0))


def _between_devices(self, epoch):
  # On the first device alone.
  return stream_of(self, epoch)._replace(orders=self.order.draw(epoch).orders)


stream_of = loop.Loop.stream


@pytest.mark.parametrize(
  ("name", "planted", "way"),
  [
    ("size", _from_host, "host-to-device"),
    ("stream", _scalar, "host-to-device"),
    ("stream", _between_devices, "device-to-device"),
  ],
)
def test_no_transfer_in_an_epoch_goes_unseen(
  tmp_path, monkeypatch, name, planted, way
):
  monkeypatch.setattr(loop.Loop, name, planted)
  with pytest.raises(Exception, match=f"Disallowed {way} transfer"):
    train.run(_config(epochs=1, chunk_steps=4), tmp_path, quiet=True)


def test_random_labels_are_fitted_and_teach_nothing(tmp_path):
  summary = train.run(
    _config(
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


def _command(workdir, *extra):
  return [
    sys.executable,
    "-m",
    "rethinking.main",
    "--config=configs/digits.py:random_labels,subset=512,arch=mlp_1x512,"
    "epochs=40,checkpoint_epochs=2,plots=false,tensorboard=false",
    f"--workdir={workdir}",
    *extra,
  ]


def _start_and(number, workdir, cache):
  """Runs the command and sends a signal when it has evaluated ten times."""
  environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
  process = subprocess.Popen(
    _command(workdir),
    cwd=_ROOT,
    env=environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  metrics = workdir / "metrics.jsonl"
  for _ in range(600):
    if metrics.exists() and len(metrics.read_bytes().splitlines()) > 10:
      break
    time.sleep(0.1)
  process.send_signal(number)
  out, err = process.communicate(timeout=60)
  return process.returncode, out, err


def test_kill_9_and_sigterm_then_the_same_command_again(tmp_path):
  cache = tmp_path / "cache"
  environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
  whole = tmp_path / "whole"
  subprocess.run(
    _command(whole), cwd=_ROOT, env=environment, check=True, capture_output=True
  )
  broken = tmp_path / "broken"
  code, _, _ = _start_and(signal.SIGKILL, broken, cache)
  assert code == -signal.SIGKILL
  assert not (broken / "summary.json").exists()
  stopped = tmp_path / "stopped"
  code, _, err = _start_and(signal.SIGTERM, stopped, cache)
  assert code == 75
  assert f"the same command with --workdir={stopped} continues" in err
  assert "Traceback" not in err
  for workdir in (broken, stopped):
    subprocess.run(
      _command(workdir),
      cwd=_ROOT,
      env=environment,
      check=True,
      capture_output=True,
    )
    assert _rows(workdir) == _rows(whole)


@pytest.mark.parametrize("name", ["none", "seed_mnist"])
def test_the_step_is_given_the_augmentation_or_none(monkeypatch, name):
  given = []

  def make(*args, augment, **kwargs):
    given.append(augment)
    return make_train_step(*args, augment=augment, **kwargs)

  make_train_step = programs.step_lib.make_train_step
  monkeypatch.setattr(programs.step_lib, "make_train_step", make)
  # A size of its own, so that it is not in the cache.
  config = config_lib.resolve(_config(augment=name, batch_size=44))
  programs.create(config, 256, 10)
  assert [one is None for one in given] == [name == "none"]


@pytest.mark.parametrize("last", [3, 16])
def test_an_augmented_run_resumes_to_the_same_bits(tmp_path, monkeypatch, last):
  config = _config(augment="seed_mnist", normalization="global", epochs=3)
  train.run(config, tmp_path / "whole", quiet=True)
  with _stopped_after(monkeypatch, last):
    train.run(config, tmp_path / "stopped", quiet=True)
  train.run(config, tmp_path / "stopped", quiet=True)
  _assert_same(tmp_path / "stopped", tmp_path / "whole", config)


# Noisy labels with clean ones to validate on: the best epoch comes soon, and
# the early end after it.
_SEED = {
  "recipe": "seed",
  "l2_kernels": "all",
  "p": 0.6,
  "subset": 192,
  "validation": 96,
  "augment": "seed_mnist",
  "epochs": 20,
  "early_stopping": 4,
  # Its own, so that no other test has compiled the plateau for it.
  "learning_rate": 3e-3,
}


@pytest.fixture(scope="module")
def seed_run(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("seed")
  with pytest.MonkeyPatch.context() as patch:
    # Ten evaluations are more than there are.
    patch.setattr(optim, "_PATIENCE", 2)
    yield workdir, train.run(_config(**_SEED), workdir, quiet=True)


def test_early_stopping_restores_the_best_weights(seed_run):
  workdir, summary = seed_run
  rows = _rows(workdir)
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
  c = config_lib.resolve(_config(**_SEED))
  task = problem.load(c)
  state = _state(workdir, _config(**_SEED))
  loss, prediction = programs.create(c, 96, 10).evaluate(state, task.test, 1000)
  np.testing.assert_allclose(
    loss.mean(dtype=np.float64), rows[best]["test_loss"], rtol=1e-6
  )
  assert np.mean(prediction == task.test.labels) == rows[best]["test_accuracy"]


def test_the_plateau_is_seen_along_the_run(seed_run):
  workdir, _ = seed_run
  scale, least, waited = 1.0, np.inf, 0
  for row in _rows(workdir)[1:]:
    waited += 1
    if row["validation_loss"] < least - 1e-4:
      least, waited = row["validation_loss"], 0
    if waited == 2:
      scale, waited = scale / 2, 0
  state = _state(workdir, _config(**_SEED)).opt_state[-1]
  assert scale < 1 and float(state.scale) == scale
  assert int(state.plateau_count) == waited


def test_a_seed_run_that_is_interrupted_ends_in_the_same_bits(
  seed_run, tmp_path, monkeypatch
):
  workdir, summary = seed_run
  config = _config(**_SEED)
  # What the best evaluation changed must not be lost.
  best = summary["best_epoch"]
  end = _rows(workdir)[best]["step"]
  # In an epoch; at its last step, before the evaluation is made; and there a
  # crash, after the evaluation and before it is saved.
  for steps in (end - 1, 1):
    with _stopped_after(monkeypatch, steps):
      train.run(config, tmp_path, quiet=True)
  with monkeypatch.context() as patch:
    patch.setattr(loop.Loop, "save", lambda self, step: 1 / 0)
    with pytest.raises(ZeroDivisionError):
      train.run(config, tmp_path, quiet=True)
  assert _rows(tmp_path) == _rows(workdir)[: best + 1]
  again = train.run(config, tmp_path, quiet=True)
  _assert_same(tmp_path, workdir, config)
  for key, value in summary.items():
    if "second" not in key:
      assert again[key] == value, key
  # The end itself, crashed before its summary, ends the same again.
  (tmp_path / "summary.json").unlink()
  train.run(config, tmp_path, quiet=True)
  _assert_same(tmp_path, workdir, config)


def test_runs_share_programs_only_if_they_look_alike():
  one = config_lib.resolve(_config())
  alike = config_lib.resolve(_config(p=0.1, seed=3))
  assert programs.create(one, 256, 10) is programs.create(alike, 256, 10)
  for fields in (
    {"augment": "seed_mnist"},
    {"normalization": "global"},
    {"l2_kernels": "conv", "arch": "digits_cnn"},
  ):
    other = config_lib.resolve(_config(**fields))
    assert programs.create(one, 256, 10) is not programs.create(other, 256, 10)

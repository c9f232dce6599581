"""What training sees of each example: summed exactly, kept, the same anyhow."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethinking import config as config_lib
from rethinking import models
from rethinking.training import (
  examples,
  placement,
  preprocessing,
  presentations,
  slots,
  step,
  task,
)
from rethinking.training import run as train
from rethinking.training import state as state_lib

from . import runs

_NAMES = ("times", "loss", "margin", "error", "correct", "forgotten")
_add = jax.jit(presentations.add, static_argnames=("early", "errors_at"))


@given(
  seed=st.integers(0, 99),
  batch_size=st.integers(1, 7),
  stop=st.integers(0, 9),
  early=st.sampled_from((None, 1, 3)),
  errors_at=st.sampled_from(((), (1,), (2, 4))),
)
def test_sums_are_those_of_one_presentation_after_another(
  seed, batch_size, stop, early, errors_at
):
  # Seven examples, so that batches go from one epoch into the next.
  rng = np.random.default_rng(seed)
  index = np.concatenate([rng.permutation(7) for _ in range(10)])
  count = len(index) // batch_size * batch_size
  seen = presentations.Presented(
    rng.integers(0, 9, count).astype(np.float32),
    rng.integers(-9, 9, count).astype(np.float32),
    rng.integers(0, 2, count).astype(bool),
    rng.integers(0, 9, count).astype(np.float32),
  )
  known = presentations.none_yet(9)
  for at in range(0, count, batch_size):
    part = slice(at, at + batch_size)
    known = _add(
      known,
      jnp.asarray(index[part]),
      jnp.arange(count)[part] // 7,
      jax.tree.map(lambda x, part=part: jnp.asarray(x[part]), seen),
      live=at // batch_size < stop,
      early=early,
      errors_at=errors_at,
    )
  want = {name: [0] * 9 for name in _NAMES}
  last = [False] * 9
  for at in range(min(count, stop * batch_size)):
    row = index[at]
    want["times"][row] += 1
    if early is None or at // 7 < early:
      want["loss"][row] += seen.loss[at]
      want["margin"][row] += seen.margin[at]
    want["error"][row] += seen.error[at] * (at // 7 + 1 in errors_at)
    want["correct"][row] += int(seen.correct[at])
    want["forgotten"][row] += int(last[row] and not seen.correct[at])
    last[row] = seen.correct[at]
  for name in _NAMES:
    np.testing.assert_array_equal(getattr(known, name), want[name])
  np.testing.assert_array_equal(known.last, last)


def test_a_step_says_what_it_saw_of_each_example():
  module = models.create("mlp_1x512", num_classes=10)
  optimizer = optax.sgd(0.1)
  state = step.init_state(module, optimizer, jax.random.key(0), (2, 2, 1))
  data = state_lib.Data(
    jax.random.bits(jax.random.key(1), (17, 4), jnp.uint8),
    jnp.arange(17, dtype=jnp.int32) % 10,
    jnp.arange(17, dtype=jnp.uint32),
  )
  # One of them is predicted.
  evaluate = step.make_eval_step(module, shape=(2, 2, 1), crop=0)
  predicted = evaluate(state, data, jnp.arange(17), (), 0).prediction
  data = data._replace(labels=data.labels.at[16].set(predicted[16]))
  take = step.make_train_step(module, optimizer, shape=(2, 2, 1), crop=0)
  batch = state_lib.Batch(jnp.int32([3, 16, 5]), jnp.zeros(3, jnp.int32))
  _, found = take(state, data, batch, jax.random.key(2), ())
  images = data.images[batch.index].reshape(3, 2, 2, 1) / 255.0
  x = preprocessing.normalize(images.astype(jnp.float32), ())
  logits = np.array(module.apply({"params": state.params}, x, train=False))
  for row, label in enumerate(data.labels[batch.index]):
    own, others = logits[row, label], np.delete(logits[row], label)
    loss = np.log(np.exp(logits[row]).sum()) - own
    np.testing.assert_allclose(found["seen"].loss[row], loss, rtol=1e-5)
    margin = own - others.max()
    np.testing.assert_allclose(found["seen"].margin[row], margin, rtol=1e-4)
    assert found["seen"].correct[row] == (margin > 0)
    softmax = np.exp(logits[row]) / np.exp(logits[row]).sum()
    error = np.linalg.norm(softmax - np.eye(10)[label])
    np.testing.assert_allclose(found["seen"].error[row], error, rtol=1e-5)
  assert found["seen"].correct[1]


def _kept(folder):
  with np.load(folder / "presentations.npz") as found:
    return dict(found)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("presentations")
  more = {"early_epochs": 2, "el2n_epochs": (1, 3)}
  config = runs.config(presentations=True, validation=16, **more)
  train.run(config, workdir, quiet=True)
  return workdir, config, _kept(workdir)


def test_a_run_keeps_the_presentations_of_its_train_examples(whole, tmp_path):
  workdir, config, kept = whole
  # 240 examples in batches of 48: each once an epoch.
  np.testing.assert_array_equal(kept["times"], np.full(240, 6))
  assert len({*kept["id"]}) == 240
  assert (kept["correct"] <= 6).all() and kept["correct"].any()
  assert (kept["forgotten"] <= 3).all() and kept["forgotten"].any()
  assert (kept["loss"] > 0).all()
  # Of two epochs each; that of one image is at most sqrt(2).
  assert (kept["error"] > 0).all() and (kept["error"] < 2 * 2**0.5).all()
  assert kept["loss"].mean() < 2 * 3.5
  # They change nothing else.
  without = runs.config(validation=16)
  train.run(without, tmp_path, quiet=True)
  assert runs.rows(tmp_path) == runs.rows(workdir)
  assert not (tmp_path / "presentations.npz").exists()


@pytest.mark.parametrize("last", [1, 12])
def test_a_stopped_run_goes_on_to_the_same_sums(
  whole, tmp_path, monkeypatch, last
):
  _, config, kept = whole
  with runs.stopped_after(monkeypatch, last):
    train.run(config, tmp_path, quiet=True)
  train.run(config, tmp_path, quiet=True)
  for name, value in _kept(tmp_path).items():
    np.testing.assert_array_equal(value, kept[name])


def test_one_device_sums_what_four_do(whole, tmp_path, monkeypatch):
  _, config, kept = whole
  one = jax.devices()[:1]
  monkeypatch.setattr(placement, "all_devices", lambda: one)
  train.run(config, tmp_path, quiet=True)
  for name, value in _kept(tmp_path).items():
    if name in ("loss", "margin", "error"):
      np.testing.assert_allclose(value, kept[name], rtol=1e-3, atol=1e-3)
    else:
      np.testing.assert_array_equal(value, kept[name])


def test_a_run_that_takes_fewer_steps_counts_no_others():
  config = config_lib.resolve(runs.config(presentations=True, chunk_steps=3))
  found = task.load(config)
  held = slots.Slots(config, found, jax.devices()[:1])
  root = state_lib.root(0, "noise")
  names = ("few", "many")
  held.lay_out([examples.Run(n, found, root, root, 0) for n in names], 2)
  held.train({"few": 1, "many": 3})
  times = {n: held.states()[n].presentations.times.sum() for n in names}
  assert times == {"few": 48, "many": 3 * 48}

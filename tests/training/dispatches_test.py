"""Dispatches end at absolute steps."""

import pytest

from rethinking import config as config_lib
from rethinking import models
from rethinking.training import optim
from rethinking.training.sampler import Dispatches


def _dispatches(num_examples=100, **fields):
  config = config_lib.default()
  config.update(**fields)
  return Dispatches(config, num_examples)


def _ends(dispatches, steps):
  """Where each of the steps is taken to, and the boundaries passed."""
  ends = [dispatches.end(step) for step in range(steps)]
  assert all(step < end for step, end in enumerate(ends))
  return sorted(set(ends))


def test_chunks_end_at_multiples_whatever_the_start():
  dispatches = _dispatches(batch_size=4, chunk_steps=7, eval_epochs=2)
  assert _ends(dispatches, 30) == [7, 14, 21, 28, 35]
  assert dispatches.most == 7


def test_one_step_on_the_cpu():
  """A convolution must not be in a loop there."""
  dispatches = _dispatches(batch_size=4, arch="alexnet")
  assert _ends(dispatches, 5) == [1, 2, 3, 4, 5]
  assert dispatches.most == 1


@pytest.mark.parametrize(
  "arch", [name for name, row in models.ARCHITECTURES.items() if row.dense]
)
def test_4096_examples_of_a_dense_network_on_the_cpu(arch):
  dispatches = _dispatches(num_examples=10_000, batch_size=128, arch=arch)
  assert _ends(dispatches, 70) == [32, 64, 96]
  assert dispatches.most == 32
  large = _dispatches(num_examples=10_000, batch_size=5000, arch=arch)
  assert _ends(large, 2) == [1, 2]


@pytest.mark.parametrize("batch_size", [1, 7, 10, 99, 100])
@pytest.mark.parametrize("eval_epochs", [1, 3])
def test_an_epoch_is_one_dispatch_on_accelerators(
  monkeypatch, batch_size, eval_epochs
):
  steps = "rethinking.training.sampler.platform_steps"
  monkeypatch.setattr(steps, lambda _: None)
  dispatches = _dispatches(batch_size=batch_size, eval_epochs=eval_epochs)
  ends = [optim.epoch_end(k, 100, batch_size) for k in range(1, 6)]
  assert _ends(dispatches, ends[-1]) == ends
  steps = [b - a for a, b in zip([0, *ends], ends, strict=False)]
  assert dispatches.most == max(steps)


def test_a_long_epoch_is_cut_by_the_seconds_of_the_first_timed(monkeypatch):
  """So that a notice is heard on data of any size."""
  steps = "rethinking.training.sampler.platform_steps"
  monkeypatch.setattr(steps, lambda _: None)
  dispatches = _dispatches(num_examples=1000, batch_size=1)
  assert dispatches.most == 1000
  # Before any was timed it may be that a step takes seconds.
  assert [dispatches.end(0), dispatches.end(950)] == [100, 1000]
  dispatches.timed(100, 2.5)
  assert [dispatches.end(0), dispatches.end(200)] == [200, 400]
  # Once: every process of a job then agrees without asking again.
  dispatches.timed(100, 1e9)
  assert dispatches.end(0) == 200
  slow, quick = (_dispatches(num_examples=1000, batch_size=1) for _ in "ab")
  slow.timed(100, 1e9)
  quick.timed(100, 0.0)
  assert slow.end(7) == 8 and quick.end(7) == 1000


def test_chunks_that_were_asked_for_are_not_cut():
  dispatches = _dispatches(batch_size=4, chunk_steps=7)
  dispatches.timed(7, 1e9)
  assert dispatches.end(0) == 7


@pytest.mark.parametrize(
  ("fields", "most"),
  # 25 steps an epoch.
  [({}, 25), ({"eval_epochs": 3}, 75), ({"eval_epochs": 9, "epochs": 2}, 50)],
)
def test_no_dispatch_goes_past_an_evaluation(fields, most):
  assert _dispatches(batch_size=4, chunk_steps=1000, **fields).most == most

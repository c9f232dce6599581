"""Small runs, what they leave, and how to stop them."""

import contextlib
import json
import types

import jax
import numpy as np
import pytest

from rethinking import config as config_lib
from rethinking import models
from rethinking.runtime import signals
from rethinking.runtime.errors import Stopped
from rethinking.storage import checkpoint
from rethinking.training import loop, metrics, optim, step


def config(**fields):
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


def rows(workdir):
  """The evaluations without what depends on the clock."""
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  return [metrics.without_clock(json.loads(line)) for line in lines]


def newest(workdir):
  folders = (workdir / "checkpoints").iterdir()
  return max(folders, key=lambda f: int(f.name))


def state(workdir, config):
  """The final state."""
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


def assert_same(workdir, other, config):
  """The same rows and the same final bits."""
  assert rows(workdir) == rows(other)
  arrays = (jax.tree.leaves(state(w, config)) for w in (workdir, other))
  for a, b in zip(*arrays, strict=True):
    np.testing.assert_array_equal(a, b)


@contextlib.contextmanager
def stopped_after(monkeypatch, steps, match=None):
  """A run in here gets its signal after so many of its own steps."""
  asked = iter(range(1, 1000))

  @contextlib.contextmanager
  def deferred():
    yield types.SimpleNamespace(is_set=lambda: next(asked) == steps)

  with monkeypatch.context() as patch:
    patch.setattr(signals, "deferred", deferred)
    with pytest.raises(Stopped, match=match):
      yield


@contextlib.contextmanager
def dispatches_noted(monkeypatch):
  """The steps at which each dispatch of the runs in here begins and ends."""
  noted = []
  whole = loop.Loop.dispatch

  def dispatch(self, ends):
    found = whole(self, ends)
    _, [end], [size], _ = found
    noted.append((end - size, end))
    return found

  with monkeypatch.context() as patch:
    patch.setattr(loop.Loop, "dispatch", dispatch)
    yield noted

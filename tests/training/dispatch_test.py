"""How steps are dispatched changes no number, and nothing moves in an epoch."""

import jax.numpy as jnp
import numpy as np
import pytest

from rethinking.training import run as train
from rethinking.training import slots

from . import runs


def _whole_epochs(monkeypatch):
  """Dispatches what an accelerator would."""
  steps = "rethinking.training.sampler.platform_steps"
  monkeypatch.setattr(steps, lambda _: None)


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
  with runs.dispatches_noted(monkeypatch) as noted:
    train.run(runs.config(chunk_steps=chunk_steps), tmp_path, quiet=True)
  ends = _DISPATCH_ENDS[chunk_steps]
  assert noted == [*zip([0, *ends], ends, strict=False)]
  for a, b in zip(runs.rows(tmp_path), runs.rows(workdir), strict=True):
    assert a.keys() == b.keys()
    for key, value in a.items():
      if value is not None:
        np.testing.assert_allclose(value, b[key], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("chunk_steps", [7, None])
def test_a_resume_makes_the_dispatches_that_were_left(
  tmp_path, monkeypatch, chunk_steps
):
  _whole_epochs(monkeypatch)
  config = runs.config(chunk_steps=chunk_steps, eval_epochs=2)
  with runs.dispatches_noted(monkeypatch) as noted:
    train.run(config, tmp_path / "whole", quiet=True)
    whole = noted.copy()
    noted.clear()
    for dispatches in (2, 1):
      with runs.stopped_after(monkeypatch, dispatches):
        train.run(config, tmp_path / "stopped", quiet=True)
      # It is saved where the dispatch ended.
      assert runs.newest(tmp_path / "stopped").name == str(noted[-1][1])
    train.run(config, tmp_path / "stopped", quiet=True)
  assert noted == whole
  runs.assert_same(tmp_path / "stopped", tmp_path / "whole", config)


def test_an_epoch_cut_by_the_clock_ends_in_the_same_bits(tmp_path, monkeypatch):
  _whole_epochs(monkeypatch)
  config = runs.config(chunk_steps=None)
  with runs.dispatches_noted(monkeypatch) as noted:
    train.run(config, tmp_path / "whole", quiet=True)
    whole = noted.copy()
    noted.clear()
    monkeypatch.setattr("rethinking.training.sampler._FIRST", 4)
    # Each step takes a second, said once.
    monkeypatch.setattr("rethinking.training.sampler._SECONDS", 0.0)
    train.run(config, tmp_path / "cut", quiet=True)
  assert len(noted) == 2 + (32 - 6) > len(whole)
  runs.assert_same(tmp_path / "cut", tmp_path / "whole", config)


def test_a_dense_run_stopped_within_an_epoch_on_a_cpu_ends_in_the_same_bits(
  tmp_path, monkeypatch
):
  """What this platform dispatches by itself: 4,096 examples, 85 steps."""
  config = runs.config(
    chunk_steps=None, subset=None, epochs=4, eval_epochs=4, checkpoint_epochs=4
  )
  with runs.dispatches_noted(monkeypatch) as noted:
    train.run(config, tmp_path / "whole", quiet=True)
    whole = noted.copy()
    noted.clear()
    with runs.stopped_after(monkeypatch, 1):
      train.run(config, tmp_path / "stopped", quiet=True)
    assert runs.newest(tmp_path / "stopped").name == "85"
    train.run(config, tmp_path / "stopped", quiet=True)
  assert noted == whole == [(0, 85), (85, 120)]
  runs.assert_same(tmp_path / "stopped", tmp_path / "whole", config)


def _from_host(self, sizes):
  return np.array(sizes, np.int32), np.int32(max(sizes))


def _scalar(self, epochs):
  stream = stream_of(self, epochs)
  return stream._replace(epoch=stream.epoch + jnp.asarray(0))


def _between_devices(self, epochs):
  # On the first device alone.
  orders = self._samplers[0].draw(epochs[0]).orders[None]
  return stream_of(self, epochs)._replace(orders=orders)


stream_of = slots.Slots.stream


@pytest.mark.parametrize(
  ("name", "planted", "way"),
  [
    ("put_sizes", _from_host, "host-to-device"),
    ("stream", _scalar, "host-to-device"),
    ("stream", _between_devices, "device-to-device"),
  ],
)
def test_no_transfer_in_an_epoch_goes_unseen(
  tmp_path, monkeypatch, name, planted, way
):
  monkeypatch.setattr(slots.Slots, name, planted)
  with pytest.raises(Exception, match=f"Disallowed {way} transfer"):
    train.run(runs.config(epochs=1, chunk_steps=4), tmp_path, quiet=True)

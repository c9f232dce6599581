"""What a group keeps: each run's examples, and itself before it shrinks."""

import numpy as np
import small

from rethinking.sweeps import run as sweep
from rethinking.training import loop


def _kept(folder):
  with np.load(folder / "presentations.npz") as found:
    return dict(found)


def test_runs_of_a_group_keep_what_they_keep_alone(tmp_path):
  # Epochs end within batches, and a fitted run's slot goes to another.
  grid = {"g": {"variant": ("partial_labels",), "p": (0.0, 0.5)}}
  grid["g"] |= {"seed": (0, 1, 2), "stop_at_fit": (True,)}
  for at_once in (1, 3):
    workdir = tmp_path / str(at_once)
    config = small.config(
      grid, presentations=True, runs_at_once=at_once, epochs=6
    )
    config.update({"learning_rate": 3e-3, "fit_accuracy": 0.5})
    sweep.run(config, workdir, quiet=True)
  for folder in (tmp_path / "1" / "cells").iterdir():
    alone, group = _kept(folder), _kept(tmp_path / "3" / "cells" / folder.name)
    for name, value in alone.items():
      if name in ("loss", "margin"):
        np.testing.assert_allclose(group[name], value, rtol=1e-4, atol=1e-4)
      else:
        np.testing.assert_array_equal(group[name], value)


def test_a_group_is_saved_before_it_shrinks(tmp_path, monkeypatch):
  # Random labels are fitted last.
  shrunk = []
  refill = loop.Loop.refill

  def noted(self):
    if self.slots.active and self._too_many(len(self.slots.active)):
      shrunk.append((self.dispatches, self.saved))
    refill(self)

  monkeypatch.setattr(loop.Loop, "refill", noted)
  grid = {"g": {"variant": ("partial_labels",), "p": (0.0,), "seed": (0, 1)}}
  grid["h"] = {"variant": ("random_labels",), "seed": (0,)}
  grid["h"]["stop_at_fit"] = grid["g"]["stop_at_fit"] = (True,)
  config = small.config(grid, runs_at_once=3, epochs=6, checkpoint_epochs=99)
  config.update({"learning_rate": 3e-3, "fit_accuracy": 0.5})
  sweep.run(config, tmp_path, quiet=True)
  [(dispatches, saved)] = shrunk
  assert dispatches == saved

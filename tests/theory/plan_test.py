"""Which solver a problem gets, with and without an accelerator."""

import jax
import numpy as np
import pytest

from rethinking.theory import config, features, plan, solvers


def _config(**fields):
  c = config.kernel("digits")
  c.update(fields)
  return config.resolve(c)


def _check(c, n):
  maps = features.raw((8, 8, 1))
  train, test = (np.empty((count, 8, 8, 1), np.uint8) for count in (n, 360))
  return plan.check_memory(c, plan.Data(maps, train, test, np.empty((n, 11))))


@pytest.mark.parametrize(
  "fields, n, chosen",
  [
    ({}, 1437, "tiles"),
    ({"solver": "device"}, 1437, "device"),
    ({"ridges": (0.0, 1.0)}, 3000, "eigen"),
    ({"ridges": (0.0, 1.0)}, 3001, "tiles"),
    ({"kernel": "linear"}, 1437, "primal"),
    ({"kernel": "linear"}, 64, "tiles"),
  ],
)
def test_solver_on_the_cpu(fields, n, chosen):
  assert plan.solver(_config(**fields), features.raw((8, 8, 1)), n) == chosen


def test_an_accelerator_is_taken_where_the_matrix_fits(monkeypatch):
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  monkeypatch.setattr(solvers, "device_limit", lambda: 80e9)
  maps = features.raw((8, 8, 1))
  c = _config(precision="float32")
  assert plan.solver(c, maps, 60_000) == "device"
  assert plan.solver(c, maps, 100_000) == "tiles"
  # The matrix is over there: this machine holds none.
  assert _check(c, 60_000) < 3e9
  forced = _config(precision="float32", solver="device")
  with pytest.raises(
    plan.TooLargeError, match="n = 100000 .*100.0 GB.*subset=89442.*tiles"
  ):
    _check(forced, 100_000)


def test_estimates_grow_with_n():
  for solver in ("tiles", "device", "accelerator", "eigen", "primal"):
    for summed in (False, True):
      found = [
        plan.estimate_bytes(
          n,
          m=100,
          width=64,
          tile=1000,
          itemsize=4,
          summed=summed,
          solver=solver,
          columns=11,
          pixels=64,
        )
        for n in (2, 500, 999, 1000, 1001, 50_000)
      ]
      assert np.all(np.diff(found) > 0)

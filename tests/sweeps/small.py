"""Small sweeps on digits, and what they leave."""

import json

from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking.training import metrics


def config(grids, **fields):
  """Returns the config of a sweep whose cells take seconds."""
  c = config_lib.default()
  c.update(
    experiment="sweep",
    variant="figure1",
    dataset="digits",
    arch="mlp_1x512",
    subset=100,
    batch_size=32,
    epochs=3,
    checkpoint_epochs=1,
    plots=False,
    tensorboard=False,
    compilation_cache=False,
  )
  c.update(fields)
  c.grids = ConfigDict(grids)
  return c


def as_run(**fields):
  """Returns the config of a run as such a sweep's cells are."""
  c = config({}, **fields)
  c.update(experiment="train", variant="true_labels")
  return c


def rows(workdir):
  """Returns the rows by name, without what depends on the clock."""
  lines = (workdir / "results.jsonl").read_text().splitlines()
  found = [json.loads(line) for line in lines]
  assert len(found) == len({row["cell"] for row in found})
  return {row["cell"]: metrics.without_clock(row) for row in found}

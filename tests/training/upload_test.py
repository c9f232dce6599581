"""The devices hold a data set once, whoever trains on it."""

import jax

from rethinking import config as config_lib
from rethinking.training import slots, task

from . import runs


def _slots(tasks, **fields):
  config = config_lib.resolve(runs.config(**fields))
  tasks.append(task.load(config))
  return slots.Slots(config, tasks[-1], jax.devices()[:1])


def test_runs_of_one_data_set_share_one_upload():
  # While any of them holds the data.
  tasks, pixels = [], {"pixel_noise": "random_pixels"}
  fields = ({}, {"p": 0.1}, {"corrupt_in": "step", **pixels})
  held = [_slots(tasks, **one) for one in fields]
  for part in ("train", "test"):
    first, *others = (one._shared[part].images for one in held)
    assert all(other is first for other in others)
  at_load = _slots(tasks, corrupt_in="load", validation=20, **pixels)
  images = at_load._shared["train"].images
  assert images is not held[0]._shared["train"].images
  assert images is at_load._shared["validation"].images

"""The devices hold a data set once, whoever trains on it."""

import weakref

import jax

from rethinking import config as config_lib
from rethinking.training import run, slots, task, upload

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


def test_a_tpus_rows_fill_its_tiles():
  assert upload.width(28 * 28 * 3, "tpu") == 19 * 128
  assert upload.width(32 * 32 * 3, "tpu") == 32 * 32 * 3
  assert upload.width(28 * 28 * 3, "cpu") == 28 * 28 * 3


def test_what_rows_are_filled_up_with_changes_no_bit(monkeypatch, tmp_path):
  config = runs.config(epochs=2, pixel_noise="random_pixels", p=0.1)
  run.run(config, tmp_path / "plain", quiet=True)
  monkeypatch.setattr(upload, "width", lambda size, platform: size + 5)
  # Or it takes what lies on the devices already.
  monkeypatch.setattr(upload, "_UPLOADED", weakref.WeakKeyDictionary())
  run.run(config, tmp_path / "filled", quiet=True)
  runs.assert_same(tmp_path / "plain", tmp_path / "filled", config)

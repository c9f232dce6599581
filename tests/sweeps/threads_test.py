"""Runs side by side are the runs that go one after another."""

import os
import signal
import threading

import jax
import pytest
import small
from ml_collections import ConfigDict

from rethinking.runtime import signals
from rethinking.runtime.errors import Stopped
from rethinking.sweeps import cells, groups, threads
from rethinking.sweeps import run as sweep
from rethinking.training import loop, placement, programs


def _config(**fields):
  axes = {"variant": ("partial_labels",), "p": (0.5,), "seed": (0, 1, 2)}
  return small.config({"g": axes}, **{"arch": "digits_cnn", **fields})


@pytest.fixture
def two_cores(monkeypatch):
  """What a user's CPU is: one device, not the tests' four."""
  monkeypatch.setattr(placement, "all_devices", lambda: jax.devices()[:1])
  monkeypatch.setattr(groups.os, "sched_getaffinity", lambda _: {0, 1})
  programs.create.cache_clear()
  yield
  programs.create.cache_clear()


def test_side_by_side_they_are_the_same_to_the_bit(
  two_cores, tmp_path, monkeypatch
):
  sweep.run(_config(runs_at_once=1), tmp_path / "after", quiet=True)
  met = threading.Barrier(2, timeout=60)
  whole = cells._run_cell

  def meeting(name, **others):
    # Two wait for each other: had they no threads, they would for ever.
    if "seed2" not in name:
      met.wait()
    return whole(name, **others)

  monkeypatch.setattr(cells, "_run_cell", meeting)
  sweep.run(_config(), tmp_path / "beside", quiet=True)
  assert small.rows(tmp_path / "beside") == small.rows(tmp_path / "after")


def test_a_signal_stops_all_and_the_same_call_goes_on(
  two_cores, tmp_path, monkeypatch
):
  sweep.run(_config(), tmp_path / "whole", quiet=True)
  evaluate = loop.Loop.evaluate

  def ask(self, whom):
    evaluate(self, whom)
    if whom[0].epoch == 1:
      os.kill(os.getpid(), signal.SIGTERM)

  with monkeypatch.context() as patch:
    patch.setattr(loop.Loop, "evaluate", ask)
    with pytest.raises(Stopped, match="continues there"):
      sweep.run(_config(), tmp_path / "cut", quiet=True)
  assert not (tmp_path / "cut" / "results.jsonl").exists()
  assert len(list((tmp_path / "cut").glob("cells/*/checkpoints/*"))) >= 2
  sweep.run(_config(), tmp_path / "cut", quiet=True)
  assert small.rows(tmp_path / "cut") == small.rows(tmp_path / "whole")


def test_what_one_raises_ends_those_beside_it():
  ended = threading.Event()

  def one(name):
    if name == "bad":
      raise OSError("full")
    with signals.deferred() as stop:
      assert stop.wait(60)
    ended.set()
    raise Stopped("at step 1", "w")

  with pytest.raises(OSError, match="full"):
    threads.run({"good": None, "bad": None}, 2, one, lambda *_: None)
  assert ended.is_set()


@pytest.mark.parametrize(
  ("fields", "at_once", "want"),
  [
    ({}, None, 2),
    ({}, 1, 1),
    ({}, 3, 1),
    ({"batch_size": 256}, None, 1),
    ({"arch": "keras_mnist_cnn"}, None, 1),
  ],
)
def test_how_many_go_side_by_side(
  two_cores, monkeypatch, fields, at_once, want
):
  monkeypatch.setattr(
    groups,
    "parameters",
    lambda c: {"digits_cnn": 272_000, "keras_mnist_cnn": 602_634}[c.arch],
  )
  cell = ConfigDict({"arch": "digits_cnn", "batch_size": 64} | fields)
  assert groups.width(cell, at_once) == want


def test_several_devices_meet_in_each_step():
  cell = ConfigDict({"arch": "digits_cnn", "batch_size": 32})
  assert len(placement.all_devices()) > 1
  assert groups.width(cell, None) == 1

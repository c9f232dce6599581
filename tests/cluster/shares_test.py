"""Shares of a sweep: who makes what, by config and number alone."""

import itertools

import pytest
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking.runtime.errors import UserError
from rethinking.sweeps import grid, shares


def _cells(**axes):
  c = config_lib.default()
  c.update(experiment="sweep", variant="figure1", dataset="digits", subset=100)
  c.update(epochs=3, batch_size=32)
  c.grids = ConfigDict({"g": axes})
  return grid.expand(c)


_CELLS = {
  "arch": ("mlp_1x512", "digits_cnn"),
  "epochs": (1, 5),
  "seed": (0, 1, 2),
}


@pytest.mark.parametrize("count", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("at_once", [None, 1, 8])
def test_every_run_is_dealt_once_and_shares_differ_by_a_group(count, at_once):
  cells = _cells(**_CELLS)
  dealt = shares.deal(cells, count, at_once)
  assert len(dealt) == count
  names = [n for share in dealt for group in share.groups for n in group]
  assert sorted(names) == sorted(cells)
  units = {len(group) for share in dealt for group in share.groups}
  # A CPU trains the MLP's three seeds in one program, the CNN's one by one.
  assert units == {None: {1, 3}, 1: {1}, 8: {3}}[at_once]
  # In parameters times examples times epochs, the dearest first.
  dearest = shares.deal(cells, len(cells), at_once)[0]
  costs = [share.cost for share in dealt]
  assert max(costs) - min(costs) <= dearest.cost
  assert dealt[0].groups[0] == dearest.groups[0]
  assert dealt == shares.deal(cells, count, at_once)


def test_cost_counts_epochs_examples_and_parameters():
  one = {"arch": ("mlp_1x512",), "epochs": (2,), "subset": (100,)}
  base = shares.deal(_cells(**one), 1, 1)[0].cost
  for axis, value, factor in (("epochs", 6, 3), ("subset", 200, 2)):
    found = shares.deal(_cells(**{**one, axis: (value,)}), 1, 1)[0].cost
    assert found == factor * base
  weights = (64 * 512 + 512) + (512 * 10 + 10)
  assert base == weights * 100 * 2


def test_the_plan_lists_every_share():
  lines = shares.plan(shares.deal(_cells(**_CELLS), 4, 1)).splitlines()
  assert [line.split()[0] for line in lines[1:5]] == [
    "0/4",
    "1/4",
    "2/4",
    "3/4",
  ]
  assert sum(int(line.split()[1]) for line in lines[1:5]) == 12


def _array(index, count, least, most, **more):
  names = ("ID", "COUNT", "MIN", "MAX")
  values = (index, count, least, most)
  return {
    f"SLURM_ARRAY_TASK_{name}": str(value)
    for name, value in [*zip(names, values, strict=True), *more.items()]
  }


@pytest.mark.parametrize(
  ("text", "environment", "expected"),
  [
    ("2/3", {}, ("2/3", "the flag")),
    ("0/1", {"SLURM_ARRAY_TASK_ID": "7"}, ("0/1", "the flag")),
    ("auto", _array(3, 8, 0, 7), ("3/8", "SLURM_ARRAY_TASK_ID")),
    ("auto", _array(0, 1, 0, 0, STEP=1), ("0/1", "SLURM_ARRAY_TASK_ID")),
    (
      "auto",
      {"TPU_WORKER_ID": "1", "TPU_WORKER_HOSTNAMES": "a,b,c"},
      ("1/3", "TPU_WORKER_ID"),
    ),
  ],
)
def test_a_share_is_read_and_where_is_said(text, environment, expected):
  share, source = shares.parse(text, environment)
  assert (str(share), source) == expected


@pytest.mark.parametrize(
  ("text", "environment", "message"),
  [
    *itertools.product(
      ("3/3", "4/3", "0/0", "-1/3", "1", "a/b", ""),
      [{}],
      ["must be I/N with I from 0 to N - 1, got "],
    ),
    ("auto", {}, "neither SLURM_ARRAY_TASK_ID nor TPU_WORKER_ID"),
    ("auto", _array(3, 2, 3, 5), r"try --shard=\$SLURM_ARRAY_TASK_ID/8"),
    ("auto", _array(2, 4, 1, 4), "an array from 0 in steps of 1"),
    ("auto", _array(0, 4, 0, 6, STEP=2), "got 0-6 with 4 tasks"),
    ("auto", {"SLURM_ARRAY_TASK_ID": "3"}, "an array from 0"),
    (
      "auto",
      {"TPU_WORKER_ID": "1", "TPU_WORKER_HOSTNAMES": "a"},
      "got '1/1'",
    ),
  ],
)
def test_what_is_no_share_is_refused_in_a_line(text, environment, message):
  with pytest.raises(UserError, match=message) as error:
    shares.parse(text, environment)
  assert "\n" not in str(error.value)

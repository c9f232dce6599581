"""Configs of earlier versions: today's names, absent fields."""

import pytest

from rethinking import config as config_lib
from rethinking.config import fields, records
from rethinking.runtime.errors import UserError


@pytest.fixture
def names(monkeypatch):
  monkeypatch.setattr(
    fields,
    "RENAMED",
    {
      "recipe": {"papre": "paper"},
      "arch": {"perceptron": "mlp_1x512"},
      "variant": {"noisy_labels": "random_labels", "old_study": "study"},
    },
  )
  records._say.cache_clear()


def test_a_sweep_of_the_first_version_is_the_same_sweep():
  c = config_lib.default()
  c.experiment = "sweep"
  new = config_lib.plain(c)
  later = {row.name for row in fields.TABLE if row.absent is not ...}
  old = {k: v for k, v in new.items() if k not in later} | {"l2": None}
  assert config_lib.differences(old, new) == []
  old["epochs"] = 31
  assert config_lib.differences(old, new) == ["epochs: 31 -> 30"]


def test_old_names_are_read_silently(names, capsys):
  row = {
    "cell": "perceptron-noisy_labels-recipepapre-seed1",
    "figure": "old_study",
    "config": {"recipe": "papre", "grids": {"a": {"arch": ["perceptron"]}}},
  }
  found = config_lib.recorded_row(row)
  assert found["cell"] == "mlp_1x512-random_labels-recipepaper-seed1"
  assert found["figure"] == "study"
  assert found["config"]["recipe"] == "paper"
  assert found["config"]["grids"] == {"a": {"arch": ["mlp_1x512"]}}
  assert config_lib.recorded_row({"no": "row"}) == {"no": "row"}
  assert capsys.readouterr().err == ""


def test_old_names_are_understood_and_said_once(names, capsys):
  c = config_lib.default()
  c.grids.one = {"arch": ("perceptron", "alexnet")}
  c.arch = "perceptron"
  config_lib.parse(c, "noisy_labels,recipe=papre")
  assert (c.variant, c.p, c.recipe) == ("random_labels", 1.0, "paper")
  assert c.arch == "mlp_1x512"
  assert c.grids.one.arch == ("mlp_1x512", "alexnet")
  with c.unlocked():
    c.recipe = "papre"
    del c.grids.one
  assert config_lib.resolve(c).recipe == "paper"
  assert capsys.readouterr().err.splitlines() == [
    "note: variant=noisy_labels is called random_labels now.",
    "note: arch=perceptron is called mlp_1x512 now.",
    "note: recipe=papre is called paper now.",
  ]
  with pytest.raises(UserError, match="variant must be .*, got 'nothing'"):
    config_lib.parse(config_lib.default(), "nothing")

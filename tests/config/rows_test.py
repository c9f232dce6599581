"""Rows name what is there."""

import pathlib
import pkgutil
import runpy

import pytest

from rethinking.config import experiments, figures

_CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
_MODULES = {
  *(row.module + ":run" for row in experiments.EXPERIMENTS.values()),
  *(row.config for row in experiments.EXPERIMENTS.values()),
  *(
    name
    for row in figures.FIGURES.values()
    for name in (row.pictures, row.files, row.after)
  ),
}


@pytest.mark.parametrize("name", sorted(_MODULES - {""}))
def test_what_a_row_names_can_be_called(name):
  assert callable(pkgutil.resolve_name(name))


def test_every_sweep_of_a_config_file_is_a_row_and_every_row_one():
  found = [
    runpy.run_path(str(path))["_SWEEPS"] for path in _CONFIGS.glob("*.py")
  ]
  assert {name for sweeps in found for name in sweeps} == {*figures.FIGURES}

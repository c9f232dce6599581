"""The run that others are held against."""

import pytest

from rethinking.training import run as train

from . import runs


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("undisturbed")
  return workdir, train.run(runs.config(), workdir, quiet=True)

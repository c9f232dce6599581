"""Workdirs of earlier versions, and what a resume may change."""

import json

import pytest

from rethinking.runtime.errors import UserError
from rethinking.training import run as train

from . import runs

# Fields that came later.
_LATER = {
  *("grids", "only", "runs_at_once", "augment", "normalization"),
  *("l2_kernels", "early_stopping", "validation", "validation_labels"),
  *("validation_seed", "matmul_precision"),
}


def test_a_finished_run_of_the_first_version_opens(undisturbed):
  workdir, summary = undisturbed
  path, sums = workdir / "config.json", workdir / "sha256.json"
  kept = {x: x.read_bytes() for x in (path, sums)}
  old = {k: v for k, v in json.loads(kept[path]).items() if k not in _LATER}
  old |= {"label_options": {}, "pixel_options": {}}
  path.write_text(json.dumps(old))
  # The config was not among them.
  summed = json.loads(kept[sums])
  del summed["config.json"]
  sums.write_text(json.dumps(summed))
  try:
    assert train.run(runs.config(), workdir, quiet=True) == summary
    with pytest.raises(UserError, match="matmul_precision: None -> 'high'"):
      train.run(runs.config(matmul_precision="high"), workdir, quiet=True)
    with pytest.raises(UserError, match=r"\(augment: 'none' -> 'flip_ro"):
      train.run(runs.config(augment="flip_rotation"), workdir, quiet=True)
  finally:
    for x, data in kept.items():
      x.write_bytes(data)


def test_what_changes_no_number_may_be_changed(undisturbed):
  workdir, summary = undisturbed
  config = runs.config(plots=True, tensorboard=True, data_cache=False)
  assert train.run(config, workdir, quiet=True) == summary

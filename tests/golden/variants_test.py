"""The six variants of configs/digits.py, a quarter of a minute each."""

import hashlib
import json
import runpy

import jax
import pytest
from kept import ROOT, golden

from rethinking.training import metrics, placement, programs
from rethinking.training import run as train

VARIANTS = (
  "true_labels",
  "partial_labels,p=0.4",
  "random_labels",
  "shuffled_pixels",
  "random_pixels",
  "gaussian_pixels",
)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_ends_as_it_did(variant, tmp_path, request, monkeypatch):
  # As the command runs on a CPU.
  monkeypatch.setattr(placement, "all_devices", lambda: jax.devices()[:1])
  programs.create.cache_clear()
  config = runpy.run_path(str(ROOT / "configs" / "digits.py"))["get_config"]
  one = config(f"{variant},plots=false,tensorboard=false")
  summary = train.run(one, tmp_path, quiet=True)
  programs.create.cache_clear()
  lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
  rows = [
    {
      k: v
      for k, v in metrics.without_clock(json.loads(line)).items()
      # Those that rows did not have when they were kept.
      if not k.endswith("_images")
    }
    for line in lines
  ]
  digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
  found = [summary["train_accuracy"], summary["test_accuracy"]]
  # Rounding alone moves some of the 360 test images.
  golden(request, "variants", variant).closely(found, digest, atol=18 / 360)

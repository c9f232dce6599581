"""What a run's end says, against its examples."""

import re

import jax
import numpy as np
import pytest

from rethinking import corruptions
from rethinking.corruptions import Corruption
from rethinking.training import run as train

from . import runs


@pytest.mark.parametrize("redraw", ["never", "epoch"])
def test_accuracy_on_clean_and_on_corrupted_test_images(
  tmp_path, capsys, redraw
):
  fields = {"pixel_noise": "random_pixels", "fraction": 0.4, "redraw": redraw}
  config = runs.config(epochs=3, per_example=True, **fields)
  summary = train.run(config, tmp_path)
  *_, last = sorted((tmp_path / "per_example").iterdir())
  with np.load(last) as kept:
    ids, right = kept["test_id"], kept["test_correct"]
  # Test images keep the first draw, whatever the epoch.
  drawn = corruptions.prepare(
    [Corruption.create("random_pixels", fraction=0.4)],
    seed=0,
    images=np.zeros((len(ids), 8, 8, 1), np.uint8),
    labels=np.zeros(len(ids), np.int32),
    ids=ids,
    split="test",
    num_classes=10,
    draw=0 if redraw == "epoch" else None,
  ).drawn
  assert 0 < drawn.sum() < len(ids)
  out = capsys.readouterr().out
  for part, which in (("clean", ~drawn), ("corrupted", drawn)):
    found = summary[f"test_accuracy_{part}_images"]
    assert found == pytest.approx(right[which].mean())
    (line,) = re.findall(rf"^  test image {part} +(\S+) %", out, re.M)
    assert line == f"{100 * found:.2f}"


def test_clean_data_are_not_split(undisturbed):
  _, summary = undisturbed
  assert not [name for name in summary if name.endswith("_images")]


@pytest.mark.parametrize(
  ("field", "setting", "found"),
  [(None, None, None), (None, "high", "high"), ("highest", "high", "highest")],
)
def test_the_precision_is_the_fields_or_else_jaxs(
  tmp_path, field, setting, found
):
  config = runs.config(epochs=1, matmul_precision=field)
  with jax.default_matmul_precision(setting):
    summary = train.run(config, tmp_path, quiet=True)
  assert summary["matmul_precision"] == found

"""What a list of wrong labels reaches on digits, and what its repair trains."""

import csv
import json
import pathlib

import numpy as np
import pytest

from rethinking.report import detection, row_files
from rethinking.runtime import cli
from rethinking.sweeps import repair
from rethinking.sweeps import run as sweep

_CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"
_ARMS = ["given", "random", "removed", "fixed", "true"]


def _config(text):
  return cli.load(f"{_CONFIGS}/digits.py:{text}")


def _lines(path):
  return [*csv.DictReader(path.read_text().splitlines())]


@pytest.mark.slow
def test_repair_is_trained_once_and_said(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(repair, "_SEEDS", 2)
  config = _config("repair,label_noise=symmetric,p=0.2,subset=400")
  sweep.run(config, tmp_path)
  assert (tmp_path / "repair.md").read_text() in capsys.readouterr().out
  lines = _lines(tmp_path / "repair.csv")
  assert [x["arm"] for x in lines] == _ARMS
  [folder] = tmp_path.glob("repair/*")
  seen = [
    json.loads(x) for x in (folder / "results.jsonl").read_text().splitlines()
  ]
  for line in lines:
    tested = [
      x["test_accuracy"] for x in seen if x["cell"].startswith(line["arm"])
    ]
    assert float(line["test_accuracy"]) == pytest.approx(np.mean(tested))
  assert float(lines[2]["gain"]) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
  ("noise", "p", "auroc"),
  [("symmetric", 0.2, 0.997), ("pair_flip", 0.2, 0.985)],
)
def test_digits_reach_their_bars(tmp_path, noise, p, auroc):
  config = _config(f"label_issues,label_noise={noise},p={p}")
  sweep.run(config, tmp_path, quiet=True)
  groups = row_files.load(tmp_path / "results.jsonl").groups
  detection.write(groups, tmp_path)
  [row] = _lines(tmp_path / "detection.csv")
  assert float(row["auroc_aum"]) >= auroc
  best = max(
    float(row[f"auroc_{name}"])
    for name in ("self_confidence", "normalized_margin")
  )
  assert float(row["auroc_posterior"]) >= best - 0.005
  if noise == "symmetric":
    assert float(row["auroc_self_confidence"]) >= 0.997
    assert float(row["ap_self_confidence"]) >= 0.985


@pytest.mark.slow
def test_the_guard_fires_where_nearly_half_of_a_class_is_flipped(tmp_path):
  config = _config("label_issues,label_noise=pair_flip,p=0.4")
  sweep.run(config, tmp_path, quiet=True)
  text = (tmp_path / "label_issues.md").read_text()
  assert "This list may be inverted; look at 50 first" in text
  assert "expected to be wrong" not in text

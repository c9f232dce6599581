"""Runs beside each other, and a run's curves drawn anew."""

import json

import pytest

from rethinking import report
from rethinking.report.__main__ import main
from rethinking.storage import checksums


def _run(folder, finished=True, **fields):
  folder.mkdir(parents=True)
  config = {"experiment": "train", "dataset": "digits", "arch": "mlp_1x512"}
  config |= {"label_noise": "uniform", "p": 0.4, "seed": 0, "redraw": "never"}
  config |= {"plots": True, **fields}
  (folder / "config.json").write_text(json.dumps(config))
  rows = [
    {"step": 9 * k, "epoch": k, "train_loss": 2 / (k + 1), "test_loss": 2.0}
    | {"train_accuracy": k / 2, "test_accuracy": 0.25}
    | {"train_accuracy_changed": k / 4}
    for k in range(3)
  ]
  text = "".join(json.dumps(row) + "\n" for row in rows)
  (folder / "metrics.jsonl").write_text(text)
  if finished:
    summary = {**rows[-1], "epochs_to_fit": 2}
    (folder / "summary.json").write_text(json.dumps(summary))
    checksums.write(folder, ("metrics.jsonl", "summary.json"))
  return folder


def test_fields_that_differ_stand_beside_the_results(tmp_path, capsys):
  a = _run(tmp_path / "a", p=0.2)
  b = _run(tmp_path / "b", finished=False, seed=1, plots=False)
  assert main([str(a), str(b), f"--out={tmp_path / 'o'}"]) == 0
  out = capsys.readouterr().out.splitlines()
  assert out[:4] == [
    "| run | p | seed | epochs | train % | changed % | test % "
    "| epochs to fit |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
    f"| {a} | 0.2 | 0 | 2 | 100.00 | 50.00 | 25.00 | 2 |",
    f"| {b} | 0.4 | 1 | 2… | 100.00 | 50.00 | 25.00 | - |",
  ]
  names = ["table.md", "comparison.png", "comparison.svg", "index.html"]
  assert out[4:] == [str(tmp_path / "o" / name) for name in names]
  table = (tmp_path / "o" / "table.md").read_text().splitlines()
  assert table == out[:4]
  # Text is drawn as shapes; what each line is of, is in the comments.
  drawn = (tmp_path / "o" / "comparison.svg").read_text()
  assert "<!-- p 0.2, seed 0 -->" in drawn and "<!-- p 0.4, seed 1 -->" in drawn


def test_a_runs_curves_are_drawn_anew_to_the_same_bytes(tmp_path):
  folder = _run(tmp_path / "a")
  names = ["curves.png", "curves.svg", "index.html"]
  assert [path.name for path in report.redraw(folder)] == names
  before = [(folder / name).read_bytes() for name in names]
  for name in names:
    (folder / name).unlink()
  assert main([str(folder)]) == 0
  assert [(folder / name).read_bytes() for name in names] == before
  assert b"partial labels (p = 0.4), mlp_1x512, seed 0" in before[1]


def _sweep(folder):
  (folder / "cells").mkdir()


def _edited(folder):
  path = folder / "metrics.jsonl"
  path.write_text(path.read_text().replace("0.25", "0.75"))


@pytest.mark.parametrize(
  ("act", "words"),
  [
    (lambda w: (w / "config.json").unlink(), "got no config.json"),
    (lambda w: (w / "metrics.jsonl").unlink(), "without evaluations"),
    (lambda w: (w / "metrics.jsonl").write_text(""), "damaged"),
    (_sweep, "got a sweep; try its runs"),
    (_edited, "damaged file metrics.jsonl"),
  ],
)
def test_what_is_no_run_is_refused_in_a_line(tmp_path, capsys, act, words):
  a, b = _run(tmp_path / "a"), _run(tmp_path / "b")
  act(b)
  assert main([str(a), str(b), f"--out={tmp_path / 'o'}"]) == 2
  error = capsys.readouterr().err
  assert words in error and error.count("\n") == 1, error
  assert not (tmp_path / "o").exists()


def test_nothing_given_is_said(capsys):
  assert main([]) == 2
  assert "give the workdir of a sweep or of runs" in capsys.readouterr().err

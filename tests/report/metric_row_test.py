"""A row of the table of metrics is all that its places need."""

import csv
import types

import pytest

from rethinking.report import lines, rows, tables
from rethinking.runtime.console import Console
from rethinking.training import metrics, summary

from . import synthetic

_NEW = metrics.Metric(
  "train_margin",
  metrics.Unit("margin", digits=3, sign=" logits", low=-100),
  "csv clock",
  table="margin",
  end="train, given labels",
  log="log margin",
  bar="m",
)


def test_a_new_row_is_shown_in_all_its_places(monkeypatch, tmp_path, capsys):
  monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, _NEW))
  made = [
    synthetic.row(seed=seed, metrics={"train_margin": 1.5 + seed})
    for seed in range(2)
  ]
  assert metrics.trouble({"train_margin": -3.0}) is None
  assert "from -100" in metrics.trouble({"train_margin": -101})
  groups = rows.gather(made).groups
  assert "| margin logits |" in tables.measured(groups)
  assert "| 2.000 ± 0.707 |" in tables.measured(groups)
  (line,) = csv.DictReader(lines.table_csv(groups).splitlines())
  assert line["train_margin_mean"] == "2.0"

  log, bar = metrics.shown("log"), metrics.shown("bar")
  assert bar["train_margin"] == "m"
  with Console(10, "title", log, bar) as console:
    console.evaluation({"step": 1, **made[0]})
    task = types.SimpleNamespace(
      report={"flip_rate": 0.0}, train=types.SimpleNamespace(ids=[0])
    )
    task.num_classes = 10
    summary.show(console, {**made[0], "wall_seconds": 1.0}, task, tmp_path)
  out = capsys.readouterr().out
  assert "  log margin 1.5000" in out
  head, train, *_ = out[out.index("examples ") :].splitlines()
  assert head.split() == ["examples", "accuracy", "loss", "margin"]
  assert train.endswith(" 1.500 logits")
  assert metrics.flagged("clock")[-1] == "train_margin"


@pytest.mark.parametrize("changed", [True, False])
def test_the_end_of_a_run_in_its_words(tmp_path, capsys, changed):
  made = {f"{split}_loss": 0.25 for split in ("train", "test")}
  made |= {f"{split}_accuracy": 0.5 for split in ("train", "test")}
  made |= {"epochs_to_fit": 3, "steps": 9, "wall_seconds": 1.0}
  line = said = ""
  if changed:
    made |= {"train_accuracy_changed": 0.75, "changed_predicted_true": 0.25}
    line = (
      "  label changed       75.00 %       -\n"
      "  seen through        25.00 %       -\n"
    )
    said = (
      ". Of the wrong ones it fitted 75.00 % and saw through 25.00 %, "
      "predicting the true class"
    )
  task = types.SimpleNamespace(
    report={"flip_rate": 0.125}, train=types.SimpleNamespace(ids=range(1437))
  )
  task.num_classes = 10
  summary.show(Console(1, "title"), made, task, tmp_path)
  assert capsys.readouterr().out == (
    "examples             accuracy    loss\n"
    "train, given labels   50.00 %  0.2500\n"
    f"{line}"
    "test, true labels     50.00 %  0.2500\n"
    "The network was given 1,437 labels, 12.50 % of them wrong, and fitted "
    f"them by epoch 3{said}. On clean test labels it is right 50.00 % of the "
    "time; "
    "chance is 10.00 %.\n"
    f"9 steps in 1.0 s. Everything is in {tmp_path}.\n"
  )

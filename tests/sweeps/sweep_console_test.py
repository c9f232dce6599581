"""A sweep's progress, in a log and on a terminal."""

import io

import pytest
from rich import console as rich_console

from rethinking.sweeps import console as sweep_console
from rethinking.sweeps.console import SweepConsole

_ROW = {
  "status": "finished",
  "train_accuracy": 1.0,
  "test_accuracy": 0.5,
  "steps_to_fit": 45,
  "seconds": 2.0,
}


def _row(name, **fields):
  return {"cell": name, **_ROW, **fields}


@pytest.fixture
def clock(monkeypatch):
  now = [0.0]
  monkeypatch.setattr(sweep_console.time, "monotonic", lambda: now[0])
  return now


def test_a_log_has_a_line_a_cell(capsys, clock):
  with SweepConsole(4, "figure1") as console:
    console.count(_row("old"))
    console.running("a", 0, 10, None)
    clock[0] = 10.0
    console.finished("a", _row("a"))
    clock[0] = 20.0
    console.finished("b", _row("b", steps_to_fit=None))
    console.finished("c", {"cell": "c", "status": "diverged", "step": 7})
  assert capsys.readouterr().out.splitlines() == [
    "figure1: 4 cells",
    # One done in ten seconds, two to go; the old one took none of them.
    "2/4  a  train 100.00 %  test 50.00 %  fitted by step 45  2.0 s  "
    "0:00:20 left",
    "3/4  b  train 100.00 %  test 50.00 %  not fitted  2.0 s  0:00:10 left",
    "4/4  c  diverged at step 7",
  ]


def test_quiet_says_nothing(capsys, clock):
  with SweepConsole(1, "figure1", quiet=True) as console:
    console.running("a", 0, 10, None)
    console.finished("a", _row("a"))
  assert capsys.readouterr().out == ""


def test_the_table_of_a_terminal(clock):
  console = SweepConsole(20, "figure1")
  console.finished("done", _row("done", steps_to_fit=None))
  for index in range(10):
    console.running(f"run{index}", 5, 10, _ROW)
  clock[0] = 60.0
  out = io.StringIO()
  rich_console.Console(file=out, width=80).print(console._table())
  text = out.getvalue()
  words = text.split()
  for word in ("done", "running", "censored", "diverged", "1 of 20", "10"):
    assert word in text
  # Six cells' worth in a minute, fourteen to go.
  assert "0:02:20" in words
  assert "run7" in words and "run8" not in words and "and 2 more" in text
  assert "epoch 5 of 10" in text

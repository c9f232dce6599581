import contextlib
import io
import itertools
import types

import pytest

from rethinking.runtime import console

ROW = {
  "step": 2000,
  "epoch": 25,
  "train_loss": 1.25,
  "train_accuracy": 0.5,
  "test_loss": 2.5,
  "test_accuracy": 0.125,
}
LOG = {
  "train_loss": "train loss",
  "train_accuracy": "accuracy",
  "test_loss": "test loss",
  "test_accuracy": "accuracy",
}
BAR = {"train_loss": "loss", "train_accuracy": "acc", "test_accuracy": "test"}


class Terminal(io.StringIO):
  def isatty(self):
    return True


@pytest.fixture
def clock(monkeypatch):
  """A clock that is a second later at every look."""
  ticks = itertools.count()
  stub = types.SimpleNamespace(monotonic=lambda: float(next(ticks)))
  monkeypatch.setattr(console, "time", stub)


@pytest.fixture
def terminal(monkeypatch):
  monkeypatch.setenv("TERM", "xterm")
  monkeypatch.setenv("COLUMNS", "80")
  return Terminal()


def use(c):
  c.step(1000)
  c.step(1001)
  c.step(1002, images_per_second=12345.6)
  c.evaluation(ROW)
  c.step(2000)
  c.say("a [red]sentence[/red]")
  c.warn("beware")


def test_a_log_gets_one_plain_line_an_evaluation(capsys, clock):
  with console.Console(12_000, "title", LOG, BAR) as c:
    use(c)
  lines = capsys.readouterr().out.splitlines()
  assert lines == [
    "title: 12,000 steps",
    "step  2,000/12,000  epoch 25  train loss 1.2500  accuracy 0.5000"
    # After the first step, which compiles, one took two looks at the clock;
    # 10,998 are left.
    "  test loss 2.5000  accuracy 0.1250  12,346 images/s  6:06:36 left",
    "a [red]sentence[/red]",
    "warning: beware",
  ]


def test_missing_measures_are_left_out(capsys):
  with console.Console(10, "title", LOG, BAR) as c:
    c.evaluation({"step": 3, "train_loss": None})
  assert capsys.readouterr().out.splitlines()[1] == "step  3/10"


def test_quiet_prints_nothing(capsys, terminal):
  for stream in (terminal, io.StringIO()):
    with contextlib.redirect_stdout(stream):
      with console.Console(12_000, "title", LOG, BAR, quiet=True) as c:
        use(c)
      c.table([("a", "b"), ("1", "2")])
    assert stream.getvalue() == ""
  captured = capsys.readouterr()
  assert captured.out == captured.err == ""


def test_a_terminal_gets_a_bar_that_fits_80_columns(terminal, clock):
  with contextlib.redirect_stdout(terminal):
    with console.Console(12_000, "title", LOG, BAR) as c:
      use(c)
      c.step(12_000)
  text = terminal.getvalue()
  assert "title" in text
  assert "a [red]sentence[/red]" in text
  assert "warning: beware" in text
  last = text.splitlines()[-2:]
  assert "100% loss 1.250  acc 0.500  test 0.125 12,346 images/s" in "".join(
    last
  )
  assert "0:00:00 left" in "".join(last)
  assert "…" not in text


def test_table_aligns_its_columns(capsys):
  c = console.Console(1, "title")
  c.table([("", "train", "test"), ("accuracy", "1.000", "0.1")])
  assert capsys.readouterr().out == (
    "          train  test\naccuracy  1.000   0.1\n"
  )


def test_table_on_a_terminal_has_the_same_cells(terminal):
  with contextlib.redirect_stdout(terminal):
    console.Console(1, "title").table([("", "train"), ("accuracy", "1.000")])
  words = terminal.getvalue().replace("\x1b[1m", " ").replace("\x1b[0m", " ")
  assert ["train", "accuracy", "1.000"] == [
    w for w in words.split() if not set(w) <= {"─"}
  ]


def test_an_exception_ends_the_bar(terminal):
  with contextlib.redirect_stdout(terminal), pytest.raises(KeyError):
    with console.Console(10, "title"):
      raise KeyError
  # The cursor is shown again.
  assert terminal.getvalue().rstrip().endswith("\x1b[?25h")

"""The minutes on an accelerator, rehearsed on the CPU at tiny sizes."""

import json
import math

import jax
import pytest

from rethinking.benchmark import __main__ as command
from rethinking.benchmark import accelerator, values
from rethinking.runtime import backend, signals
from rethinking.runtime.errors import Stopped
from rethinking.training import placement


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
  """The programs of later tests are theirs."""
  monkeypatch.setattr(backend, "_use_compilation_cache", lambda: None)


def _run(folder, *flags):
  arguments = ["accelerator", "--rehearse", f"--out={folder}", *flags]
  code = command.main(arguments)
  return code, json.loads((folder / "accelerator.json").read_text())


def test_every_line_is_rehearsed_and_done_once(tmp_path, monkeypatch):
  jax.devices()  # Those of all tests: this one may be the first.
  # As the command runs on a CPU, and the processes that it starts.
  monkeypatch.setattr(placement, "all_devices", lambda: jax.devices()[:1])
  monkeypatch.delenv("XLA_FLAGS")
  code, found = _run(tmp_path)
  assert code == 0, found
  titles = [*accelerator.lines(rehearse=True)]
  assert [*found["lines"]] == titles and len(titles) == 9
  text = (tmp_path / "accelerator.md").read_text()
  for title in titles:
    measured = found["lines"][title]["measured"]
    assert measured and f"\n## {title}\n" in text
    for name, value in measured.items():
      if isinstance(value, dict):
        value = value["median"]
      if value is not None:
        assert math.isfinite(value), (title, name)
  # Both are CPUs here.
  assert max(found["lines"][titles[0]]["measured"].values()) < 1e-5
  code, again = _run(tmp_path)
  assert code == 0 and again["lines"] == found["lines"]


def test_lines_of_an_accelerator_are_those_of_the_rehearsal_and_larger():
  """With every architecture, and Inception where one is timed."""
  titles = [*accelerator.lines(rehearse=False)]
  assert len(titles) == 9 + 2
  rehearsed = accelerator.lines(rehearse=True)
  assert {
    title.replace("mlp_1x512 in", "inception in")
    .replace("mlp_1x512, batch", "inception, batch")
    .replace("4 runs", "88 runs")
    for title in rehearsed
  } <= {*titles}


def test_a_difference_of_values_is_seen(monkeypatch):
  own = values.losses("mlp_1x512", None)
  monkeypatch.setattr(
    values, "losses", lambda arch, precision: own * 1.25 if precision else own
  )
  found = values.compare(["mlp_1x512"])
  assert [*found.values()] == pytest.approx([0.25, 0], abs=1e-5)


def test_a_line_that_fails_ends_nothing_and_is_tried_again(
  tmp_path, monkeypatch, capsys
):
  calls = []

  def line(folder):
    calls.append(folder)
    return {"seconds": 1.0, "runs": None}

  def broken(folder):
    raise RuntimeError("out of memory\nby 12 bytes")

  todo = {"first": line, "second": broken, "third": line}
  monkeypatch.setattr(accelerator, "lines", lambda rehearse: todo)
  code, found = _run(tmp_path)
  assert code == 1 and len(calls) == 2
  assert found["lines"]["second"]["failed"] == "RuntimeError: out of memory"
  assert "broken" in found["lines"]["second"]["traceback"]
  assert "second: RuntimeError: out of memory\n" in capsys.readouterr().out
  todo["second"] = line
  code, found = _run(tmp_path)
  assert code == 0 and len(calls) == 3
  assert [*found["lines"]["second"]] == ["seconds", "measured"]


def test_when_time_is_up_a_run_saves_and_no_line_begins(tmp_path, monkeypatch):
  calls = []

  def run(folder):
    with signals.deferred() as stop:
      if not calls:
        assert stop.wait(120)
        calls.append("first")
        raise Stopped("at step 3", folder)
    calls.append("again")
    return {"steps": 6}

  def line(folder):
    calls.append("line")
    return {"seconds": 1.0}

  monkeypatch.setattr(
    accelerator, "lines", lambda rehearse: {"run": run, "line": line}
  )
  code, found = _run(tmp_path, "--minutes=0.001")
  assert code == 75 and calls == ["first"]
  assert [*found["lines"]] == ["run"]
  assert "Stopped and saved at step 3" in found["lines"]["run"]["stopped"]
  code, found = _run(tmp_path)
  assert code == 0 and calls == ["first", "again", "line"]


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (["--minutes=0"], "--minutes must be above 0, got 0.0; try 9"),
    (["--fast"], "unrecognized arguments: --fast; see --help"),
    ([], "'H100', got 'cpu'; try another folder"),
    (["--out="], "--out must be a folder, got ''"),
  ],
)
def test_a_mistake_is_one_line(tmp_path, capsys, flags, message):
  kept = {"rehearsal": True, "device": "H100", "lines": {}}
  (tmp_path / "accelerator.json").write_text(json.dumps(kept))
  arguments = ["accelerator", "--rehearse", f"--out={tmp_path}", *flags]
  assert command.main(arguments) == 2
  error = capsys.readouterr().err
  assert message in error and error.count("\n") == 1

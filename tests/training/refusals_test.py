"""A run that would not be what was asked for, or is not whole, is refused."""

import dataclasses

import pytest

from rethinking.runtime.errors import UserError
from rethinking.training import run as train
from rethinking.training import summary
from rethinking.training import task as task_lib

from . import runs


def test_a_fraction_of_nothing_is_refused(tmp_path):
  for fields in ({"fraction": 0.5}, {"level": 0.2}):
    with pytest.raises(UserError, match="where pixel_noise is None, got"):
      train.run(runs.config(**fields), tmp_path / "a", quiet=True)
  assert not (tmp_path / "a").exists()


def test_lost_evaluations_are_refused(tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    patch.setattr(summary, "finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
      train.run(runs.config(), tmp_path, quiet=True)
  (tmp_path / "metrics.jsonl").unlink()
  with pytest.raises(UserError, match="has lost evaluations before"):
    train.run(runs.config(), tmp_path, quiet=True)


@pytest.mark.parametrize("damage", ["a digit", "zero length"])
def test_damaged_evaluations_are_refused(tmp_path, monkeypatch, damage):
  with monkeypatch.context() as patch:
    patch.setattr(summary, "finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
      train.run(runs.config(epochs=2), tmp_path, quiet=True)
  path = tmp_path / "metrics.jsonl"
  data = path.read_text()
  # JSON still, and a number still: only a sum can tell.
  at = data.index("train_loss") + len('train_loss": 2.')
  changed = data[:at] + str(int(data[at]) ^ 1) + data[at + 1 :]
  path.write_text(changed if damage == "a digit" else "")
  with pytest.raises(UserError, match="metrics.jsonl (is damaged|has lost)"):
    train.run(runs.config(epochs=2), tmp_path, quiet=True)
  path.write_text(data)
  assert train.run(runs.config(epochs=2), tmp_path, quiet=True)["epoch"] == 2


def test_another_config_is_refused_naming_the_fields(undisturbed):
  workdir, _ = undisturbed
  with pytest.raises(UserError, match=r"another config \(p: 0.4 -> 0.5\)"):
    train.run(runs.config(p=0.5), workdir, quiet=True)


def _other_test(part):
  def of(load):
    def other(config):
      task = load(config)
      changed = {**task.test_report, f"test_{part}_sha256": "0" * 64}
      return dataclasses.replace(task, test_report=changed)

    return other

  return of


def _other_report(load):
  def other(config):
    task = load(config)
    return dataclasses.replace(
      task, report={**task.report, "images_sha256": "0" * 64}
    )

  return other


@pytest.mark.parametrize(
  ("other", "message"),
  [
    (_other_report, "got one on other images "),
    (_other_test("images"), "got one on other test images "),
    (_other_test("labels"), "got one on other test labels "),
  ],
)
def test_other_data_is_refused_before_anything_is_written(
  tmp_path, monkeypatch, other, message
):
  with runs.stopped_after(monkeypatch, 7):
    train.run(runs.config(), tmp_path, quiet=True)
  before = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
  with monkeypatch.context() as patch:
    patch.setattr(task_lib, "load", other(task_lib.load))
    with pytest.raises(UserError, match=message) as error:
      train.run(runs.config(), tmp_path, quiet=True)
  assert "\n" not in str(error.value)
  assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    ({"subset": 1438}, "at most 1437, the train examples of digits"),
    ({"batch_size": 50}, "a multiple of 4, the devices .*, got 50; try"),
    ({"batch_size": 512}, "at most 256, the train examples, got 512"),
    ({"crop": 9}, "crop must be at most 8, .*, got 9; try 8"),
    ({"epochs": 2**30}, "is a 32-bit counter"),
  ],
)
def test_refused_input_leaves_nothing(tmp_path, fields, message):
  workdir = tmp_path / "w"
  with pytest.raises(UserError, match=message):
    train.run(runs.config(**fields), workdir, quiet=True)
  assert not workdir.exists()


def test_an_unwritable_workdir_is_refused(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(UserError, match="workdir|folder"):
    train.run(runs.config(), tmp_path / "file" / "w", quiet=True)

"""What is read back is checked: named in one line, or made again."""

import json
import shutil

import damage
import pytest
from refusals import refused

from rethinking import report
from rethinking.sweeps import run as sweep
from rethinking.training import run as train


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """A finished run."""
  folder = tmp_path_factory.mktemp("finished") / "run"
  train.run(damage.run(), folder, quiet=True)
  return folder


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
  """A finished sweep."""
  folder = tmp_path_factory.mktemp("swept") / "sweep"
  sweep.run(damage.sweep(), folder, quiet=True)
  return folder


@pytest.mark.parametrize("seed", [0, 1])
def test_a_finished_workdir_without_its_config_is_refused(
  finished, swept, tmp_path, seed
):
  one, other = (damage.copy(f, tmp_path / f.name) for f in (finished, swept))
  for folder in (one, other):
    (folder / "config.json").unlink()
  words = "must have a config.json beside its summary.json"
  config = damage.run(seed=seed)
  refused(lambda: train.run(config, one, quiet=True), words, str(one))
  config = damage.sweep(seed=seed)
  refused(lambda: sweep.run(config, other, quiet=True), words, str(other))


@pytest.mark.parametrize("name", ["summary.json", "metrics.jsonl"])
@pytest.mark.parametrize("kind", damage.DAMAGE)
def test_a_finished_run_is_what_it_left(finished, tmp_path, name, kind):
  folder = damage.copy(finished, tmp_path / "w")
  assert train.run(damage.run(), folder, quiet=True)["epoch"] == 2
  damage.DAMAGE[kind](folder / name)
  if name == "summary.json" and kind in ("gone", "loop", "nowhere"):
    # It was not finished: its last checkpoint ends it again.
    found = train.run(damage.run(), folder, quiet=True)
    assert found["epoch"] == 2
    return
  refused(lambda: train.run(damage.run(), folder, quiet=True), name)


@pytest.mark.parametrize("lines", ["edited", "deleted", "none"])
def test_the_rows_of_a_finished_sweep_are_those_of_its_runs(
  swept, tmp_path, lines
):
  folder = damage.copy(swept, tmp_path / "w")
  assert sweep.run(damage.sweep(), folder, quiet=True)["finished"] == 3
  path = folder / "results.jsonl"
  whole = path.read_bytes().splitlines(keepends=True)
  if lines == "edited":
    damage.DAMAGE["edited"](path)
  else:
    path.write_bytes(b"".join(whole[:1] if lines == "deleted" else []))
  for act in (
    lambda: sweep.run(damage.sweep(), folder, quiet=True),
    lambda: report.draw(folder),
  ):
    refused(act, "results.jsonl", "restore it")


@pytest.mark.parametrize(
  "line", ['{"stfp": 0}', '{"step": "0"}', '{"step": true}', '{"step": null}']
)
def test_a_line_that_is_no_evaluation_is_named(finished, tmp_path, line):
  folder = damage.copy(finished, tmp_path / "w")
  (folder / "summary.json").unlink()
  path = folder / "metrics.jsonl"
  lines = path.read_text().splitlines()
  lines[1] = line
  path.write_text("\n".join(lines) + "\n")
  refused(
    lambda: train.run(damage.run(), folder, quiet=True),
    f"{path} is damaged in line 2: ",
    "'step'",
  )


@pytest.mark.parametrize(
  "change",
  [
    {"cell": ["a"]},
    {"status": "gone"},
    {"seconds": None},
    {"status": "diverged", "step": "3"},
    {"config": []},
    {"steps": "1"},
  ],
)
def test_a_line_that_is_no_row_is_named(swept, tmp_path, change):
  folder = damage.copy(swept, tmp_path / "w")
  (folder / "summary.json").unlink()
  # Nothing to compare them with.
  shutil.rmtree(folder / "cells")
  path = folder / "results.jsonl"
  lines = path.read_text().splitlines()
  lines[1] = json.dumps(json.loads(lines[1]) | change)
  path.write_text("\n".join(lines) + "\n")
  refused(
    lambda: sweep.run(damage.sweep(), folder, quiet=True),
    f"{path} is damaged in line 2: ",
  )


def test_a_finished_sweep_keeps_no_checkpoint_of_groups(swept):
  assert len([*swept.glob("cells/*/summary.json")]) == 3
  assert not (swept / "groups").exists()


def test_what_groups_saved_before_a_kill_is_removed(swept, tmp_path):
  folder = damage.copy(swept, tmp_path / "w")
  # Killed behind the last row of a group, which had been stopped before.
  (folder / "summary.json").unlink()
  left = folder / "groups" / "0123456789abcdef" / "3"
  left.mkdir(parents=True)
  (left / "state").write_bytes(bytes(1000))
  assert sweep.run(damage.sweep(), folder, quiet=True)["finished"] == 3
  assert not (folder / "groups").exists()

"""Gathering over seeds: statistics, censoring, what counts as the same."""

import json
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethinking.config import fields
from rethinking.report import row_files, rows
from rethinking.runtime.errors import UserError

from . import synthetic

_VALUE = st.floats(-1e3, 1e3)


@given(st.lists(st.none() | _VALUE, max_size=8))
def test_stat_is_mean_and_sample_deviation_of_what_there_is(values):
  kept = [v for v in values if v is not None]
  found = rows.stat(values)
  assert found.n == len(kept)
  assert (found.mean is None) == (not kept)
  assert (found.sd is None) == (len(kept) < 2)
  if kept:
    assert found.mean == pytest.approx(statistics.fmean(kept), abs=1e-9)
  if len(kept) > 1:
    assert found.sd == pytest.approx(statistics.stdev(kept), abs=1e-6)


def test_seeds_alone_are_gathered_in_their_order():
  made = [
    synthetic.row(seed=seed, p=p, arch=arch)
    for seed in (2, 0, 1)
    for p in (0.0, 0.4)
    for arch in ("digits_cnn", "mlp_1x512")
  ]
  random.Random(0).shuffle(made)
  found = rows.gather(made)
  assert not found.left_out
  assert {(g.arch, g.p) for g in found.groups} == {
    (arch, p) for p in (0.0, 0.4) for arch in ("digits_cnn", "mlp_1x512")
  }
  for group in found.groups:
    assert [row["config"]["seed"] for row in group.rows] == [0, 1, 2]


@pytest.mark.parametrize(
  "change",
  [{"weight_decay": 1e-4}, {"augment": "crop"}, {"pixel_noise": "occlusion"}],
)
def test_what_changes_numbers_divides_groups(change):
  made = [synthetic.row(seed=0), synthetic.row(seed=1, **change)]
  assert len(rows.gather(made).groups) == 2


def test_every_way_to_say_no_noise_and_the_same_level_is_one_group():
  made = [
    synthetic.row(seed=0),
    synthetic.row(seed=1, label_noise="uniform", variant="partial_labels"),
    synthetic.row(seed=2, data_dir="/elsewhere"),
  ]
  assert len(rows.gather(made).groups) == 1
  close = [synthetic.row(seed=0, p=0.3), synthetic.row(seed=1, p=0.1 * 3)]
  assert len(rows.gather(close).groups) == 1


def test_unfinished_runs_are_left_out_and_the_last_row_of_a_cell_counts():
  old = synthetic.row(test=0.1)
  found = rows.gather([old, synthetic.diverged(p=0.4), synthetic.row(test=0.9)])
  (group,) = found.groups
  assert group.stat("test_accuracy") == rows.Stat(0.9, None, 1)
  assert [row["status"] for row in found.left_out] == ["diverged"]


@given(st.lists(st.none() | st.integers(1, 60), min_size=1, max_size=5))
def test_censored_times_are_lower_bounds(fits):
  made = [synthetic.row(seed=k, fit=fit) for k, fit in enumerate(fits)]
  (group,) = rows.gather(made).groups
  for unit, scale in (("epochs", 1), ("steps", 11)):
    times = group.time_to_fit(unit)
    bounds = [scale * (60 if fit is None else fit) for fit in fits]
    assert times.mean == pytest.approx(statistics.fmean(bounds))
    assert times.fitted == sum(fit is not None for fit in fits)
    assert times.censored == (None in fits)
    assert (times.sd is None) == (None in fits or len(fits) == 1)


def test_test_error_is_read_at_the_fit_or_else_at_the_end():
  made = [
    synthetic.row(seed=0, test=0.5, metrics={"test_accuracy_at_fit": 0.7}),
    synthetic.row(seed=1, test=0.5, metrics={"test_accuracy_at_fit": 0.9}),
  ]
  (group,) = rows.gather(made).groups
  error, whole = group.test_error_at_fit()
  assert whole
  assert error.mean == pytest.approx(0.2)
  made[1] = synthetic.row(seed=1, test=0.5, fit=None)
  (group,) = rows.gather(made).groups
  error, whole = group.test_error_at_fit()
  assert not whole
  assert error.mean == pytest.approx((0.3 + 0.5) / 2)


def test_a_metric_is_read_at_the_fit_and_at_the_best_test_accuracy():
  curve = {
    "step": [0, 11, 22, 33],
    "test_accuracy": [0.1, 0.8, 0.8, 0.4],
    "train_accuracy_changed": [0.1, 0.2, 0.6, 1.0],
  }
  made = [synthetic.row(fit=3, metrics={"curve": curve})]
  (group,) = rows.gather(made).groups
  assert group.stat_at_fit("train_accuracy_changed").mean == 1.0
  assert group.stat_at_best("train_accuracy_changed").mean == 0.2
  assert group.stat_at_best("validation_loss").mean is None


def test_a_torn_last_line_is_left_out_and_left_alone(tmp_path):
  synthetic.write(tmp_path, [synthetic.row()])
  path = tmp_path / "results.jsonl"
  with path.open("a") as file:
    file.write('{"cell": "half')
  before = path.read_bytes()
  found = row_files.load(path)
  assert len(found.groups) == 1
  assert found.warnings == ("The torn last line of results.jsonl is left out.",)
  assert path.read_bytes() == before


def _without(name):
  return {k: v for k, v in synthetic.row().items() if k != name}


@pytest.mark.parametrize(
  ("line", "words"),
  [
    ("nonsense", "a JSON object is expected"),
    ("[1]", "a JSON object is expected"),
    (json.dumps(_without("config")), "it has no 'config'"),
    (json.dumps(_without("figure")), "it has no 'figure'"),
    (json.dumps(_without("test_accuracy")), "has no 'test_accuracy'"),
    (json.dumps(synthetic.row() | {"config": {}}), "it has no 'dataset'"),
  ],
)
def test_a_damaged_line_is_named(tmp_path, line, words):
  path = tmp_path / "results.jsonl"
  path.write_text(json.dumps(synthetic.row()) + f"\n{line}\n")
  with pytest.raises(UserError, match="line 2") as error:
    row_files.load(path)
  assert words in str(error.value)
  assert "\n" not in str(error.value)


def test_a_missing_file_says_what_to_give(tmp_path):
  with pytest.raises(UserError, match="must be the workdir of a sweep, got no"):
    row_files.load(tmp_path / "results.jsonl")


def test_rows_of_earlier_versions_are_repetitions_of_today_s(
  tmp_path, monkeypatch
):
  renamed = {"recipe": {"papre": "paper"}, "variant": {"old": "study"}}
  monkeypatch.setattr(fields, "RENAMED", renamed)
  new, old = synthetic.row(seed=0), synthetic.row(seed=1)
  later = {"normalization": "per_image", "l2_kernels": "all", "validation": 0}
  new["config"] |= later
  old["config"]["recipe"] = "papre"
  new["figure"], old["figure"] = "study", "old"
  path = tmp_path / "results.jsonl"
  path.write_text("".join(json.dumps(row) + "\n" for row in (new, old)))
  (group,) = row_files.load(path).groups
  assert len(group.rows) == 2 and group.figure == "study"

"""The data file, and the verdicts on measured numbers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethinking.report import published, row_files, rows
from rethinking.report.rows import Stat

from . import synthetic


def _paper(**config):
  """A row with the settings of the paper's table 1."""
  fields = {
    "figure": "table1",
    "dataset": "cifar10",
    "arch": "mlp_1x512",
    "crop": 28,
  }
  return synthetic.row(**(fields | config))


def _study(**fields):
  """A row of the study on MNIST with a tenth of the labels uniform."""
  return synthetic.row(
    figure="keras_study",
    dataset="mnist",
    arch="keras_mnist_cnn",
    recipe="keras",
    augment="keras_mnist",
    p=0.1,
    **fields,
  )


def test_rows_with_the_names_of_before_meet_the_same_numbers(tmp_path):
  new = _study(test=0.99)
  old = json.loads(json.dumps(new))
  old |= {"figure": "seed_study"}
  old["config"] |= {
    "arch": "seed_mnist_cnn",
    "recipe": "seed",
    "augment": "seed_mnist",
  }
  path = tmp_path / "results.jsonl"
  path.write_text(json.dumps(old) + "\n")
  found, today = (
    [
      (c.quantity, c.published, c.verdict, c.remarks, c.measured.mean)
      for c in comparisons
    ]
    for comparisons in (
      published.compare(row_files.load(path).groups),
      _compare(new),
    )
  )
  assert found == today
  assert any(measured for *_, measured in found)


def _compare(*made):
  return published.compare(rows.gather(made).groups)


def _one(comparisons, quantity, **wanted):
  (found,) = [
    c
    for c in comparisons
    if c.quantity == quantity
    and all(c.entry["match"].get(k) == v for k, v in wanted.items())
  ]
  return found


def test_every_entry_has_a_source_a_match_and_a_command():
  for entry in published.load()["rows"]:
    assert len(entry["source"]) > 20
    assert entry["values"]
    assert published.command(entry).startswith("python -m rethinking.main ")
    assert {"dataset", "arch"} <= set(entry["match"])
    for value in entry["values"].values():
      assert isinstance(value, float | list | str)
  keys = [
    json.dumps([e["figure"], e["match"], sorted(e["values"])], sort_keys=True)
    for e in published.load()["rows"]
  ]
  assert len(set(keys)) == len(keys)


def test_table_1_is_the_papers():
  found = {
    (m["arch"], m["condition"], m["augmentation"], m["weight_decay"]): (
      e["values"]["train_accuracy"],
      e["values"]["test_accuracy"],
    )
    for e in published.load()["rows"]
    if e["figure"] == "table1"
    for m in [e["match"]]
  }
  assert len(found) == 19
  assert found["inception", "true_labels", "crop", False] == (100.0, 89.31)
  assert found["inception_no_bn", "true_labels", "none", True] == (100, 83)
  assert found["alexnet", "random_labels", "none", False] == (99.82, 9.86)
  assert found["mlp_1x512", "random_labels", "none", False] == (99.34, 10.61)


@given(
  st.floats(0, 100),
  st.floats(0, 100),
  st.none() | st.floats(0, 20),
)
def test_agrees_within_two_points_or_two_deviations(there, here, sd):
  difference, agrees = published.judge(there, Stat(here, sd, 3))
  assert difference == here - there
  assert agrees == (abs(difference) <= max(2, 2 * (sd or 0)))


@pytest.mark.parametrize(
  ("value", "measured", "expected"),
  [
    ([1.0, 3.5], Stat(3.4, None, 1), (0, True)),
    ([1.0, 3.5], Stat(4.0, None, 1), (0.5, False)),
    ([1.0, 3.5], Stat(4.0, 0.3, 3), (0.5, True)),
    ([1.0, 3.5], Stat(0.5, 0.1, 3), (-0.5, False)),
    ("failed to converge", Stat(98.9, None, 1), (None, True)),
    ("failed to converge", Stat(99.0, None, 1), (None, False)),
  ],
)
def test_ranges_and_words(value, measured, expected):
  difference, agrees = published.judge(value, measured)
  assert agrees == expected[1]
  assert difference == (
    None if expected[0] is None else pytest.approx(expected[0])
  )


def test_numbers_stand_beside_the_measured_ones():
  made = [_paper(seed=seed, test=test) for seed, test in enumerate((0.5, 0.52))]
  found = _compare(*made)
  where = {
    "arch": "mlp_1x512",
    "condition": "true_labels",
    "weight_decay": False,
  }
  one = _one(found, "test_accuracy", **where)
  assert one.published == 50.51
  assert one.measured == (
    pytest.approx(51),
    pytest.approx(2**0.5),
    2,
  )
  assert one.difference == pytest.approx(0.49)
  assert one.verdict == "agrees"
  assert one.remarks == ()
  # The rest of the table stands with its command.
  rest = [c for c in found if c.group is None]
  assert len(rest) == 2 * 18
  for c in rest:
    assert c.verdict == "not run here"
    assert any("configs/cifar.py:table1" in text for text in c.remarks)


def test_deviating_settings_are_said_and_each_coefficient_has_a_line():
  found = [
    c
    for c in _compare(
      _paper(weight_decay=5e-4, decay=0.98, subset=1000),
      _paper(l2=1e-4),
    )
    if c.group is not None and c.quantity == "test_accuracy"
  ]
  first, second = found
  assert "decay 0.98, published 0.95" in first.remarks
  assert "subset 1000, published None" in first.remarks
  assert "measured with weight decay 0.0005" in first.remarks
  assert "measured with L2 0.0001" in second.remarks
  assert not any("decay 0.98" in text for text in second.remarks)


def test_other_data_does_not_match():
  found = _compare(_paper(dataset="digits", crop=0))
  assert found
  assert {c.verdict for c in found} == {"not run here"}


def test_a_validation_accuracy_is_never_compared():
  made = _study(test=0.9933)
  one = _one(_compare(made), "validation_accuracy", dataset="mnist", p=0.1)
  assert one.published == 99.33
  assert one.measured.mean == pytest.approx(99.33)
  assert one.verdict == "not comparable"
  assert one.difference is None
  text = "; ".join(one.remarks)
  assert "10-fold validation accuracy" in text
  assert "measured: test accuracy" in text


def test_relative_time_is_compared_unless_censored():
  def made(fit):
    return _compare(
      _paper(figure="figure1", fit=10),
      _paper(figure="figure1", p=1.0, fit=fit),
    )

  one = _one(made(30), "relative_time", arch="mlp_1x512")
  assert one.measured.mean == pytest.approx(3)
  assert one.verdict == "agrees"
  assert _one(made(40), "relative_time", arch="mlp_1x512").verdict == "differs"
  bound = _one(made(None), "relative_time", arch="mlp_1x512")
  assert bound.verdict == "not comparable"
  assert "measured: not fitted by every run, so at least this" in bound.remarks


def test_a_measured_validation_accuracy_is_shown_as_such():
  made = _study(test=0.9, metrics={"validation_accuracy": 0.98})
  one = _one(_compare(made), "validation_accuracy", dataset="mnist", p=0.1)
  assert one.measured.mean == pytest.approx(98)
  assert one.verdict == "not comparable"
  assert "measured: test accuracy" not in one.remarks

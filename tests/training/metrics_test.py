"""Splits and times to fit, against their definitions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rethinking.training import metrics

_CLASS = st.integers(0, 3)


@given(
  st.lists(
    st.tuples(_CLASS, _CLASS, _CLASS, st.floats(0, 9, width=32)),
    min_size=1,
    max_size=30,
  )
)
def test_parts_add_up_to_the_whole(examples):
  true, given_, predicted, loss = map(np.array, zip(*examples, strict=True))
  m = metrics.train_metrics(loss, predicted, given_, true)
  parts = {
    "changed": np.sum(true != given_),
    "unchanged": np.sum(true == given_),
  }
  for quantity in ("loss", "accuracy"):
    total = sum(
      n * m[f"train_{quantity}_{part}"] for part, n in parts.items() if n
    )
    np.testing.assert_allclose(
      total / len(true), m[f"train_{quantity}"], atol=1e-12
    )
  for part, n in parts.items():
    assert (m[f"train_accuracy_{part}"] is None) == (n == 0)
  # A changed example cannot be predicted as both labels.
  if parts["changed"]:
    assert m["train_accuracy_changed"] + m["changed_predicted_true"] <= 1


def test_predicting_the_truth_under_noise():
  true = np.array([0, 1, 2, 3])
  given_ = np.array([0, 1, 0, 0])
  m = metrics.train_metrics(np.zeros(4), true, given_, true)
  assert m["train_accuracy"] == 0.5
  assert m["train_accuracy_unchanged"] == 1
  assert m["train_accuracy_changed"] == 0
  assert m["changed_predicted_true"] == 1


def test_test_metrics():
  m = metrics.split_metrics(
    "test", np.array([1.0, 2.0]), np.array([1, 0]), np.array([1, 1])
  )
  assert m == {"test_loss": 1.5, "test_accuracy": 0.5}


@given(
  st.lists(
    st.tuples(_CLASS, _CLASS, st.booleans(), st.floats(0, 9, width=32)),
    min_size=1,
    max_size=30,
  )
)
def test_clean_and_corrupted_images_add_up_to_the_whole(examples):
  predicted, labels, drawn, loss = map(np.array, zip(*examples, strict=True))
  m = metrics.split_metrics("test", loss, predicted, labels, drawn)
  parts = {"clean": ~drawn, "corrupted": drawn}
  assert len(m) == 6
  for quantity, values in (("loss", loss), ("accuracy", predicted == labels)):
    for part, which in parts.items():
      found = m[f"test_{quantity}_{part}_images"]
      if which.any():
        np.testing.assert_allclose(found, values[which].mean(), atol=1e-12)
      else:
        assert found is None


def _rows(*accuracies):
  return [
    {"step": 10 * e, "epoch": e, "train_accuracy": a}
    for e, a in enumerate(accuracies)
  ]


def test_time_to_fit_is_bounded_on_both_sides():
  assert metrics.time_to_fit(_rows(0.1, 0.5, 1.0, 0.9, 1.0), 1.0) == {
    "steps_to_fit": 20,
    "epochs_to_fit": 2,
    "steps_not_fit": 10,
  }


def test_time_to_fit_is_censored_never_guessed():
  assert metrics.time_to_fit(_rows(0.1, 0.99), 1.0) == {
    "steps_to_fit": None,
    "epochs_to_fit": None,
    "steps_not_fit": 10,
  }
  assert metrics.time_to_fit(_rows(0.1, 0.99), 0.99)["steps_to_fit"] == 10


def test_validation_metrics():
  m = metrics.split_metrics(
    "validation", np.array([1.0, 2.0]), np.array([1, 0]), np.array([1, 1])
  )
  assert m == {"validation_loss": 1.5, "validation_accuracy": 0.5}


def test_the_best_is_the_first_lowest_after_some_training():
  rows = [
    {"epoch": e, "validation_loss": v}
    for e, v in enumerate([0.1, 0.9, 0.5, 0.5, 0.6])
  ]
  assert metrics.best(rows)["epoch"] == 2
  assert metrics.best(rows[:1]) is None

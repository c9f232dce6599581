"""Metrics of an evaluation, from one loss and one prediction per example."""

from collections.abc import Mapping
from typing import Any

import numpy as np

# What a clock measured: it differs between two runs that are otherwise alike.
CLOCK = frozenset(
  {
    "cell_seconds",
    "eval_seconds",
    "images_per_second",
    "seconds",
    "seconds_saved",
    "train_images_per_second",
    "wall_seconds",
  }
)


def without_clock(row: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what two runs of the same config agree in.

  Args:
    row: of metrics.jsonl or results.jsonl, or a summary.
  """
  return {key: value for key, value in row.items() if key not in CLOCK}


def train_metrics(
  loss: np.ndarray,
  prediction: np.ndarray,
  given: np.ndarray,
  true: np.ndarray,
) -> dict[str, float | None]:
  """Returns loss and accuracy on the given labels, and where they come from.

  Args:
    loss: [N], nats, of the given labels.
    prediction: [N], classes.
    given: [N], the labels trained on.
    true: [N], the labels before corruption.

  Returns:
    `train_loss` and `train_accuracy` over all; the same with the suffixes
    `_unchanged` (the given label is the true one) and `_changed` (it is not);
    `changed_predicted_true`, the share of the changed examples predicted as
    their true class. None where there is no such example.
  """
  changed = given != true
  fitted = prediction == given
  parts = {"": slice(None), "_unchanged": ~changed, "_changed": changed}
  found = {}
  for suffix, part in parts.items():
    found[f"train_loss{suffix}"] = _mean(loss[part])
    found[f"train_accuracy{suffix}"] = _mean(fitted[part])
  found["changed_predicted_true"] = _mean((prediction == true)[changed])
  return found


def split_metrics(
  split: str, loss: np.ndarray, prediction: np.ndarray, labels: np.ndarray
) -> dict[str, float | None]:
  """Returns `SPLIT_loss` (nats) and `SPLIT_accuracy` of held-out examples.

  Args:
    split: "test" or "validation".
    loss: [N], nats.
    prediction: [N], classes.
    labels: [N], classes: of a test set the true ones.
  """
  return {
    f"{split}_loss": _mean(loss),
    f"{split}_accuracy": _mean(prediction == labels),
  }


def best(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
  """Returns the evaluation with the lowest validation loss, the first of them.

  Args:
    rows: evaluations in order, with `epoch` and `validation_loss`.

  Returns:
    One after some training: untrained weights are no choice. None before.
  """
  return min(
    (row for row in rows if row["epoch"]),
    key=lambda row: row["validation_loss"],
    default=None,
  )


def time_to_fit(
  rows: list[dict[str, Any]], fit_accuracy: float
) -> dict[str, int | None]:
  """Returns when the train set was first seen fitted.

  Args:
    rows: evaluations in order, with `step`, `epoch`, `train_accuracy`.
    fit_accuracy: the train accuracy that counts as fitted, in (0, 1].

  Returns:
    `steps_to_fit` and `epochs_to_fit` of the first evaluation at or above it,
    and `steps_not_fit`, the last evaluation before it: the true time is
    between. The first two are None where it never was (censored).
  """
  found = {"steps_to_fit": None, "epochs_to_fit": None, "steps_not_fit": None}
  for row in rows:
    if row["train_accuracy"] >= fit_accuracy:
      return found | {
        "steps_to_fit": row["step"],
        "epochs_to_fit": row["epoch"],
      }
    found["steps_not_fit"] = row["step"]
  return found


def _mean(values: np.ndarray) -> float | None:
  return float(np.mean(values, dtype=np.float64)) if len(values) else None

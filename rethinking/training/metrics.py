"""What is measured, a row a metric, and how the values come about.

A new metric is a row of `METRICS` and its value, in `train_metrics` or
`split_metrics`, of each example's loss and prediction: tables and logs follow,
and curves of a loss or an accuracy. One of the logits begins in `state.Seen`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Unit(NamedTuple):
  """What a metric is a number of, and how it is written.

  Attributes:
    words: what it is.
    scale: what a value is multiplied by.
    digits: behind the point.
    sign: what comes after the number.
    low, high: the least and the greatest value that there is.
  """

  words: str
  scale: float = 1
  digits: int = 4
  sign: str = ""
  low: float = 0
  high: float = math.inf

  def number(self, value: float) -> str:
    """Writes a value without the sign."""
    return f"{self.scale * value:.{self.digits}f}"

  def text(self, value: float) -> str:
    """Writes a value."""
    return self.number(value) + self.sign


LOSS = Unit("loss", low=-math.inf)  # Nats.
ACCURACY = Unit("accuracy", 100, 2, " %", high=1)
SHARE = Unit("share", 100, 2, " %", high=1)
POINTS = Unit("percent", digits=2)
COUNT = Unit("count", digits=1)
SECONDS = Unit("seconds", digits=1)
RATE = Unit("images per second", digits=0)


class Metric(NamedTuple):
  """A number that runs leave, and the words for it where it is shown.

  Attributes:
    name: its key in metrics.jsonl, summary.json or results.jsonl.
    unit: what it is a number of.
    flags: any of these words.
      clock: a clock measured it: it differs between two runs that are
        otherwise alike.
      csv: a report's table.csv has its mean and deviation over seeds.
    table: its title in a report's table.md; empty: it is not there. So below.
    end: the line of the table at a run's end that it is in, in the column of
      its unit; of a loss or an accuracy also its curve.
    log: its name in a line of a log.
    bar: its name beside a terminal's progress bar, of 80 columns in all.
  """

  name: str
  unit: Unit
  flags: str = ""
  table: str = ""
  end: str = ""
  log: str = ""
  bar: str = ""


# fmt: off
METRICS: tuple[Metric, ...] = (
  Metric("flip_rate", SHARE, "csv", table="labels changed"),
  Metric("train_loss", LOSS, "csv",
         end="train, given labels", log="train loss", bar="loss"),
  Metric("train_accuracy", ACCURACY, "csv", table="train",
         end="train, given labels", log="accuracy", bar="acc"),
  Metric("train_loss_unchanged", LOSS, end="  label unchanged"),
  Metric("train_accuracy_unchanged", ACCURACY, "csv", table="unchanged",
         end="  label unchanged"),
  Metric("train_loss_changed", LOSS, end="  label changed"),
  Metric("train_accuracy_changed", ACCURACY, "csv", table="changed",
         end="  label changed"),
  Metric("changed_predicted_true", ACCURACY, "csv", end="  seen through"),
  Metric("train_loss_clean_images", LOSS, end="  image clean"),
  Metric("train_accuracy_clean_images", ACCURACY, "csv", table="clean images",
         end="  image clean"),
  Metric("train_loss_corrupted_images", LOSS, end="  image corrupted"),
  Metric("train_accuracy_corrupted_images", ACCURACY, "csv",
         table="corrupted images", end="  image corrupted"),
  Metric("validation_loss", LOSS, "csv", end="validation"),
  Metric("validation_accuracy", ACCURACY, "csv", table="validation",
         end="validation"),
  Metric("test_loss", LOSS, "csv", end="test, true labels", log="test loss"),
  Metric("test_accuracy", ACCURACY, "csv", table="test",
         end="test, true labels", log="accuracy", bar="test"),
  Metric("test_loss_clean_images", LOSS, end="  test image clean"),
  Metric("test_accuracy_clean_images", ACCURACY, "csv",
         table="test, clean images", end="  test image clean"),
  Metric("test_loss_corrupted_images", LOSS, end="  test image corrupted"),
  Metric("test_accuracy_corrupted_images", ACCURACY, "csv",
         table="test, corrupted images", end="  test image corrupted"),
  Metric("test_accuracy_at_fit", ACCURACY, "csv"),
  Metric("best_test_accuracy", ACCURACY, "csv", table="best test"),
  Metric("potential_gain", ACCURACY, "csv"),
  Metric("steps_not_fit", COUNT, "csv"),
  Metric("steps", COUNT, "csv"),
  Metric("seconds", SECONDS, "csv clock"),
  Metric("cell_seconds", SECONDS, "clock"),
  Metric("eval_seconds", SECONDS, "clock"),
  Metric("seconds_saved", SECONDS, "clock"),
  Metric("wall_seconds", SECONDS, "clock"),
  Metric("images_per_second", RATE, "clock"),
  Metric("train_images_per_second", RATE, "clock"),
)
# fmt: on


def flagged(flag: str) -> tuple[str, ...]:
  """Names the metrics with a flag, in the order of the table.

  Args:
    flag: a word of `Metric.flags`.
  """
  return tuple(m.name for m in METRICS if flag in m.flags.split())


def shown(place: str) -> dict[str, str]:
  """Returns the metrics that are shown at a place, name to words.

  Args:
    place: "table", "end", "log" or "bar", see `Metric`.
  """
  return {m.name: getattr(m, place) for m in METRICS if getattr(m, place)}


CLOCK = frozenset(flagged("clock"))


def without_clock(row: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what two runs of the same config agree in.

  Args:
    row: of metrics.jsonl or results.jsonl, or a summary.
  """
  return {key: value for key, value in row.items() if key not in CLOCK}


# Whole numbers beside the metrics.
_WHOLE = (
  "step",
  "epoch",
  "steps_to_fit",
  "epochs_to_fit",
  "steps_saved",
  "best_epoch",
  "best_test_accuracy_epoch",
  "num_classes",
)


def trouble(row: Mapping[str, Any]) -> str | None:
  """Returns which of a row's values no run could leave; None: all may be.

  Args:
    row: of metrics.jsonl or results.jsonl, or a summary, perhaps damaged.

  >>> trouble({"train_loss": 0.5, "test_accuracy": 1.2})
  "'test_accuracy' must be a number in [0, 1], got 1.2"
  """
  for name in _WHOLE:
    value = row.get(name)
    if value is not None and (type(value) is not int or not 0 <= value < 2**53):
      return f"{name!r} must be a whole number, got {f'{value!r}':.50}"
  for metric in METRICS:
    value = row.get(metric.name)
    if value is None:
      continue
    low, high = metric.unit.low, metric.unit.high
    if type(value) not in (int, float) or not low <= value <= high:
      where = f" in [{low:g}, {high:g}]"
      if math.isinf(high):
        where = "" if math.isinf(low) else f" from {low:g}"
      shown = f"{value!r}"
      return f"{metric.name!r} must be a number{where}, got {shown:.50}"
  return None


def trouble_in_order(rows: Sequence[Mapping[str, Any]]) -> str | None:
  """Returns what is wrong with a run's evaluations, or None.

  Args:
    rows: of metrics.jsonl, or of a curve.
  """
  last = -1
  for number, row in enumerate(rows, 1):
    if found := trouble(row):
      return f"evaluation {number}: {found}"
    if row["step"] <= last:
      return f"evaluation {number}: 'step' must be above {last}"
    last = row["step"]
  return None


def train_metrics(
  loss: np.ndarray,
  prediction: np.ndarray,
  given: np.ndarray,
  true: np.ndarray | None,
  drawn: np.ndarray | None = None,
) -> dict[str, float | None]:
  """Returns loss and accuracy on the given labels, and where they come from.

  Args:
    loss: [N], nats, of the given labels.
    prediction: [N], classes.
    given: [N], the labels trained on.
    true: [N], the labels before corruption; None: nobody knows them.
    drawn: bool [N], whose images are corrupted; None: no pixel corruption.

  Returns:
    `train_loss` and `train_accuracy` over all; the same with the suffixes
    `_unchanged` (the given label is the true one) and `_changed` (it is not);
    `_clean_images` and `_corrupted_images` where pixels are corrupted;
    `changed_predicted_true`, the share of the changed examples predicted as
    their true class. None where there is no such example.
  """
  nobody = np.zeros(len(given), bool)
  changed = nobody if true is None else given != true
  unchanged = nobody if true is None else ~changed
  fitted = prediction == given
  parts = {"": slice(None), "_unchanged": unchanged, "_changed": changed}
  found = _of_parts("train", loss, fitted, parts | _of_images(drawn))
  right = nobody if true is None else prediction == true
  found["changed_predicted_true"] = _mean(right[changed])
  return found


def split_metrics(
  split: str,
  loss: np.ndarray,
  prediction: np.ndarray,
  labels: np.ndarray,
  drawn: np.ndarray | None = None,
) -> dict[str, float | None]:
  """Returns `SPLIT_loss` (nats) and `SPLIT_accuracy` of held-out examples.

  Args:
    split: "test" or "validation".
    loss: [N], nats.
    prediction: [N], classes.
    labels: [N], classes: of a test set the true ones.
    drawn: bool [N], whose images are corrupted; None: no pixel corruption.

  Returns:
    Both over all, and where pixels are corrupted with the suffixes
    `_clean_images` and `_corrupted_images`. None where there is no such
    example.
  """
  parts = {"": slice(None), **_of_images(drawn)}
  return _of_parts(split, loss, prediction == labels, parts)


def _of_images(drawn: np.ndarray | None) -> dict[str, np.ndarray]:
  """The examples with clean and with corrupted images, by suffix."""
  if drawn is None:
    return {}
  return {"_clean_images": ~drawn, "_corrupted_images": drawn}


def _of_parts(
  split: str, loss: np.ndarray, right: np.ndarray, parts: Mapping[str, Any]
) -> dict[str, float | None]:
  """Loss and accuracy of parts of a split, by suffix."""
  return {
    f"{split}_{quantity}{suffix}": _mean(values[part])
    for suffix, part in parts.items()
    for quantity, values in (("loss", loss), ("accuracy", right))
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

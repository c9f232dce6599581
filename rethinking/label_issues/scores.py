"""How well a label fits what is predicted of its example."""

from typing import Any

import numpy as np

from rethinking.corruptions.checks import as_array, check_labels
from rethinking.runtime.errors import UserError

# Sums of float16 probabilities of 1,000 classes are as far from 1.
_SUM_ERROR = 1e-2


def check_probs(labels: Any, pred_probs: Any) -> tuple[np.ndarray, np.ndarray]:
  """Returns labels and probabilities, refusing what is neither.

  Args:
    labels: integers [N] in 0..K-1.
    pred_probs: [N, K], rows of probabilities.

  Returns:
    int [N] and float64 [N, K].

  Raises:
    UserError: naming what is wrong, and the first row that is.
  """
  probs = as_array(pred_probs, "pred_probs")
  if probs.ndim != 2 or probs.dtype.kind != "f" or probs.shape[1] < 2:
    raise UserError(
      "pred_probs must be floats [N, K], K at least 2, got "
      f"{probs.dtype} {list(probs.shape)}; try the softmax of a network that "
      "did not train on the example."
    )
  labels = check_labels(labels)
  if len(labels) != len(probs):
    raise UserError(
      f"pred_probs must have a row for each of {len(labels)} labels, got "
      f"{len(probs)}; try those of this data set, in its order."
    )
  probs = probs.astype(np.float64)
  if labels.max(initial=0) >= probs.shape[1]:
    raise UserError(
      f"labels must be below the {probs.shape[1]} columns of pred_probs, got "
      f"{labels.max()}; try a column a class."
    )
  sums = probs.sum(axis=1)
  wrong = ~(np.abs(sums - 1) <= _SUM_ERROR) | ~((probs >= 0).all(axis=1))
  if wrong.any():
    row = int(np.argmax(wrong))
    raise UserError(
      "pred_probs must be at least 0 and sum to 1 in each row, got the sum "
      f"{sums[row]:.4g} and the least {probs[row].min():.4g} in row {row}; try "
      "softmax, not logits."
    )
  return labels, probs


def self_confidence(labels: np.ndarray, pred_probs: np.ndarray) -> np.ndarray:
  """Returns the probability of each given label; low for wrong ones.

  Args:
    labels: integers [N] in 0..K-1.
    pred_probs: [N, K].

  Returns:
    float64 [N], in [0, 1].

  Reference: Northcutt, Jiang, Chuang (2021), section 3.2; cleanlab's
    `get_label_quality_scores(method="self_confidence")`.

  >>> self_confidence(np.array([0, 1]), np.array([[0.9, 0.1], [0.7, 0.3]]))
  array([0.9, 0.3])
  """
  labels, probs = check_probs(labels, pred_probs)
  return probs[np.arange(len(labels)), labels]


def normalized_margin(labels: np.ndarray, pred_probs: np.ndarray) -> np.ndarray:
  """Returns (p_given - the largest other p + 1) / 2; low for wrong labels.

  Args:
    labels: integers [N] in 0..K-1.
    pred_probs: [N, K].

  Returns:
    float64 [N], in [0, 1].

  Reference: Northcutt, Jiang, Chuang (2021), section 3.2; cleanlab's
    `get_label_quality_scores(method="normalized_margin")`.

  >>> normalized_margin(np.array([0, 1]), np.array([[0.9, 0.1], [0.7, 0.3]]))
  array([0.9, 0.3])
  """
  labels, probs = check_probs(labels, pred_probs)
  rows = np.arange(len(labels))
  others = probs.copy()
  others[rows, labels] = -np.inf
  return (probs[rows, labels] - others.max(axis=1) + 1) / 2

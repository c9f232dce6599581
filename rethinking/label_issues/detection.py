"""How well a score finds wrong labels that are known; ties as scikit-learn."""

import numpy as np

from rethinking.corruptions.checks import as_array
from rethinking.memorization.draws import check_shape, words
from rethinking.runtime.errors import UserError

DRAWS = 1000


def auroc(wrong: np.ndarray, score: np.ndarray) -> float:
  """Returns P(score of a wrong label < score of a right one), ties one half.

  Args:
    wrong: bool [N].
    score: [N], low for wrong labels.

  Returns:
    The area under the receiver operating characteristic; NaN of one kind.

  Reference: Mann, Whitney (1947); scikit-learn's `roc_auc_score`.

  >>> auroc(np.array([True, False, False]), np.array([0.1, 0.1, 0.5]))
  0.75
  """
  wrong, score = _checked(wrong, score)
  low, high = np.sort(score[wrong]), score[~wrong]
  if not len(low) or not len(high):
    return np.nan
  below = np.searchsorted(low, high) + np.searchsorted(low, high, "right")
  return float(below.sum() / (2 * len(low) * len(high)))


def auroc_draws(
  wrong: np.ndarray, score: np.ndarray, seed: int, draws: int = DRAWS
) -> np.ndarray:
  """Returns AUROC in bootstrap samples, drawn among wrong and right apart.

  Args:
    wrong: bool [N].
    score: [N], low for wrong labels.
    seed: in [0, 2**32).
    draws: how many.

  Returns:
    float64 [draws].

  Reference: Efron, Tibshirani (1993), chapter 8, of two samples.
  """
  wrong, score = _checked(wrong, score)
  _, place = np.unique(score, return_inverse=True)
  width = place.max(initial=-1) + 1
  found = np.full(draws, np.nan)
  kinds = [place[wrong], place[~wrong]]
  if not all(map(len, kinds)):
    return found
  for i in range(draws):
    low, high = (
      np.bincount(
        kind[words((len(kind),), seed, "auroc", k, i) % len(kind)],
        minlength=width,
      )
      for k, kind in enumerate(kinds)
    )
    below = low.cumsum() - low / 2
    found[i] = below @ high / (low.sum() * high.sum())
  return found


def average_precision(wrong: np.ndarray, score: np.ndarray) -> float:
  """Returns sum_n (R_n - R_{n-1}) P_n over the thresholds from the lowest on.

  Args:
    wrong: bool [N].
    score: [N], low for wrong labels; equal ones are one threshold.

  Returns:
    In [0, 1]; NaN without a wrong label.

  Reference: scikit-learn's `average_precision_score`.

  >>> average_precision(np.array([True, False, True]), np.array([1, 2, 3.0]))
  0.8333333333333333
  """
  wrong, score = _checked(wrong, score)
  if not wrong.any():
    return np.nan
  order = np.argsort(score, kind="stable")
  last = np.append(np.diff(score[order]) != 0, True)
  found = wrong[order].cumsum()[last]
  listed = np.flatnonzero(last) + 1
  return float((np.diff(found, prepend=0) * found / listed).sum() / wrong.sum())


def precision_at_errors(wrong: np.ndarray, score: np.ndarray) -> float:
  """Returns the share of wrong labels among as many of the lowest scores.

  Args:
    wrong: bool [N].
    score: [N], low for wrong labels; of equal ones the first rows count.

  Returns:
    In [0, 1]; NaN without a wrong label.

  >>> precision_at_errors(np.array([True, False, True]), np.array([1, 2, 3.0]))
  0.5
  """
  wrong, score = _checked(wrong, score)
  many = np.count_nonzero(wrong)
  first = np.argsort(score, kind="stable")[:many]
  return float(wrong[first].mean()) if many else np.nan


def _checked(wrong, score) -> tuple[np.ndarray, np.ndarray]:
  wrong = as_array(wrong, "wrong")
  if wrong.ndim != 1 or wrong.dtype != bool:
    raise UserError(
      f"wrong must be bool [N], got {wrong.dtype} {list(wrong.shape)}; try "
      "given != true, before the score."
    )
  score = check_shape(score, "score", wrong.shape)
  if lost := np.count_nonzero(np.isnan(score)):
    raise UserError(
      f"score must be a number of each label, got NaN for {lost}; try the "
      "labels that have one."
    )
  return wrong, score

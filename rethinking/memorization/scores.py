"""Scores of each example, from runs that saw it and runs that did not."""

import itertools
import statistics
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from rethinking.corruptions.checks import as_array, check_labels
from rethinking.memorization.draws import check_masks, check_shape
from rethinking.runtime.errors import UserError

# Runs a side below which there is no interval.
FEWEST_RUNS = 5
_Z = statistics.NormalDist().inv_cdf(0.975)


class Scores(NamedTuple):
  """Of each example, [n]; what a side without a run decides is NaN.

  Attributes:
    k_in: int64, runs that trained on it.
    k_out: int64, runs that did not.
    acc_in: share of those inside that predict the given label.
    acc_out: the same outside.
    mem: acc_in - acc_out, in [-1, 1].
    mem_low: lower end of the 95 % interval of `mem` by `newcombe`.
    mem_high: upper end.
    p_in: mean probability of the given label, of those inside.
    p_out: the same outside: a low-variance stand-in at one ratio for the
      C-score, which averages held-out accuracy over ratios 0.1 to 0.9.
    mem_p: p_in - p_out.
    heldout_true: of an example with a changed label, share of the runs outside
      that predict its true class; NaN of the others, where it is `acc_out`.
  """

  k_in: np.ndarray
  k_out: np.ndarray
  acc_in: np.ndarray
  acc_out: np.ndarray
  mem: np.ndarray
  mem_low: np.ndarray
  mem_high: np.ndarray
  p_in: np.ndarray
  p_out: np.ndarray
  mem_p: np.ndarray
  heldout_true: np.ndarray


def scores(
  masks: np.ndarray,
  correct: np.ndarray,
  p: np.ndarray,
  predicted: np.ndarray,
  true: np.ndarray,
  given: np.ndarray,
) -> Scores:
  """Returns what runs inside and outside say of each example.

    mem_i = P(right on i | i inside) - P(right on i | i outside)

  estimated by the two shares; right is the *given* label, so that an example
  with a wrong label that the others teach (pair flip) has its ceiling below 1.

  Args:
    masks: bool [K, n], True: the run trained on the example.
    correct: bool [K, n], whether the given label is predicted after training.
    p: float [K, n], probability of the given label, in [0, 1].
    predicted: integers [K, n], the predicted class.
    true: integers [n], the true labels; the given ones where not known.
    given: integers [n], the labels that were trained on.

  Raises:
    ValueError: for other shapes, p outside [0, 1], or `correct` that is not
      predicted == given.

  Reference: Feldman (2020), section 2 and Feldman, Zhang (2020), section 3, of
    `mem`; Jiang, Zhang, Talwar, Mozer (2021), section 3, of the C-score.

  >>> one = scores(
  ...   masks=np.array([[True], [False]]),
  ...   correct=np.array([[True], [False]]),
  ...   p=np.array([[0.9], [0.2]]),
  ...   predicted=np.array([[1], [3]]),
  ...   true=np.array([3]),
  ...   given=np.array([1]),
  ... )
  >>> one.mem.tolist(), one.mem_p.round(6).tolist(), one.heldout_true.tolist()
  ([1.0], [0.7], [1.0])
  """
  masks = check_masks(masks)
  n = masks.shape[1]
  correct = check_shape(correct, "correct", masks.shape)
  p = check_shape(p, "p", masks.shape)
  predicted = check_shape(predicted, "predicted", masks.shape)
  true = check_labels(check_shape(true, "true", (n,)))
  given = check_labels(check_shape(given, "given", (n,)))
  if not ((p >= 0) & (p <= 1)).all():
    raise UserError(
      f"p must be in [0, 1], got {p.min()} to {p.max()}; try exp(-loss), the "
      "probability of the given label."
    )
  right = predicted == given
  if wrong := np.count_nonzero(correct != right):
    raise UserError(
      f"correct must be predicted == given, got {wrong} that differ; try the "
      "labels that were trained on, not the true ones."
    )
  k_in = np.count_nonzero(masks, axis=0)
  k_out = len(masks) - k_in
  acc_in, acc_out = side_mean(masks, right), side_mean(~masks, right)
  right_in, right_out = (
    np.count_nonzero(right & side, axis=0) for side in (masks, ~masks)
  )
  low, high = newcombe(right_in, k_in, right_out, k_out)
  p_in, p_out = side_mean(masks, p), side_mean(~masks, p)
  finds_true = side_mean(~masks, predicted == true)
  return Scores(
    k_in=k_in,
    k_out=k_out,
    acc_in=acc_in,
    acc_out=acc_out,
    mem=acc_in - acc_out,
    mem_low=low,
    mem_high=high,
    p_in=p_in,
    p_out=p_out,
    mem_p=p_in - p_out,
    heldout_true=np.where(true != given, finds_true, np.nan),
  )


def side_mean(side: np.ndarray, values: np.ndarray) -> np.ndarray:
  """Returns each example's mean over the runs of one side.

  Args:
    side: bool [K, n], the runs that count: masks, or ~masks.
    values: [K, n]; those that do not count may be anything.

  Returns:
    float64 [n], NaN where no run counts.

  >>> side_mean(np.array([[True, False], [True, False]]), np.eye(2)).tolist()
  [0.5, nan]
  """
  side = check_masks(side)
  values = check_shape(values, "values", side.shape)
  return _ratio(
    np.sum(values, axis=0, where=side, dtype=np.float64),
    np.count_nonzero(side, axis=0),
  )


def newcombe(
  right_1: np.ndarray, runs_1: np.ndarray, right_2: np.ndarray, runs_2
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the 95 % interval of a difference of independent proportions.

  Of p1 - p2 = d, where Wilson's interval of p is
    (p + z^2 / 2 n -+ z sqrt(p (1 - p) / n + z^2 / 4 n^2)) / (1 + z^2 / n):
    low  = d - sqrt((p1 - low1)^2 + (high2 - p2)^2),
    high = d + sqrt((high1 - p1)^2 + (p2 - low2)^2).

  Of `mem` it is conditional on the data and the noise drawn: other runs on the
  same examples, not other examples. Of shares in 0.1 to 0.9 it holds 0.95 of
  them on average; of the worst pair of shares 0.91 with ten runs on each side,
  0.88 with five.

  Args:
    right_1: integers, how often something happened on the first side.
    runs_1: integers, of how many.
    right_2: the same on the second side.
    runs_2: the same.

  Returns:
    float64, lower ends and upper ends; NaN where a side has fewer than five.

  Reference: Newcombe (1998), "Interval estimation for the difference between
    independent proportions", Statistics in Medicine 17, method 10.

  >>> low, high = newcombe(56, 70, 48, 80)
  >>> float(low.round(4)), float(high.round(4))
  (0.0524, 0.3339)
  """
  p1, low1, high1 = _wilson(right_1, runs_1)
  p2, low2, high2 = _wilson(right_2, runs_2)
  difference = p1 - p2
  return (
    difference - np.hypot(p1 - low1, high2 - p2),
    difference + np.hypot(high1 - p1, p2 - low2),
  )


def largest_standard_error(runs: int, ratio: float) -> float:
  """Returns the largest standard error that one example's `mem` can have.

    1 / (2 sqrt(K r (1 - r)))

  That of a difference of two independent shares of r K and (1 - r) K runs,
  both 1/2 in truth; shares near 0 or 1 have a smaller one.

  Args:
    runs: K.
    ratio: r, in (0, 1).

  >>> round(largest_standard_error(100, 0.7), 4)
  0.1091
  """
  return 0.5 / (runs * ratio * (1 - ratio)) ** 0.5


def pred_probs(
  masks: np.ndarray, probabilities: Iterable[np.ndarray]
) -> np.ndarray:
  """Returns held-out class probabilities, the mean over the runs outside.

  Adds run by run, so that [K, n, C] need not exist: an iterator over files
  will do.

  Args:
    masks: bool [K, n].
    probabilities: K of float [n, C], in the order of the masks.

  Returns:
    float32 [n, C], NaN where every run is inside.

  Raises:
    ValueError: for another number of runs or of examples.

  Reference: Northcutt, Jiang, Chuang (2021), section 3, what confident learning
    starts from.
  """
  masks = check_masks(masks)
  n = masks.shape[1]
  total = None
  for outside, one in itertools.zip_longest(~masks, probabilities):
    if total is None:
      total = np.zeros((n, np.shape(one)[-1] if np.ndim(one) else 0))
    if outside is None or np.shape(one) != total.shape:
      raise UserError(
        f"probabilities must be {len(masks)} arrays [{n}, C], one a run, got "
        f"{'more' if outside is None else list(np.shape(one))}; try the "
        "softmax of every run on all examples, in the order of masks."
      )
    total[outside] += check_shape(one, "probabilities", total.shape)[outside]
  outside = np.count_nonzero(~masks, axis=0)[:, None]
  return _ratio(total, outside).astype(np.float32)


def at_presentation(times: np.ndarray, total: np.ndarray) -> np.ndarray:
  """Returns each example's mean over its presentations in all runs inside.

  Of losses it is the mean loss, of margins the area under the margin, of errors
  EL2N at presentation; over the epochs that were summed.

  Args:
    times: integers [K, n], presentations that were summed; 0 outside.
    total: float [K, n], their sums.

  Returns:
    float64 [n], NaN where there was no presentation.

  Reference: Pleiss, Zhang, Elenberg, Weinberger (2020), section 3, who stop at
    the first drop of the learning rate; Paul, Ganguli, Dziugaite (2021),
    section 2, who take EL2N after early epochs, averaged over runs.

  >>> at_presentation(np.array([[2, 0], [1, 0]]), np.array([[5, 0], [4, 0]]))
  array([ 3., nan])
  """
  times = _check_times(times)
  total = check_shape(total, "total", times.shape)
  return _ratio(np.sum(total, axis=0, dtype=float), times.sum(axis=0))


def forgetting(
  times: np.ndarray, correct: np.ndarray, forgotten: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns how often an example was forgotten, and how often never learned.

  An example is forgotten where it is wrong at a presentation right after one
  where it was right; it is never learned where it never was right. The mean is
  over the runs that learned it; one that no run learned has the number of its
  presentations, the epochs, which no learned one reaches.

  Args:
    times: integers [K, n], presentations in the whole run; 0 outside.
    correct: integers [K, n], those where the given label was predicted.
    forgotten: integers [K, n], those where it no longer was.

  Returns:
    float64 [n] each: mean forgetting events of a run, in [0, epochs]; share of
    the runs inside that never learned it. NaN where no run is inside.

  Reference: Toneva, Sordoni, Combes, Trischler, Bengio, Gordon (2019),
    section 3, who count never learned ones as forgotten infinitely often.
  """
  times = _check_times(times)
  learned = check_shape(correct, "correct", times.shape) > 0
  inside = times > 0
  events = side_mean(learned, check_shape(forgotten, "forgotten", times.shape))
  never = side_mean(inside, ~learned)
  return np.where(never == 1, side_mean(inside, times), events), never


def _check_times(times: np.ndarray) -> np.ndarray:
  times = as_array(times, "times")
  if times.ndim != 2 or times.dtype.kind not in "iu":
    raise UserError(
      f"times must be integers [K, n], got {times.dtype} {list(times.shape)}; "
      "try the presentations of each example in each run."
    )
  return times


def _wilson(right, runs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns a share and Wilson's interval of it, NaN of too few runs."""
  runs = np.where(np.asarray(runs) >= FEWEST_RUNS, runs, np.nan)
  share = right / runs
  middle = share + _Z**2 / (2 * runs)
  half = _Z * np.sqrt(share * (1 - share) / runs + _Z**2 / (4 * runs**2))
  scale = 1 + _Z**2 / runs
  return share, (middle - half) / scale, (middle + half) / scale


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
  """Returns total / count, NaN where the count is 0."""
  return np.divide(
    total, count, out=np.full(total.shape, np.nan), where=count > 0
  )

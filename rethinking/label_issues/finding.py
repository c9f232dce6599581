"""The list of labels that look wrong, and how far to believe it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rethinking.corruptions.checks import as_array
from rethinking.label_issues import joint as joints
from rethinking.label_issues.scores import check_probs
from rethinking.memorization.draws import words
from rethinking.memorization.means import interval
from rethinking.runtime.errors import UserError

DRAWS = 200
# Below these a class's labels may be more often another's than its own.
LEAST_DIAGONAL = 0.7
LEAST_ACCURACY = 0.6
INVERTED = "this list may be inverted; look at 50 first"


class Issues(NamedTuple):
  """What is found of N given labels of K classes.

  Attributes:
    score: float64 [N], the probability that the given label is right.
    predicted: int64 [N], the most probable class.
    p_wrong: float64 [N], 1 - score.
    listed: bool [N], p_wrong > 0.5.
    rank: int64 [N], from 1, that of the lowest score.
    joint: float64 [K, K], estimated counts, given label by true label.
    matrix: float64 [K, K], estimated P(given j | true k).
    errors: the estimated number of wrong labels, off the joint's diagonal.
    errors_low: lower end of its 95 % interval, a bootstrap over examples.
    errors_high: upper end.
    accuracy: share of the given labels that are predicted.
    guard: why nothing is said of how many of the list are wrong; empty: there
      is no reason.
  """

  score: np.ndarray
  predicted: np.ndarray
  p_wrong: np.ndarray
  listed: np.ndarray
  rank: np.ndarray
  joint: np.ndarray
  matrix: np.ndarray
  errors: float
  errors_low: float
  errors_high: float
  accuracy: float
  guard: str

  def expected_precision(self, among: np.ndarray) -> float | None:
    """Returns the share of wrong labels to expect; None where guarded.

    Args:
      among: bool [N].
    """
    among = as_array(among, "among")
    if among.dtype != bool or among.shape != self.rank.shape:
      raise UserError(
        f"among must be bool [{len(self.rank)}], got {among.dtype} "
        f"{list(among.shape)}; try found.listed, or found.top(50)."
      )
    if self.guard or not among.any():
      return None
    return float(self.p_wrong[among].mean())

  def top(self, count: int) -> np.ndarray:
    """Returns which examples are the first of the ranking, bool [N].

    Args:
      count: how many.
    """
    return self.rank <= count


def find(
  labels: np.ndarray,
  pred_probs: np.ndarray,
  names: Sequence[str] | None = None,
  seed: int = 0,
) -> Issues:
  """Returns which labels look wrong, and how sure that is.

  Args:
    labels: integers [N] in 0..K-1, the given ones.
    pred_probs: [N, K], of networks that did not train on the example.
    names: K names of the classes, for sentences; None: their numbers.
    seed: of the bootstrap, in [0, 2**32).

  Raises:
    UserError: for labels or probabilities that are none.

  Reference: Northcutt, Jiang, Chuang (2021), section 3.

  >>> probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.9, 0.1]])
  >>> find(np.array([0, 0, 1, 1]), probs).listed.tolist()
  [False, False, False, True]
  """
  labels, probs = check_probs(labels, pred_probs)
  n, classes = probs.shape
  names = [*range(classes)] if names is None else names
  if not isinstance(names, Sequence | np.ndarray) or len(names) != classes:
    raise UserError(
      f"names must be a list of {classes}, one a column of pred_probs, got "
      f"{names!r}; try to leave them out."
    )
  if len(present := np.unique(labels)) < 2:
    raise UserError(
      "labels must be of two classes at least, got only "
      f"{', '.join(map(str, present)) or 'none'}; try a set with more classes."
    )
  joint = joints.confident_joint(labels, probs)
  matrix = joints.transition(joint)
  score = joints.p_right(labels, probs, matrix)
  rank = np.empty(n, np.int64)
  rank[np.argsort(score, kind="stable")] = np.arange(1, n + 1)
  drawn = np.empty(DRAWS)
  for i in range(DRAWS):
    times = np.bincount(words((n,), seed, "errors", i) % n, minlength=n)
    drawn[i] = _errors(joints.confident_joint(labels, probs, times))
  low, high = interval(drawn)
  predicted = probs.argmax(axis=1)
  accuracy = float((predicted == labels).mean())
  return Issues(
    score=score,
    predicted=predicted,
    p_wrong=1 - score,
    listed=score < 0.5,
    rank=rank,
    joint=joint,
    matrix=matrix,
    errors=_errors(joint),
    errors_low=low,
    errors_high=high,
    accuracy=accuracy,
    guard=_guard(matrix, labels, accuracy, names),
  )


def _errors(joint: np.ndarray) -> float:
  return float(joint.sum() - joint.trace())


def _guard(
  matrix: np.ndarray,
  labels: np.ndarray,
  accuracy: float,
  names: Sequence[str | int],
) -> str:
  """Why a list may be inverted; empty: there is no reason."""
  if accuracy < LEAST_ACCURACY:
    return (
      f"{INVERTED}: of the given labels {accuracy:.2f} are predicted outside, "
      f"below {LEAST_ACCURACY}."
    )
  there = np.bincount(labels, minlength=len(matrix)) > 0
  own = np.where(there, matrix.diagonal(), 1.0)
  if own.min() < LEAST_DIAGONAL:
    return (
      f"{INVERTED}: of class {names[own.argmin()]} an estimated "
      f"{own.min():.2f} keep their label, below {LEAST_DIAGONAL}."
    )
  return ""

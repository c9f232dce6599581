"""How classes are confused, and how probable it is that a label is wrong."""

import numpy as np

from rethinking.corruptions.checks import check_matrix
from rethinking.label_issues.scores import check_probs
from rethinking.memorization.draws import check_shape
from rethinking.runtime.errors import UserError

# A probability this far below the class's threshold still counts, as cleanlab
# has it.
_SLACK = 1e-6
_LEAST_THRESHOLD = 1e-5
_ROUNDS = 20
# No division by what two estimates call impossible.
_TINY = 1e-300


def confident_joint(
  labels: np.ndarray,
  pred_probs: np.ndarray,
  weights: np.ndarray | None = None,
) -> np.ndarray:
  """Counts given and true labels, where the true one is predicted confidently.

  An example counts for the class whose probability is at least the mean one of
  that class's own examples, t_k = mean p_k over given label k; of several such
  classes for the most probable. Counts are then scaled so that each row sums to
  the number of examples with that given label.

  Args:
    labels: integers [N] in 0..K-1, the given ones.
    pred_probs: [N, K].
    weights: [N], how often each example counts; None: once.

  Returns:
    float64 [K, K], given label by true label, not rounded.

  Reference: Northcutt, Jiang, Chuang (2021), section 3.1, equations 1 to 3;
    cleanlab's `compute_confident_joint`, which rounds.

  >>> probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.9, 0.1]])
  >>> confident_joint(np.array([0, 0, 1, 1]), probs)
  array([[2., 0.],
         [1., 1.]])
  """
  labels, probs = check_probs(labels, pred_probs)
  every = np.ones(len(labels)) if weights is None else weights
  return _joint(labels, probs, every)


def _joint(labels, probs, weights) -> np.ndarray:
  """`confident_joint` of what is checked."""
  classes = probs.shape[1]
  count = np.bincount(labels, weights, classes)
  own = probs[np.arange(len(labels)), labels]
  # No probability reaches 2: nobody is counted for a class without examples.
  threshold = np.divide(
    np.bincount(labels, weights * own, classes),
    count,
    out=np.full(classes, 2.0),
    where=count > 0,
  )
  above = probs >= np.maximum(threshold, _LEAST_THRESHOLD) - _SLACK
  many = above.sum(axis=1)
  guess = np.where(many > 1, probs.argmax(axis=1), above.argmax(axis=1))
  pairs = labels * classes + guess
  joint = np.bincount(pairs, weights * (many > 0), classes**2)
  joint = joint.reshape(classes, classes)
  np.fill_diagonal(joint, joint.diagonal().clip(min=1))
  return joint * (count / joint.sum(axis=1))[:, None]


def transition(joint: np.ndarray) -> np.ndarray:
  """Returns P(given j | true k) of a joint.

  One count more in all, spread over each true class's labels as they are given
  to everyone, so that nothing that was not seen is impossible.

  Args:
    joint: [K, K], given label by true label.

  Returns:
    float64 [K, K], true label by given label; rows sum to 1.

  >>> transition(np.array([[8.0, 0.0], [2.0, 10.0]])).round(2)
  array([[0.76, 0.24],
         [0.04, 0.96]])
  """
  joint = np.asarray(check_shape(joint, "joint"), np.float64)
  if joint.ndim != 2 or len(joint) != joint.shape[1]:
    raise UserError(
      f"joint must be of shape [K, K], got {list(joint.shape)}; try "
      "confident_joint(labels, pred_probs)."
    )
  if not (joint >= 0).all() or not joint.sum() > 0:
    raise UserError(
      f"joint must be counts, some above 0, got {joint.min()} to "
      f"{joint.max()}; try confident_joint(labels, pred_probs)."
    )
  spread = joint.sum(axis=1) / joint.sum()
  found = joint.T + spread
  return found / found.sum(axis=1, keepdims=True)


def unfold(pred_probs: np.ndarray, matrix: np.ndarray) -> np.ndarray:
  """Returns probabilities of the true class from those of the given label.

  A network that trains on given labels predicts given labels, q = pi T; what
  pi is the most likely comes of repeating

    pi_k <- pi_k sum_j T_kj q_j / (pi T)_j

  from q on. Twenty times: more of it no longer helps (digits, noise seeds 0 to
  2).

  Args:
    pred_probs: [N, K].
    matrix: [K, K], T: P(given j | true k).

  Returns:
    float64 [N, K]; rows sum to 1.

  Reference: Richardson (1972); Lucy (1974); D'Agostini (1995), "A
    multidimensional unfolding method based on Bayes' theorem".

  >>> matrix = np.array([[0.8, 0.2], [0.2, 0.8]])
  >>> unfold(np.array([[0.8, 0.2], [0.5, 0.5]]), matrix).round(2)
  array([[0.98, 0.02],
         [0.5 , 0.5 ]])
  """
  given = check_shape(pred_probs, "pred_probs")
  if given.ndim != 2:
    raise UserError(
      f"pred_probs must be [N, K], got {list(given.shape)}; try "
      "pred_probs[None]."
    )
  check_matrix(matrix, given.shape[1])
  given, matrix = np.asarray(given, np.float64), np.asarray(matrix, np.float64)
  found = given
  for _ in range(_ROUNDS):
    found = found * (given / (found @ matrix + _TINY) @ matrix.T)
    found = found / found.sum(axis=1, keepdims=True)
  return found


def p_right(
  labels: np.ndarray, pred_probs: np.ndarray, matrix: np.ndarray
) -> np.ndarray:
  """Returns the probability that each given label is the true one.

    P(right) = pi_j T_jj / sum_k pi_k T_kj,    j the given label

  what Bayes' rule makes of the unfolded prediction pi as the prior and of the
  transition matrix T as the likelihood of the label.

  Args:
    labels: integers [N] in 0..K-1.
    pred_probs: [N, K].
    matrix: [K, K], T: P(given j | true k).

  Returns:
    float64 [N], in [0, 1].

  >>> matrix = np.array([[0.8, 0.2], [0.2, 0.8]])
  >>> p_right(np.array([0]), np.array([[0.5, 0.5]]), matrix).round(6)
  array([0.8])
  """
  labels, probs = check_probs(labels, pred_probs)
  unfolded = unfold(probs, matrix)
  likely = unfolded * np.asarray(matrix, np.float64)[:, labels].T
  right = likely[np.arange(len(labels)), labels]
  return (right / (likely.sum(axis=1) + _TINY)).clip(0, 1)

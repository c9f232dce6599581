"""Which test examples depend on which training examples."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rethinking.corruptions.checks import as_array
from rethinking.memorization.draws import check_blocks, check_masks, words
from rethinking.memorization.scores import largest_standard_error
from rethinking.runtime.errors import UserError

# What the published lists call influential, and how many standard errors away.
PUBLISHED = 0.15
_ERRORS = 3
NULLS = 20
FALSE_RATE = 0.1
# Thresholds are multiples of 1 / _STEPS.
_STEPS = 1000
# Entries of the matrix that exist at once.
_TILE = 2**22


class Pairs(NamedTuple):
  """Pairs (training example, test example) at or above a threshold.

  Attributes:
    threshold: of the influence, a multiple of 0.001; NaN where there is none.
    expected_false: pairs that the null has at or above it, on average.
    train: int64 [P], columns of the masks, the greatest influence first.
    test: int64 [P], columns of the test outcomes.
    influence: float64 [P].
  """

  threshold: float
  expected_false: float
  train: np.ndarray
  test: np.ndarray
  influence: np.ndarray


def influence(
  masks: np.ndarray, correct: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
  """Yields the influence of training on test examples, in tiles.

    infl(i -> j) = P(right on j | i inside) - P(right on j | i outside)

  By one matrix product: with C = masks' correct, whose counts are exact,
  infl = C (1 / k_in + 1 / k_out) - (column sums of correct) / k_out.

  Args:
    masks: bool [K, n], True: the run trained on the example.
    correct: bool [K, m], whether the run is right on the test example.

  Returns:
    Training examples, and float64 [rows, m] of them, NaN where a side has no
    run. A tile has at most 4 million entries, or one row.

  Raises:
    UserError: for other shapes or types.

  Reference: Feldman, Zhang (2020), section 3.

  >>> masks = np.array([[True], [True], [False]])
  >>> right = np.array([[True, False], [True, True], [False, True]])
  >>> [(rows.start, found.tolist()) for rows, found in influence(masks, right)]
  [(0, [[1.0, -0.5]])]
  """
  return _tiles(check_masks(masks), _check_correct(masks, correct))


def pairs(
  masks: np.ndarray, correct: np.ndarray, permutations: int, seed: int
) -> Pairs:
  """Returns the pairs above a threshold that holds false ones to a tenth.

  The null permutes whole runs within the design's symmetry: the rows of
  `correct` are given to other runs of the same permutation, and permutations to
  each other. That keeps what good and bad runs do to all test examples
  together, which shuffling each test example on its own would hide. The
  threshold is the smallest with

    (mean pairs of 20 nulls at or above it) / (pairs at or above it) <= 0.1.

  Args:
    masks: bool [K, n].
    correct: bool [K, m].
    permutations: R, a divisor of K; run k is of permutation k // T.
    seed: in [0, 2**32).

  Raises:
    ValueError: for other shapes or types, or an R that does not divide K.

  Reference: Storey, Tibshirani (2003), "Statistical significance for genomewide
    studies", with every pair taken for null.
  """
  masks = check_masks(masks)
  correct = _check_correct(masks, correct)
  members = check_blocks(len(masks), permutations)
  observed = _at_least(masks, correct)
  null = np.zeros(_STEPS + 1)
  for i in range(NULLS):
    block = np.argsort(words((permutations,), seed, "blocks", i))
    run = np.argsort(words((permutations, members), seed, "null", i), axis=1)
    null += _at_least(masks, correct[(block[:, None] * members + run).ravel()])
  null /= NULLS
  passed = np.flatnonzero((observed > 0) & (null <= FALSE_RATE * observed))
  passed = passed[passed > 0]
  if not passed.size:
    none = np.zeros(0, int)
    return Pairs(math.nan, math.nan, none, none, np.zeros(0))
  step = int(passed[0])
  found = []
  for rows, tile in _tiles(masks, correct):
    train, test = np.nonzero(_steps(tile) >= step)
    found.append((train + rows.start, test, tile[train, test]))
  train, test, value = map(np.concatenate, zip(*found, strict=True))
  order = np.lexsort((test, train, -value))
  return Pairs(
    step / _STEPS, float(null[step]), train[order], test[order], value[order]
  )


def fewest_runs(ratio: float) -> int:
  """Returns the least K at which 0.15 is three standard errors.

    0.15 >= 3 / (2 sqrt(K r (1 - r)))

  Args:
    ratio: r, in (0, 1).

  >>> fewest_runs(0.5), fewest_runs(0.7)
  (400, 477)
  """
  needed = (_ERRORS / PUBLISHED * largest_standard_error(1, ratio)) ** 2
  return math.ceil(needed * (1 - 1e-12))


def too_few(runs: int, ratio: float) -> str | None:
  """Returns why K runs show no influence, or None where they may.

  Args:
    runs: K.
    ratio: r, in (0, 1).

  >>> print(too_few(100, 0.7))
  Influence needs 477 runs at ratio 0.7, for an influence of 0.15 to be three
  standard errors; there are 100, 377 are missing.
  """
  needed = fewest_runs(ratio)
  if runs >= needed:
    return None
  return (
    f"Influence needs {needed} runs at ratio {ratio:g}, for an influence of "
    f"{PUBLISHED:g} to be three standard errors; there are {runs}, "
    f"{needed - runs} are missing."
  )


def _check_correct(masks: np.ndarray, correct: np.ndarray) -> np.ndarray:
  correct = as_array(correct, "correct")
  if correct.dtype != bool or correct.ndim != 2 or len(correct) != len(masks):
    raise UserError(
      f"correct must be bool [{len(masks)}, m], a row a run, got "
      f"{correct.dtype} {list(correct.shape)}; try predicted == labels of the "
      "test examples."
    )
  return correct


def _tiles(
  masks: np.ndarray, correct: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
  runs, n = masks.shape
  # Counts below 2**24 are exact in float32, in any order of adding.
  right = correct.astype(np.float32)
  total = np.count_nonzero(correct, axis=0)
  height = max(_TILE // max(right.shape[1], 1), 1)
  for first in range(0, n, height):
    rows = slice(first, min(first + height, n))
    inside = masks[:, rows]
    k_in = np.count_nonzero(inside, axis=0)[:, None].astype(float)
    k_in[(k_in == 0) | (k_in == runs)] = np.nan
    k_out = runs - k_in
    both = inside.astype(np.float32).T @ right
    yield rows, both * (1 / k_in + 1 / k_out) - total / k_out


def _steps(tile: np.ndarray) -> np.ndarray:
  """Returns how many steps of 0.001 each influence reaches, none of NaN."""
  # What is a multiple but for its rounding counts as one.
  return np.floor(np.nan_to_num(tile, nan=-1.0) * _STEPS + 1e-6).astype(int)


def _at_least(masks: np.ndarray, correct: np.ndarray) -> np.ndarray:
  """Returns how many pairs have at least each multiple of 0.001, [1001]."""
  counts = np.zeros(_STEPS + 1, int)
  for _, tile in _tiles(masks, correct):
    steps = _steps(tile)
    counts += np.bincount(steps[steps >= 0], minlength=_STEPS + 1)
  return counts[::-1].cumsum()[::-1]

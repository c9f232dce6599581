"""Means over examples, and how far other permutations would move them."""

from typing import NamedTuple

import numpy as np

from rethinking.memorization.draws import (
  check_blocks,
  check_masks,
  check_shape,
  words,
)
from rethinking.memorization.scores import Scores

DRAWS = 1000
# Draws whose means are taken at once.
_TILE = 50


def means(scores: Scores, among: np.ndarray) -> dict[str, float]:
  """Returns the two decompositions of a group of examples.

    acc_in = acc_out + mem,    p_in = p_out + mem_p

  Examples count equally, those with a side missing not at all, so that both
  hold exactly.

  Args:
    scores: of n examples.
    among: bool [n], the group, such as those with a changed label.

  Returns:
    Means of `acc_in`, `acc_out`, `mem`, `p_in`, `p_out`, `mem_p` and
    `heldout_true` (of the changed ones); `examples` that count and `missing`
    ones; `pooled_acc_in`, the training accuracy over all pairs of a run and an
    example inside. NaN of no example.
  """
  among = check_shape(among, "among", scores.mem.shape).astype(bool)
  both = among & (scores.k_in > 0) & (scores.k_out > 0)
  found = {
    name: _mean(getattr(scores, name)[both])
    for name in ("acc_in", "acc_out", "mem", "p_in", "p_out", "mem_p")
  }
  finds_true = scores.heldout_true[both]
  trained = among & (scores.k_in > 0)
  runs = scores.k_in[trained]
  return found | {
    "heldout_true": _mean(finds_true[~np.isnan(finds_true)]),
    "examples": int(both.sum()),
    "missing": int(among.sum() - both.sum()),
    "pooled_acc_in": float(scores.acc_in[trained] @ runs / runs.sum())
    if runs.size
    else np.nan,
  }


class Resampled(NamedTuple):
  """Means over examples in each of 1,000 bootstrap samples, float64 [1000].

  Attributes:
    inside: of `acc_in`, or of what else `outcome` was.
    outside: of `acc_out`.
    difference: of `mem`.
  """

  inside: np.ndarray
  outside: np.ndarray
  difference: np.ndarray


def resampled(
  masks: np.ndarray, outcome: np.ndarray, permutations: int, seed: int
) -> Resampled:
  """Returns the means of bootstrap samples of permutations.

  A sample is R permutations drawn with replacement, each with its T runs, since
  runs of one permutation are not independent: they share out its examples. In
  each the scores are computed anew and averaged over the examples with both
  sides. The draws are a function of seed and R alone: of two levels of noise
  with the same masks, the same samples, so that the difference of two results
  is that of pairs.

  Of R permutations the spread is sqrt((R - 1) / R) of what it should be.

  Args:
    masks: bool [K, n], of the examples to average over.
    outcome: [K, n], such as `correct` or `p`.
    permutations: R, a divisor of K; run k is of permutation k // T.
    seed: in [0, 2**32).

  Returns:
    NaN throughout for R = 1, which leaves nothing to resample.

  Raises:
    ValueError: for other shapes or an R that does not divide K.

  Reference: Efron, Tibshirani (1993), chapter 6; chapter 8 of samples of
    blocks.
  """
  masks = check_masks(masks)
  outcome = check_shape(outcome, "outcome", masks.shape)
  members = check_blocks(len(masks), permutations)
  if permutations == 1:
    return Resampled(*np.full((3, DRAWS), np.nan))
  drawn = words((DRAWS, permutations), seed, "bootstrap") % permutations
  times = np.stack([np.bincount(row, minlength=permutations) for row in drawn])
  blocks = (permutations, members, -1)
  sums, counts = (
    [
      np.sum(
        values.reshape(blocks),
        axis=1,
        where=side.reshape(blocks),
        dtype=np.float64,
      )
      for side in (masks, ~masks)
    ]
    for values in (outcome, np.ones_like(masks))
  )
  found = [
    _sample_means(times[first : first + _TILE].astype(float), sums, counts)
    for first in range(0, DRAWS, _TILE)
  ]
  return Resampled(*np.concatenate(found, axis=1))


def interval(draws: np.ndarray) -> tuple[float, float]:
  """Returns the 95 % percentile interval of bootstrap draws.

  Args:
    draws: a field of `Resampled`, or the difference of two levels' fields.

  Reference: Efron, Tibshirani (1993), section 13.3.

  >>> low, high = interval(np.arange(1001.0))
  >>> round(low, 6), round(high, 6)
  (25.0, 975.0)
  """
  low, high = np.quantile(draws, (0.025, 0.975))
  return float(low), float(high)


def _sample_means(times, sums, counts) -> np.ndarray:
  """Returns the means [3, B] of samples that hold permutations [B, R] times."""
  runs = [times @ count for count in counts]
  both = (runs[0] > 0) & (runs[1] > 0)
  inside, outside = (
    np.divide(times @ total, run, out=np.zeros(both.shape), where=both)
    for total, run in zip(sums, runs, strict=True)
  )
  examples = both.sum(axis=1)
  inside, outside = (
    np.divide(
      side.sum(axis=1),
      examples,
      out=np.full(len(times), np.nan),
      where=examples > 0,
    )
    for side in (inside, outside)
  )
  return np.stack([inside, outside, inside - outside])


def _mean(values: np.ndarray) -> float:
  return float(values.mean()) if values.size else np.nan

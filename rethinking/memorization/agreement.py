"""How far scores agree: halves of an ensemble, and ours with others'."""

import os
from typing import NamedTuple

import numpy as np

from rethinking.corruptions import array_files
from rethinking.memorization.draws import check_blocks, check_masks, check_shape
from rethinking.memorization.scores import side_mean
from rethinking.runtime.errors import UserError
from rethinking.storage import files

# Of a file of a million scores, with room for other arrays.
_MOST_BYTES = 2**28
_LOWEST = 1000


class Agreement(NamedTuple):
  """How far scores agree with a reference, over those that both have.

  Attributes:
    examples: how many these are.
    spearman: rank correlation over all of them, ties sharing a rank.
    largest: that of the reference with a score that has its order and no ties,
      sqrt(1 - sum(t^3 - t) / (n^3 - n)), t the sizes of its ties.
    below_top: rank correlation over those below the reference's top score.
    auroc: how well low scores find a reference below 0.5, in [0, 1].
    lowest: how many are compared in `overlap`: 1,000, or all where fewer.
    overlap: the share of the reference's lowest among our lowest.
  """

  examples: int
  spearman: float
  largest: float
  below_top: float
  auroc: float
  lowest: int
  overlap: float


def spearman(first: np.ndarray, second: np.ndarray) -> float:
  """Returns the rank correlation; NaN where one of them has a single value.

  Args:
    first: [n], no NaN.
    second: [n], no NaN.

  >>> spearman(np.array([1, 2, 2]), np.array([3, 5, 9])).__round__(6)
  0.866025
  """
  if not len(first):
    return np.nan
  ranks = np.stack([_ranks(first), _ranks(second)])
  ranks -= ranks.mean(axis=1, keepdims=True)
  scale = np.prod(np.linalg.norm(ranks, axis=1))
  return float(ranks[0] @ ranks[1] / scale) if scale else np.nan


def halves(masks: np.ndarray, p: np.ndarray, permutations: int) -> float:
  """Returns the rank correlation of `p_out` between halves of an ensemble.

  One half has the permutations 0, 2, ..., the other 1, 3, ...; examples with a
  run outside in both count. It says how well half of the runs rank examples;
  all of them do better.

  Args:
    masks: bool [K, n].
    p: float [K, n], the probability of the given label.
    permutations: R, a divisor of K; run k is of permutation k // T.

  Returns:
    NaN for R = 1.
  """
  masks = check_masks(masks)
  p = check_shape(p, "p", masks.shape)
  if lost := np.count_nonzero(np.isnan(p)):
    raise UserError(
      f"p must be a probability of each run, got NaN for {lost}; try "
      "exp(-loss)."
    )
  odd = np.arange(len(masks)) // check_blocks(len(masks), permutations) % 2 == 1
  if not odd.any():
    return np.nan
  found = np.stack([side_mean(~masks[half], p[half]) for half in (~odd, odd)])
  return spearman(*found[:, ~np.isnan(found).any(axis=0)])


def read(
  path: str | os.PathLike[str], ids: np.ndarray, labels: np.ndarray
) -> np.ndarray:
  """Reads a file of scores, one an example.

  Args:
    path: .npy of scores in the order of the ids; or .npz of `scores`, and
      perhaps `ids` of them, in any order, and `labels`, to be checked.
    ids: integers or names [n], of the examples that are wanted.
    labels: integers [n], their true labels.

  Returns:
    float64 [n].

  Raises:
    UserError: for a file that cannot be read, lacks examples, or has other
      labels.
  """
  path = files.local(path, "reference")
  try:
    if path.endswith(".npy"):
      scores = array_files.map_npy(path, most_bytes=_MOST_BYTES)
      found = {"scores": np.array(scores)}
    else:
      names = ("scores", "ids", "labels")
      found = array_files.read_npz(path, names, most_bytes=_MOST_BYTES)
  except ValueError as error:
    said = f"reference must be a readable .npz or .npy: {error}"
    raise UserError(said) from error
  n = len(ids)
  for name, values in found.items():
    named = name == "ids" and values.dtype.kind == "U"
    number = values.dtype.kind in "iuf" and np.isfinite(values).all()
    if values.ndim != 1 or not (number or named):
      raise UserError(
        f"{name} of the reference must be numbers [N], got {values.dtype} "
        f"{list(values.shape)}; try an array with one finite number an example."
      )
  if "scores" not in found:
    raise UserError(
      "reference must have an array scores, got "
      f"{array_files.npz_names(path)}; try np.savez(FILE, scores=..., "
      "ids=..., labels=...)."
    )
  if len({len(values) for values in found.values()}) > 1 or (
    "ids" not in found and len(found["scores"]) != n
  ):
    sizes = {name: len(values) for name, values in found.items()}
    raise UserError(
      f"reference must have a score for each of {n} examples, got {sizes}; try "
      "the file of this data set, or ids beside the scores."
    )
  if "ids" in found:
    if (once := len(np.unique(found["ids"]))) < len(found["ids"]):
      raise UserError(
        f"ids of the reference must be there once each, got {once} in "
        f"{len(found['ids'])} rows; try one row an example."
      )
    order = np.argsort(found["ids"])
    place = np.searchsorted(found["ids"], ids, sorter=order)
    place = order[place.clip(max=len(order) - 1)]
    if lost := np.count_nonzero(found["ids"][place] != ids):
      raise UserError(
        f"ids of the reference must have all {n} examples, got none for "
        f"{lost}; try the ids of this data set."
      )
    found = {name: values[place] for name, values in found.items()}
  if wrong := np.count_nonzero(found.get("labels", labels) != labels):
    raise UserError(
      f"labels of the reference must be those of the examples, got {wrong} of "
      f"{n} others; try the file of this data set, in its order."
    )
  return found["scores"].astype(float)


def compare(ours: np.ndarray, reference: np.ndarray) -> Agreement:
  """Returns how far scores agree with a reference.

  Args:
    ours: float [n], such as `p_out`; NaN where there is none.
    reference: float [n], such as C-scores: high for what is easy.

  >>> compare(np.arange(4.0), np.array([0.1, 0.2, 1, 1])).largest.__round__(6)
  0.948683
  """
  ours = check_shape(ours, "ours")
  reference = check_shape(reference, "reference", ours.shape)
  kept = ~np.isnan(ours)
  ours, reference = ours[kept], reference[kept]
  if lost := np.count_nonzero(np.isnan(reference)):
    raise UserError(
      f"reference must have a score for each example, got NaN for {lost} that "
      "ours scores; try NaN in ours, too."
    )
  n = len(ours)
  _, ties = np.unique(reference, return_counts=True)
  below = reference < reference.max(initial=-np.inf)
  low = reference < 0.5
  pairs = low.sum() * (n - low.sum())
  above = _ranks(ours)[~low].sum() - (n - low.sum()) * (n - low.sum() + 1) / 2
  lowest = min(_LOWEST, n)
  both = [np.argsort(x, kind="stable")[:lowest] for x in (ours, reference)]
  return Agreement(
    examples=n,
    spearman=spearman(ours, reference),
    largest=float(1 - (ties**3.0 - ties).sum() / max(n**3 - n, 1)) ** 0.5,
    below_top=spearman(ours[below], reference[below]),
    auroc=float(above / pairs) if pairs else np.nan,
    lowest=lowest,
    overlap=len(np.intersect1d(*both)) / lowest if lowest else np.nan,
  )


def _ranks(values: np.ndarray) -> np.ndarray:
  """Returns ranks from 1, float64 [n], the mean of theirs to equal values."""
  _, place, ties = np.unique(values, return_inverse=True, return_counts=True)
  return (ties.cumsum() - (ties - 1) / 2)[place]

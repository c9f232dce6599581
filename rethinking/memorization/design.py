"""Which examples each run of an ensemble trains on."""

import fractions
import numbers

import numpy as np

from rethinking.corruptions.checks import (
  check_ids,
  check_integer,
  check_labels,
  id_order,
)
from rethinking.corruptions.thresholds import exact_count
from rethinking.memorization.draws import check_masks, words
from rethinking.runtime.errors import UserError


def design(
  examples: int | np.ndarray,
  labels: np.ndarray,
  ratio: float,
  members: int,
  permutations: int,
  seed: int,
) -> np.ndarray:
  """Draws the subsets of K = R T runs, balanced over examples and over runs.

  Each of R permutations is cut into chunks of T consecutive examples. In a
  chunk the T x T circulant with a = r T ones a row says who is in which run,
  its rows permuted by a key of (permutation, chunk), so that neighbours do not
  travel together. Where T does not divide n, the last whole chunk and the rest,
  L < 2 T examples, have T windows of one length s on a circle of L instead.

  Exact: every run has the same size S, round(r n), or the nearest integer that
  leaves each example inside and outside in every permutation (another one only
  for a = 1, a = T - 1 and n < T). Examples are in a runs of each permutation,
  those of the last chunk in one more or less at most (where n >= T).

  T = 2 and n odd: two runs cannot both be S long and hold each example once.
  One example, another in each permutation, is in neither. With R = 1 one of the
  two runs is longer by one.

  R = 1: examples are sorted by label first, stratified T-fold. With T > 1 every
  example has a run on either side. T = 1: R independent subsets of S =
  round(r n) examples, which promise no side to anyone.

  Draws are given to examples by the rank of their ids, so they do not depend on
  the order of the rows.

  Args:
    examples: n, or the ids: integers [n] in [0, 2**32), or [n, 2] as
      `name_ids` makes, distinct.
    labels: integers [n], the given ones. They decide where R = 1 alone, so
      levels of label noise share subsets of R = 1 only if given the same.
    ratio: r, in (0, 1).
    members: T, at least 1; r T is an integer unless T = 1.
    permutations: R, at least 1.
    seed: in [0, 2**32).

  Returns:
    bool [K, n], True: inside. Run k is member k mod T of permutation k // T.

  Raises:
    ValueError: for what is outside these ranges, and a size of 0 or n.

  Reference: Feldman, Zhang (2020), section 3, who draw independent subsets.

  >>> masks = design(20, np.zeros(20, int), 0.7, 10, 3, seed=0)
  >>> set(masks.sum(axis=1)), set(masks.sum(axis=0))
  ({np.int64(14)}, {np.int64(21)})
  """
  if np.ndim(examples) == 0:
    examples = np.arange(check_integer(examples, "examples", 1, 2**32 - 1))
  labels = check_labels(labels)
  ids = check_ids(examples, len(labels))
  members = check_integer(members, "members", 1, 2**16)
  permutations = check_integer(permutations, "permutations", 1, 2**16)
  ones = _ones(ratio, members)
  n = len(ids)
  whole, last, size = (
    _lengths(n, members, ones) if members > 1 else (0, n, exact_count(ratio, n))
  )
  runs_of = ones * whole + size
  if not 0 < runs_of < n:
    raise UserError(
      f"A subset must have 1 to {n - 1} of the {n} examples, got {runs_of} at "
      f"ratio {ratio}; try another ratio, or more examples."
    )
  tables = _windows(members, members, ones), _windows(last, members, size)
  odd = members == 2 and n % 2 == 1
  if odd and permutations == 1:
    tables[1][0, -1] = True
  by_id = id_order(ids)
  masks = np.zeros((permutations, members, n), bool)
  for r in range(permutations):
    order = by_id[np.argsort(words((n,), seed, "order", r), kind="stable")]
    if r == 0:
      first = order
    if odd and permutations > 1:
      left_out = first[r % n]
      order = np.append(order[order != left_out], left_out)
    if permutations == 1 and members > 1:
      order = order[np.argsort(labels[order], kind="stable")]
    drawn = words((whole + 1, members), seed, "runs", r)
    rows = np.argsort(drawn, axis=1, kind="stable")
    chunks = tables[0][rows[:whole]].transpose(1, 0, 2)
    masks[r][:, order] = np.concatenate(
      [chunks.reshape(members, -1), tables[1][rows[whole]]], axis=1
    )
  _check(masks, runs_of, odd)
  return masks.reshape(-1, n)


def pack(masks: np.ndarray) -> np.ndarray:
  """Returns masks for a file, eight examples a byte.

  Args:
    masks: bool [K, n].

  Returns:
    uint8 [K, ceil(n / 8)], the first example in the highest bit.
  """
  return np.packbits(check_masks(masks), axis=1)


def unpack(packed: np.ndarray, examples: int) -> np.ndarray:
  """Returns the masks that `pack` packed.

  Args:
    packed: uint8 [K, ceil(n / 8)].
    examples: n.

  Returns:
    bool [K, n].

  Raises:
    UserError: for bytes of another number of examples.

  >>> masks = np.array([[True, False, True]])
  >>> unpack(pack(masks), 3).tolist()
  [[True, False, True]]
  """
  examples = check_integer(examples, "examples", 1, 2**32 - 1)
  packed, width = np.asarray(packed), -(-examples // 8)
  if packed.dtype != np.uint8 or packed.shape[1:] != (width,):
    raise UserError(
      f"Packed masks of {examples} examples must be uint8 [K, {width}], got "
      f"{packed.dtype} {list(packed.shape)}; try the examples that they were "
      "packed for."
    )
  return np.unpackbits(packed, axis=1, count=examples).view(bool)


def _ones(ratio: float, members: int) -> int:
  """Returns a = r T."""
  if not isinstance(ratio, numbers.Real) or not 0 < ratio < 1:
    raise UserError(
      f"ratio must be in (0, 1), got {ratio!r}; try 0.7, which trains each run "
      "on 70 % of the examples."
    )
  ones = round(ratio * members)
  if members > 1 and abs(ratio * members - ones) > 1e-9 * members:
    # As many as the ratio has parts.
    parts = fractions.Fraction(ratio).limit_denominator(1000).denominator
    raise UserError(
      f"ratio * members must be an integer, got {ratio} * {members}; try "
      f"members={parts}."
    )
  return ones


def _lengths(n: int, members: int, ones: int) -> tuple[int, int, int]:
  """Returns the whole chunks, the last one's length L and each run's s of it.

  T windows of s on a circle of L cover a place floor(T s / L) times or once
  more, which must be neither none nor all of T.
  """
  whole = max((n - 1) // members - (n % members > 0), 0)
  last = n - whole * members
  least = -(-last // members)
  nearest = (2 * ones * last + members) // (2 * members)
  return whole, last, min(max(nearest, least), last - least)


def _windows(length: int, members: int, size: int) -> np.ndarray:
  """Returns windows on a circle, as evenly spread as whole places allow.

  Any window has floor(T s / L) or ceil(T s / L) of the T starts in the s places
  up to it. Of L = T places it is the circulant.

  Args:
    length: L, places.
    members: T, windows.
    size: s, places a window.

  Returns:
    bool [T, L].
  """
  starts = np.arange(members) * length // members
  return (np.arange(length) - starts[:, None]) % length < size


def _check(masks: np.ndarray, size: int, odd: bool) -> None:
  """Counts what `design` promises."""
  permutations, members, _ = masks.shape
  sizes = masks.sum(axis=2)
  assert sizes.min() == size
  assert sizes.max() == size + (odd and permutations == 1)
  if members > 1:
    counts = masks.sum(axis=1)
    assert np.ptp(counts, axis=1).max() <= 1
    sides = counts.sum(axis=0, keepdims=True) if odd else counts
    assert sides.min() >= 1
    assert sides.max() < members * permutations // len(sides)

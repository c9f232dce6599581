"""Which examples a level draws, as one comparison."""

from typing import NamedTuple

import jax
import numpy as np

from rethinking.corruptions.checks import check_static_rate, id_ranks
from rethinking.corruptions.keys import example_words, words


def exact_count(p: float, count: int) -> int:
  """Returns how many of n examples an exact level draws, round(p n).

  Args:
    p: rate in [0, 1].
    count: n.

  Returns:
    The nearest integer; a half goes to the even one, as Python's round does.

  Raises:
    ValueError: for a rate outside [0, 1], or a traced one.

  >>> exact_count(0.29, 100)
  29
  """
  check_static_rate(p)
  return round(float(p) * count)


class Threshold(NamedTuple):
  """Which examples are drawn: those whose (word, id) come at or before it.

  A rate and an exact count are both one, so a program serves either.

  Attributes:
    some: bool [], whether any is drawn at all.
    word: uint32 [], compared with the first word of an example's key.
    id: uint32 [] or [2], compared with its id where the words are alike.
  """

  some: jax.Array
  word: jax.Array
  id: jax.Array


def threshold(
  key: jax.Array, ids: np.ndarray, p: float, *, exact: bool
) -> Threshold:
  """Returns what draws a share of the examples, NumPy.

  Args:
    key: typed threefry2x32 key, [].
    ids: uint32 [N] or [N, 2], distinct.
    p: rate in [0, 1], a number.
    exact: draw round(p N) of them; else each by its own word, as `drawn`.

  >>> from rethinking import corruptions
  >>> key = corruptions.root_key(0)
  >>> bool(threshold(key, np.arange(100), 0.0, exact=False).some)
  False
  """
  if exact:
    count = exact_count(p, len(ids))
    words = example_words(key, ids)[:, 0]
    last = smallest(words, ids, count)[-1:]
    word, id = words[last], ids[last]
  else:
    count = _below(p)
    word, id = np.uint32([max(count, 1) - 1]), np.full_like(ids[:1], 2**32 - 1)
  if not count:
    word, id = np.zeros(1, np.uint32), np.zeros_like(ids[:1])
  return Threshold(np.bool_(count > 0), word[0], id[0])


def _below(p: float) -> int:
  """How many words a rate draws, as `below` compares them."""
  check_static_rate(p)
  return int(np.round(np.float32(p) * np.float32(2**32)))


def smallest(words: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
  """Returns the rows of the k smallest words, ties to the lowest id, in order.

  Args:
    words: uint32 [N].
    ids: uint32 [N] or [N, 2], distinct.
    count: k, in 0..N.

  Returns:
    int [k].

  >>> smallest(np.uint32([5, 1, 5]), np.uint32([9, 8, 7]), 2).tolist()
  [1, 2]
  """
  return np.argsort(pairs(words, id_ranks(ids)))[:count]


def drawn_by(limit: Threshold, key: jax.Array, id: jax.Array) -> jax.Array:
  """Returns whether an example is drawn, bool [].

  Args:
    limit: from `threshold`.
    key: the example's key, [].
    id: its id, uint32 [] or [2].
  """
  word = words(key, 2)[0]
  if id.ndim:
    high, low = id < limit.id, id <= limit.id
    up_to = high[0] | ((id[0] == limit.id[0]) & low[1])
  else:
    up_to = id <= limit.id
  return limit.some & ((word < limit.word) | ((word == limit.word) & up_to))


def select(
  key: jax.Array, ids: np.ndarray, p: float, *, exact: bool
) -> np.ndarray:
  """Returns which examples a level draws.

  Args:
    key: typed threefry2x32 key, [].
    ids: uint32 [N] or [N, 2], distinct.
    p: rate in [0, 1], a number.
    exact: draw round(p N) of them; else each by its own word.

  Returns:
    bool [N].

  >>> from rethinking import corruptions
  >>> key = corruptions.root_key(0)
  >>> int(select(key, np.arange(100), 0.29, exact=True).sum())
  29
  """
  words = example_words(key, ids)[:, 0]
  if not exact:
    return words < np.uint64(_below(p))
  found = np.zeros(len(ids), bool)
  found[smallest(words, ids, exact_count(p, len(ids)))] = True
  return found


def pairs(words: np.ndarray, ranks: np.ndarray) -> np.ndarray:
  """Returns a word above a rank as one integer: distinct, fast to sort.

  Args:
    words: uint32 [N].
    ranks: uint32 [N], of the ids.

  Returns:
    uint64 [N].

  >>> pairs(np.uint32([1]), np.uint32([2]))
  array([4294967298], dtype=uint64)
  """
  return (words.astype(np.uint64) << np.uint64(32)) | ranks.astype(np.uint64)

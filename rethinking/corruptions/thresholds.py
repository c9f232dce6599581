"""Which examples a level draws, as one comparison."""

from typing import NamedTuple

import jax
import numpy as np

from rethinking.corruptions.checks import check_static_rate
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
    id: uint32 [], compared with its id where the words are alike.
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
    ids: uint32 [N], distinct.
    p: rate in [0, 1], a number.
    exact: draw round(p N) of them; else each by its own word, as `drawn`.

  >>> from rethinking import corruptions
  >>> key = corruptions.root_key(0)
  >>> bool(threshold(key, np.arange(100), 0.0, exact=False).some)
  False
  """
  if exact:
    count = exact_count(p, len(ids))
    found = pairs(example_words(key, ids)[:, 0], ids)
    last = np.partition(found, count - 1)[count - 1] if count else 0
  else:
    # As `below`, word < round(float32(p) * 2**32), of which the last is left.
    check_static_rate(p)
    count = int(np.round(np.float32(p) * np.float32(2**32)))
    last = (count << 32) - 1 if count else 0
  return Threshold(
    np.bool_(count > 0),
    np.uint32(int(last) >> 32),
    np.uint32(int(last) & 0xFFFFFFFF),
  )


def drawn_by(limit: Threshold, key: jax.Array, id: jax.Array) -> jax.Array:
  """Returns whether an example is drawn, bool [].

  Args:
    limit: from `threshold`.
    key: the example's key, [].
    id: its id, uint32 [].
  """
  word = words(key, 2)[0]
  before = (word < limit.word) | ((word == limit.word) & (id <= limit.id))
  return limit.some & before


def select(
  key: jax.Array, ids: np.ndarray, p: float, *, exact: bool
) -> np.ndarray:
  """Returns which examples a level draws.

  Args:
    key: typed threefry2x32 key, [].
    ids: uint32 [N], distinct.
    p: rate in [0, 1], a number.
    exact: draw round(p N) of them; else each by its own word.

  Returns:
    bool [N].

  >>> from rethinking import corruptions
  >>> key = corruptions.root_key(0)
  >>> int(select(key, np.arange(100), 0.29, exact=True).sum())
  29
  """
  limit = threshold(key, ids, p, exact=exact)
  last = (int(limit.word) << 32) | int(limit.id)
  found = pairs(example_words(key, ids)[:, 0], ids)
  return limit.some & (found <= np.uint64(last))


def pairs(words: np.ndarray, ids: np.ndarray) -> np.ndarray:
  """Returns a word above an id as one integer: distinct, fast to sort.

  Args:
    words: uint32 [N].
    ids: uint32 [N].

  Returns:
    uint64 [N].

  >>> pairs(np.uint32([1]), np.uint32([2]))
  array([4294967298], dtype=uint64)
  """
  return (words.astype(np.uint64) << np.uint64(32)) | ids.astype(np.uint64)

"""Random permutations of positions, by sorting random words."""

import jax
import jax.numpy as jnp

from rethinking.corruptions.checks import check_integer, check_static_rate
from rethinking.corruptions.keys import named_key, words

_MOST_POSITIONS = 2**16


def random_permutation(key: jax.Array, positions: int) -> jax.Array:
  """Returns a uniform random permutation.

  Sorts random words that carry their position in their low bits: pi =
  argsort(words). Two positions whose high bits agree stay in order, so neither
  order of the two is favoured by more than 2**-23 for 1,024 positions, 2**-17
  for 65,536.

  Args:
    key: typed threefry2x32 key, [].
    positions: how many, in 1..65536 (256 x 256), static.

  Returns:
    int32 [positions], in 0..positions-1.

  Raises:
    ValueError: for a number of positions outside the range.

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> sorted(random_permutation(key, 5).tolist())
  [0, 1, 2, 3, 4]
  """
  check_integer(positions, "The number of positions", 1, _MOST_POSITIONS)
  low = jnp.uint32((1 << int(positions - 1).bit_length()) - 1)
  place = jnp.arange(positions, dtype=jnp.uint32)
  in_order = jnp.sort((words(key, positions) & ~low) | place)
  return (in_order & low).astype(jnp.int32)


def partial_permutation(
  key: jax.Array, positions: int, level: float
) -> jax.Array:
  """Returns a uniform permutation of a random share of the positions.

  round(level n) positions are drawn without replacement and permuted among
  themselves; the others stay, pi[i] = i. The drawn positions nest in the
  level, their permutations don't. One of them stays put on average, as in any
  permutation.

  Args:
    key: typed threefry2x32 key, [].
    positions: how many, n, in 1..65536, static.
    level: share in [0, 1], static.

  Returns:
    int32 [positions], in 0..positions-1.

  Raises:
    ValueError: for a level outside [0, 1], or a traced one.

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> moved = partial_permutation(key, 100, 0.2) != jnp.arange(100)
  >>> 2 <= int(moved.sum()) <= 20
  True
  """
  check_static_rate(level, "level")
  return permute_some(key, positions, round(float(level) * positions))


def permute_some(
  key: jax.Array, positions: int, count: jax.Array | int
) -> jax.Array:
  """As `partial_permutation`, of a number of positions that may be traced.

  Args:
    key: typed threefry2x32 key, [].
    positions: how many, n, in 1..65536, static.
    count: how many of them are permuted, [], in 0..n.

  Returns:
    int32 [positions], in 0..positions-1.
  """
  place = jnp.arange(positions, dtype=jnp.int32)
  taken = random_permutation(named_key(key, 0), positions)
  order = random_permutation(named_key(key, 1), positions)
  # The first of `taken` in the order of an independent permutation.
  inside = jnp.zeros(positions, bool).at[taken].set(place < count)
  shuffled = order[jnp.argsort(~inside[order], stable=True)]
  return place.at[taken].set(jnp.where(place < count, shuffled, taken))

"""Label noise, one example at a time: op(key, label, ..., *, num_classes).

Every op draws one word u and one replacement from the example's key, whatever
the level, and replaces the label where u < p. So levels nest: an example that
is corrupted at p is corrupted at every p' > p, with the same label. The batch
form is `vmap` over `example_keys(key, ids)`; labels are int32 [].
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.corruptions import checks, keys, matrices


def drawn(key: jax.Array, p: jax.Array | float) -> jax.Array:
  """Returns whether an example is among those drawn at a level.

  A drawn label is replaced; it changes only if the replacement is another.

  Args:
    key: the example's key, [].
    p: rate in [0, 1], [].

  Returns:
    bool [].

  Raises:
    ValueError: for a number outside [0, 1].

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> bool(drawn(key, 1.0)), bool(drawn(key, 0.0))
  (True, False)
  """
  checks.check_rate(p)
  return keys.below(keys.words(key, 2)[0], p)


def _replace(
  word: jax.Array,
  label: jax.Array,
  replacement: jax.Array,
  p: jax.Array | float,
) -> jax.Array:
  checks.check_rate(p)
  return jnp.where(keys.below(word, p), replacement, label)


def uniform(
  key: jax.Array, label: jax.Array, p: jax.Array | float, *, num_classes: int
) -> jax.Array:
  """With probability p, draws the label anew from all K classes.

  P(given | true) = (1 - p) [given = true] + p / K. The true class may be
  drawn, so only p (K - 1) / K of the labels change. Levels nest. A word
  modulo K favours no class by more than 2**-32.

  Args:
    key: the example's key, [].
    label: int32 [], in 0..K-1.
    p: rate in [0, 1], [].
    num_classes: K, at least 2, static.

  Returns:
    int32 [], in 0..K-1.

  Raises:
    ValueError: for a number p outside [0, 1], a label outside 0..K-1, or
      fewer than 2 classes.

  Reference: Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 2.1,
    "partially corrupted labels"; p = 1 is "random labels".

  >>> from rethinking import corruptions
  >>> keys = corruptions.example_keys(corruptions.root_key(0), jnp.arange(8))
  >>> noisy = jax.vmap(lambda k, y: uniform(k, y, 0.5, num_classes=10))
  >>> noisy(keys, jnp.zeros(8, jnp.int32)).tolist()
  [0, 2, 0, 4, 5, 0, 0, 9]
  """
  label = checks.check_label(label, num_classes)
  word, other = keys.words(key, 2)
  other = (other % np.uint32(num_classes)).astype(jnp.int32)
  return _replace(word, label, other, p)


def symmetric(
  key: jax.Array, label: jax.Array, p: jax.Array | float, *, num_classes: int
) -> jax.Array:
  """With probability p, replaces the label by another class, all alike.

  P(given | true) = 1 - p if given = true, else p / (K - 1). Levels nest. A
  word modulo K - 1 favours no class by more than 2**-32.

  Args:
    key: the example's key, [].
    label: int32 [], in 0..K-1.
    p: rate in [0, 1] of wrong labels, [].
    num_classes: K, at least 2, static.

  Returns:
    int32 [], in 0..K-1.

  Raises:
    ValueError: for a number p outside [0, 1], a label outside 0..K-1, or
      fewer than 2 classes.

  Reference: Patrini, Rozza, Menon, Nock, Qu (2017), section 5; Han et al.
    (2018), "Co-teaching", section 4, "symmetry flipping".

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> int(symmetric(key, 0, 1.0, num_classes=2))
  1
  """
  label = checks.check_label(label, num_classes)
  word, step = keys.words(key, 2)
  step = (step % np.uint32(num_classes - 1)).astype(jnp.int32)
  return _replace(word, label, (label + 1 + step) % num_classes, p)


def pair_flip(
  key: jax.Array, label: jax.Array, p: jax.Array | float, *, num_classes: int
) -> jax.Array:
  """With probability p, replaces the label by the next class.

  P(given | true) = 1 - p if given = true, p if given = true + 1 mod K. Levels
  nest.

  Args:
    key: the example's key, [].
    label: int32 [], in 0..K-1.
    p: rate in [0, 1], [].
    num_classes: K, at least 2, static.

  Returns:
    int32 [], in 0..K-1.

  Raises:
    ValueError: for a number p outside [0, 1], a label outside 0..K-1, or
      fewer than 2 classes.

  Reference: Han et al. (2018), "Co-teaching", section 4, "pair flipping".

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> int(pair_flip(key, 9, 1.0, num_classes=10))
  0
  """
  label = checks.check_label(label, num_classes)
  word, _ = keys.words(key, 2)
  return _replace(word, label, (label + 1) % num_classes, p)


def asymmetric(
  key: jax.Array,
  label: jax.Array,
  p: jax.Array | float,
  *,
  map: str | Sequence[int] | Mapping[int, int],
  num_classes: int,
) -> jax.Array:
  """With probability p, replaces the label by the one it is mistaken for.

  P(given | true) = 1 - p if given = true, p if given = map[true]; a class
  that maps to itself stays clean. All flips look at the true label, so
  cat -> dog is never flipped back. Levels nest.

  Args:
    key: the example's key, [].
    label: int32 [], in 0..K-1.
    p: rate in [0, 1] within each class that the map changes, [].
    map: 'cifar10' (bird -> airplane, cat <-> dog, deer -> horse, truck ->
      automobile), 'cifar100' (next fine class of the superclass), 'mnist'
      (2 -> 7, 3 -> 8, 5 <-> 6, 7 -> 1), K labels, or {class: label}; static.
    num_classes: K, static.

  Returns:
    int32 [], in 0..K-1.

  Raises:
    ValueError: for a number p outside [0, 1], a label outside 0..K-1, or a
      map that isn't of K labels.

  Reference: Patrini, Rozza, Menon, Nock, Qu (2017), section 5.

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> int(asymmetric(key, 9, 1.0, map="cifar10", num_classes=10))
  1
  """
  targets = np.array(matrices.flip_map(map, num_classes), np.int32)
  return flip(key, label, p, jnp.asarray(targets), num_classes=num_classes)


def flip(
  key: jax.Array,
  label: jax.Array,
  p: jax.Array | float,
  targets: jax.Array,
  *,
  num_classes: int,
) -> jax.Array:
  """As `asymmetric`, to labels that may be traced.

  Args:
    key: the example's key, [].
    label: int32 [], in 0..K-1.
    p: rate in [0, 1], [].
    targets: int32 [K], what each class becomes.
    num_classes: K, static.

  Returns:
    int32 [], in 0..K-1.
  """
  label = checks.check_label(label, num_classes)
  word, _ = keys.words(key, 2)
  return _replace(word, label, targets[label], p)


def transition(
  key: jax.Array,
  label: jax.Array,
  matrix: np.ndarray | tuple[tuple[float, ...], ...],
  *,
  num_classes: int,
) -> jax.Array:
  """Draws the label from the true class's row of a transition matrix.

  P(given | true) = T[true, given], to within 2**-32; an entry 0 is never
  drawn. Inverts the row's cumulative sum, so two matrices need not nest.

  Args:
    key: the example's key, [].
    label: int32 [], in 0..K-1.
    matrix: [K, K], T[true, given], rows in [0, 1] that sum to 1; numbers, not
      traced.
    num_classes: K, static.

  Returns:
    int32 [], in 0..K-1.

  Raises:
    ValueError: for a matrix that isn't K x K or not row-stochastic, or a
      label outside 0..K-1.

  Reference: Patrini, Rozza, Menon, Nock, Qu (2017), section 2.

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> int(transition(key, 0, ((0.0, 1.0), (0.5, 0.5)), num_classes=2))
  1
  """
  edges, ends = (jnp.asarray(x) for x in edges_of(matrix, num_classes))
  return by_edges(key, label, edges, ends, num_classes=num_classes)


def edges_of(
  matrix: np.ndarray | tuple[tuple[float, ...], ...], num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns a transition matrix as limits of a random word.

  Args:
    matrix: [K, K], T[true, given].
    num_classes: K.

  Returns:
    uint32 [K, K], where each class's share of the words ends; bool [K, K],
    where that is after the last word.

  Raises:
    ValueError: for a matrix that isn't K x K or not row-stochastic.
  """
  matrix = checks.check_matrix(matrix, num_classes)
  # Rows were divided by their sums, so the last possible class ends at 2**32.
  edges = np.round(np.cumsum(matrix, axis=1) * 2.0**32)
  ends = edges >= 2.0**32
  return np.minimum(edges, 2.0**32 - 1).astype(np.uint32), ends


def by_edges(
  key: jax.Array,
  label: jax.Array,
  edges: jax.Array,
  ends: jax.Array,
  *,
  num_classes: int,
) -> jax.Array:
  """As `transition`, by limits that may be traced.

  Args:
    key: the example's key, [].
    label: int32 [], in 0..K-1.
    edges: uint32 [K, K], from `edges_of`.
    ends: bool [K, K], likewise.
    num_classes: K, static.

  Returns:
    int32 [], in 0..K-1.
  """
  label = checks.check_label(label, num_classes)
  passed = (keys.words(key, 2)[0] >= edges[label]) & ~ends[label]
  return passed.sum(dtype=jnp.int32)

"""Ops on a whole set: exact counts, permutations, human labels.

Each takes all labels [N] and ids [N] at once. The result doesn't depend on
the order of the rows, on batches or on shards, but it does depend on which
examples are in the set: a subset's corruption isn't the set's, cut down.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.corruptions import checks, keys, thresholds


def smallest(values: jax.Array, ids: jax.Array, count: jax.Array) -> jax.Array:
  """Returns which are the k smallest values, ties to the lowest id.

  Args:
    values: uint32 [N].
    ids: uint32 [N], distinct, or their ranks.
    count: k, [], in 0..N.

  Returns:
    bool [N], k of them true.

  >>> smallest(jnp.uint32([5, 1, 5]), jnp.uint32([9, 8, 7]), 2).tolist()
  [False, True, True]
  """
  count = jnp.asarray(count).astype(jnp.int32)
  # Two sorts of one array each are faster than one sort of pairs.
  limit = jnp.sort(values)[jnp.maximum(count, 1) - 1]
  less = values < limit
  tied = values == limit
  left = count - less.sum(dtype=jnp.int32)
  tied_ids = jnp.sort(jnp.where(tied, ids, jnp.uint32(2**32 - 1)))
  last = tied_ids[jnp.maximum(left, 1) - 1]
  return (count > 0) & (less | (tied & (ids <= last)))


def drawn_exactly(key: jax.Array, ids: jax.Array, count: jax.Array):
  """Returns which examples an exact count draws: those with the k smallest u.

  u is the word that the per-example ops compare with p, so exact draws nest
  in each other, and differ from independent ones only near the threshold.

  Args:
    key: typed threefry2x32 key, [].
    ids: uint32 [N] or [N, 2], distinct.
    count: k, [], in 0..N.

  Returns:
    bool [N], k of them true.

  Raises:
    ValueError: for ids that repeat or a count outside 0..N; traced ones pass
      unseen.

  >>> from rethinking import corruptions
  >>> key = corruptions.root_key(0)
  >>> int(drawn_exactly(key, jnp.arange(100), 29).sum())
  29
  """
  ids = jnp.asarray(checks.check_ids(ids, len(ids)))
  if not checks.is_traced(count):
    count = checks.check_integer(count, "The count", 0, len(ids))
  u = jax.vmap(lambda k: keys.words(k, 2)[0])(keys.example_keys(key, ids))
  if ids.ndim == 2:
    ids = jnp.argsort(jnp.lexsort((ids[:, 1], ids[:, 0]))).astype(jnp.uint32)
  return smallest(u, ids, count)


def exact(
  key: jax.Array,
  labels: jax.Array,
  ids: jax.Array,
  p: float,
  *,
  op,
  num_classes: int,
  **options,
) -> jax.Array:
  """Applies a label op to exactly round(p n) examples.

  Drawn, not changed: with the inclusive `uniform`, a drawn label may come out
  as it was. Invariant to order, batch and shard; levels nest.

  Args:
    key: typed threefry2x32 key, [].
    labels: int32 [N], in 0..K-1.
    ids: uint32 [N] or [N, 2], distinct.
    p: rate in [0, 1], a number.
    op: `uniform`, `symmetric`, `pair_flip` or `asymmetric`.
    num_classes: K, static.
    **options: the op's own.

  Returns:
    int32 [N].

  Raises:
    ValueError: for a rate outside [0, 1], labels outside 0..K-1, or ids that
      repeat; traced labels and ids pass unseen.

  >>> from rethinking import corruptions
  >>> key, y = corruptions.root_key(0), jnp.zeros(100, jnp.int32)
  >>> noisy = exact(
  ...   key, y, jnp.arange(100), 0.29, op=corruptions.symmetric, num_classes=10
  ... )
  >>> int((noisy != y).sum())
  29
  """
  labels = jnp.asarray(checks.check_labels(labels, num_classes))
  ids = checks.check_ids(ids, len(labels))
  chosen = drawn_exactly(key, ids, thresholds.exact_count(p, len(ids)))
  replaced = jax.vmap(
    lambda k, y: op(k, y, 1.0, num_classes=num_classes, **options)
  )(keys.example_keys(key, ids), labels)
  return jnp.where(chosen, replaced, labels)


def permutation(
  key: jax.Array, labels: np.ndarray, ids: np.ndarray, p: float
) -> tuple[np.ndarray, np.ndarray]:
  """Permutes the labels among round(p n) random examples.

  Every class keeps its count exactly. The subsets nest, the labels in them
  don't: a larger subset is permuted anew. Sorts on the host, so not under jit.

  Args:
    key: typed threefry2x32 key, [].
    labels: int32 [N].
    ids: uint32 [N] or [N, 2], distinct.
    p: rate in [0, 1], a number.

  Returns:
    int32 [N], the labels; bool [N], which took part.

  Raises:
    ValueError: for a rate outside [0, 1], labels that aren't integers, or ids
      that repeat.

  Reference: Edgington, Onghena (2007), chapter 1, on randomisation tests,
    which Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 1, start from.

  >>> from rethinking import corruptions
  >>> y = np.arange(6) % 3
  >>> key = corruptions.root_key(1)
  >>> sorted(permutation(key, y, np.arange(6), 1.0)[0].tolist())
  [0, 0, 1, 1, 2, 2]
  """
  labels = checks.check_labels(labels)
  ids = checks.check_ids(ids, len(labels))
  count = thresholds.exact_count(p, len(ids))
  u, order = keys.example_words(key, ids).T
  chosen = thresholds.smallest(u, ids, count)
  shuffled = chosen[thresholds.smallest(order[chosen], ids[chosen], count)]
  given, drawn = labels.copy(), np.zeros(len(ids), bool)
  given[chosen] = labels[shuffled]
  drawn[chosen] = True
  return given, drawn


def permuted(corruption, key, examples):
  """As `permutation`, of a set as `chain` gives it."""
  own = keys.named_key(key, examples.split)
  return permutation(own, examples.labels, examples.ids, corruption.level)


def permuted_rate(counts: np.ndarray, p: float) -> float:
  """Returns the expected share of labels that `permutation` changes.

  Args:
    counts: int [K], the examples of each class.
    p: rate in [0, 1].

  >>> permuted_rate(np.array([1, 1]), 1.0)
  0.5
  """
  total = int(counts.sum())
  part = thresholds.exact_count(p, total)
  if part < 2:
    return 0.0
  # A permuted label is its own once in `part`, else any other example's.
  alike = (counts * (counts - 1)).sum() / (total * (total - 1))
  return float(part / total * (1 - 1 / part) * (1 - alike))


def human(
  labels: np.ndarray,
  ids: np.ndarray,
  given: np.ndarray,
  *,
  num_classes: int,
  clean: np.ndarray | None = None,
) -> np.ndarray:
  """Replaces labels by those that people gave, matched by example id.

  Args:
    labels: int32 [N], the true labels, in 0..K-1.
    ids: uint32 [N], distinct, positions in `given`.
    given: integers [M], in 0..K-1. A warning says where they agree with the
      true labels no more than by chance, as in another order.
    num_classes: K.
    clean: integers [M], the true labels where the source has them: they must
      agree with `labels`, or the ids mean other examples.

  Returns:
    int32 [N].

  Raises:
    ValueError: for an id outside 0..M-1, a label outside 0..K-1, or a clean
      label that disagrees.

  Reference: Wei, Zhu, Cheng, Liu, Niu, Liu (2022), "Learning with noisy
    labels revisited", section 3 (CIFAR-10N).

  >>> human([3, 4], [1, 0], [4, 5, 6], num_classes=10).tolist()
  [5, 4]
  """
  labels = checks.check_labels(labels, num_classes)
  ids = checks.check_ids(ids, len(labels))
  if ids.ndim != 1:
    raise ValueError(
      "ids must be integers for human labels of an .npz, got names; try a CSV "
      "of ids and labels, as labels=CSV."
    )
  given = checks.check_labels(given, num_classes)
  if ids.size and ids.max() >= len(given):
    raise ValueError(
      f"ids must have human labels, which are for 0..{len(given) - 1}, got "
      f"{ids.max()}; try another file."
    )
  if clean is not None and len(clean) != len(given):
    raise ValueError(
      f"Clean labels must be as many as human ones, {len(given)}, got "
      f"{len(clean)}; try one of each an example."
    )
  if clean is not None:
    clean = checks.check_labels(clean, num_classes)[ids]
    wrong = np.flatnonzero(clean != labels)
    if wrong.size:
      row = wrong[0]
      raise ValueError(
        f"Example {ids[row]} must be of class {clean[row]}, as human labels "
        f"say, got {labels[row]}; try the data set that they were given to."
      )
  else:
    _compare(labels, given[ids], num_classes)
  return given[ids]


def _compare(labels: np.ndarray, given: np.ndarray, num_classes: int) -> None:
  """Warns of labels that say nothing of the true ones."""
  shares = (np.bincount(x, minlength=num_classes) for x in (labels, given))
  chance = float(np.prod([*shares], axis=0).sum()) / len(labels) ** 2
  usual = max(chance, 1 / num_classes)
  limit = chance + 3 * np.sqrt(usual * (1 - usual) / len(labels))
  agree = float((labels == given).mean())
  # Of few labels, or of few classes, chance could look like anything.
  if agree <= limit < (1 + chance) / 2:
    warnings.warn(
      f"Human labels must be in the order of the ids and count from 0, got "
      f"some that agree with {100 * agree:.1f} % of the true labels, and "
      f"{100 * chance:.1f} % would by chance; try another order, labels - 1, "
      "or an array clean_label beside them.",
      stacklevel=3,
    )


def given(
  labels: np.ndarray, given_labels: np.ndarray, *, num_classes: int
) -> np.ndarray:
  """Replaces labels by those that somebody gave, row by row.

  Args:
    labels: int32 [N], the true labels, in 0..K-1.
    given_labels: integers [N], in 0..K-1.
    num_classes: K.

  Returns:
    int32 [N].

  Raises:
    ValueError: for a label outside 0..K-1, or another number of them.

  Reference: Wei, Zhu, Cheng, Liu, Niu, Liu (2022), "Learning with noisy
    labels revisited", section 3, on labels that people gave.

  >>> given([3, 4], [3, 5], num_classes=10).tolist()
  [3, 5]
  """
  labels = checks.check_labels(labels, num_classes)
  given_labels = checks.check_labels(given_labels, num_classes)
  if len(given_labels) != len(labels):
    raise ValueError(
      f"Given labels must be as many as labels, {len(labels)}, got "
      f"{len(given_labels)}; try one of each an example."
    )
  return given_labels


def as_given(corruption, key, examples):
  """As `given`, of a set as `chain` gives it; nothing is drawn."""
  del corruption, key
  classes = examples.num_classes
  return given(examples.labels, examples.given, num_classes=classes), None

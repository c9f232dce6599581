"""Runs one label corruption over a whole set."""

from typing import NamedTuple

import jax
import numpy as np

from rethinking.corruptions import instance_noise, subsets
from rethinking.corruptions.description import Corruption
from rethinking.corruptions.keys import each_example, named_key
from rethinking.corruptions.quantiles import ImageStatistics, rate_table


class Examples(NamedTuple):
  """A set as a label corruption sees it, checked already.

  Attributes:
    split: folded into the key.
    labels: int32 [N].
    ids: uint32 [N], distinct.
    num_classes: K.
    images: uint8 [N, H, W, C], where the corruption needs them.
    statistics: of the train images, likewise.
  """

  split: str
  labels: np.ndarray
  ids: np.ndarray
  num_classes: int
  images: np.ndarray | None = None
  statistics: ImageStatistics | None = None


def corrupt_labels(
  corruption: Corruption, key: jax.Array, examples: Examples
) -> tuple[np.ndarray, int | None]:
  """Returns the labels after one corruption.

  Args:
    corruption: whose target is 'labels', not read from a file.
    key: typed threefry2x32 key, [], the corruption's own.
    examples: the set.

  Returns:
    int32 [N]; how many were drawn, None where nothing is drawn apart.
  """
  given, drawn = corruption.definition.over_set(corruption, key, examples)
  if drawn is None:
    # A copy: NumPy's views of JAX arrays can't be written to.
    return np.array(given), None
  return np.where(drawn, given, examples.labels), int(drawn.sum())


def each_label(
  corruption: Corruption, key: jax.Array, examples: Examples
) -> tuple[np.ndarray, np.ndarray | None]:
  """Returns what an op makes of each label, and which are drawn.

  Args:
    corruption: whose op takes one label.
    key: typed threefry2x32 key, [], the corruption's own.
    examples: the set.

  Returns:
    int32 [N]; bool [N], or None where there is no level.
  """
  own = named_key(key, examples.split)
  arguments = corruption.arguments | {"num_classes": examples.num_classes}
  drawn = None
  if corruption.level is not None:
    exact = corruption.option("exact")
    drawn = subsets.select(own, examples.ids, corruption.level, exact=exact)
    arguments["p"] = 1.0
  given = each_example(
    own,
    examples.ids,
    examples.labels,
    op=corruption.definition.op,
    static=tuple(arguments.items()),
  )
  return given, drawn


def permuted(
  corruption: Corruption, key: jax.Array, examples: Examples
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the labels after `permutation`, and which are drawn.

  Args:
    corruption: with a level.
    key: typed threefry2x32 key, [], the corruption's own.
    examples: the set.

  Returns:
    int32 [N]; bool [N].
  """
  own = named_key(key, examples.split)
  return subsets.permutation(
    own, examples.labels, examples.ids, corruption.level
  )


def permuted_rate(counts: np.ndarray, p: float) -> float:
  """Returns the expected share of labels that `permutation` changes.

  Args:
    counts: int [K], the examples of each class.
    p: rate in [0, 1].

  >>> permuted_rate(np.array([1, 1]), 1.0)
  0.5
  """
  total = int(counts.sum())
  part = subsets.exact_count(p, total)
  if part < 2:
    return 0.0
  # A permuted label is its own once in `part`, else any other example's.
  alike = (counts * (counts - 1)).sum() / (total * (total - 1))
  return float(part / total * (1 - 1 / part) * (1 - alike))


def by_image(
  corruption: Corruption, key: jax.Array, examples: Examples
) -> tuple[np.ndarray, np.ndarray]:
  """Returns what `instance` makes of each label, and which are drawn.

  Args:
    corruption: with a level and the option 'exact'.
    key: typed threefry2x32 key, [], the corruption's own.
    examples: the set, with images and statistics.

  Returns:
    int32 [N]; bool [N].
  """
  own, ids = named_key(key, examples.split), examples.ids
  shared = instance_noise.projection(
    named_key(key, "projection"),
    examples.statistics,
    examples.images.shape[1:],
    num_classes=examples.num_classes,
  )
  if corruption.option("exact"):
    drawn = subsets.select(own, ids, corruption.level, exact=True)
  else:
    rates = {"rates": rate_table(corruption.level)}
    drawn = each_example(own, ids, op=instance_noise.rate_drawn, shared=rates)
  targets = each_example(
    own,
    ids,
    examples.labels,
    _scores(examples, shared),
    op=instance_noise.pick_target,
    shared={"gumbel": shared.gumbel},
  )
  return targets, drawn


def by_image_rate(counts: np.ndarray, p: float, exact: bool) -> float:
  """Returns the expected share of labels that `instance` changes.

  Args:
    counts: int [K], the examples of each class.
    p: level in [0, 1].
    exact: whether round(p n) labels are changed.

  >>> by_image_rate(np.array([50, 50]), 0.29, True)
  0.29
  """
  if exact:
    total = int(counts.sum())
    return subsets.exact_count(p, total) / total
  return float(rate_table(p).mean(dtype=np.float64))


_class_scores = jax.jit(instance_noise.class_scores)


def _scores(examples: Examples, shared: instance_noise.Projection):
  """Scores int32 [N, K], by one matrix product a class and a chunk."""
  labels, images = examples.labels, examples.images
  scores = np.empty((len(labels), examples.num_classes), np.int32)
  order = np.argsort(labels, kind="stable")
  size = 2 ** int(np.ceil(np.log2(max(1, len(labels) // examples.num_classes))))
  size = min(size, max(1, 2**24 // max(1, images[0].size)), 2048)
  for label in np.unique(labels):
    mine = order[labels[order] == label]
    for rows in np.split(mine, range(size, len(mine), size)):
      # Whole chunks only, so that one program serves all.
      part = images[np.resize(rows, size)]
      scores[rows] = _class_scores(
        part, shared.weights[label], shared.offsets[label]
      )[: len(rows)]
  return scores

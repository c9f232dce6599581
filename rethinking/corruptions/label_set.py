"""Runs one label corruption over a whole set."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.corruptions import instance_noise, subsets
from rethinking.corruptions import labels as ops
from rethinking.corruptions.description import Corruption
from rethinking.corruptions.keys import example_keys, named_key
from rethinking.corruptions.quantiles import ImageStatistics, rate_table

_OPS = {
  "uniform": ops.uniform,
  "symmetric": ops.symmetric,
  "pair_flip": ops.pair_flip,
  "asymmetric": ops.asymmetric,
}


def corrupt_labels(
  corruption: Corruption,
  key: jax.Array,
  split: str,
  labels: np.ndarray,
  ids: np.ndarray,
  *,
  images: np.ndarray | None,
  statistics: ImageStatistics | None,
  num_classes: int,
) -> tuple[np.ndarray, int | None]:
  """Returns the labels after one corruption; its input is checked already.

  Args:
    corruption: whose target is 'labels', but not 'human'.
    key: typed threefry2x32 key, [], the corruption's own.
    split: folded into the key.
    labels: int32 [N].
    ids: uint32 [N], distinct.
    images: uint8 [N, H, W, C], for 'instance'.
    statistics: of the train images, for 'instance'.
    num_classes: K.

  Returns:
    int32 [N]; how many were drawn, None where nothing is drawn apart.
  """
  name, level = corruption.name, corruption.level
  own = named_key(key, split)
  if name == "transition":
    given = _transition_pass(
      own,
      labels,
      ids,
      matrix=corruption.option("matrix"),
      num_classes=num_classes,
    )
    return np.array(given), None
  if name == "permutation":
    given, drawn = subsets.permutation(own, labels, ids, level)
  else:
    exact = corruption.option("exact")
    count = subsets.exact_count(level, len(ids)) if exact else None
    if name == "instance":
      shared = instance_noise.projection(
        named_key(key, "projection"),
        statistics,
        images.shape[1:],
        num_classes=num_classes,
      )
      given, drawn = _instance_pass(
        own, labels, ids, images, shared, level, count
      )
    else:
      options = tuple(o for o in corruption.options if o[0] != "exact")
      given, drawn = _rate_pass(
        own,
        labels,
        ids,
        level,
        count,
        name=name,
        options=options,
        num_classes=num_classes,
      )
  # Copies: NumPy's views of JAX arrays can't be written to.
  return np.array(given), int(np.asarray(drawn).sum())


@functools.partial(jax.jit, static_argnames=("name", "options", "num_classes"))
def _rate_pass(key, labels, ids, level, count, *, name, options, num_classes):
  """An op at a level, or on an exact count of examples, and who was drawn."""
  op = functools.partial(_OPS[name], num_classes=num_classes, **dict(options))
  keys = example_keys(key, ids)
  if count is None:
    drawn = jax.vmap(ops.drawn, (0, None))(keys, level)
  else:
    drawn = subsets.drawn_exactly(key, ids, count)
  replaced = jax.vmap(lambda k, y: op(k, y, 1.0))(keys, labels)
  return jnp.where(drawn, replaced, labels), drawn


@functools.partial(jax.jit, static_argnames=("matrix", "num_classes"))
def _transition_pass(key, labels, ids, *, matrix, num_classes):
  op = functools.partial(ops.transition, matrix=matrix, num_classes=num_classes)
  return jax.vmap(op)(example_keys(key, ids), labels)


def _instance_pass(key, labels, ids, images, shared, level, count):
  """`instance` over a set, by one matrix product a class and a chunk."""
  scores = np.empty((len(labels), len(shared.offsets)), np.int32)
  order = np.argsort(labels, kind="stable")
  size = 2 ** int(np.ceil(np.log2(max(1, len(labels) // len(shared.offsets)))))
  size = min(size, max(1, 2**24 // max(1, images[0].size)), 2048)
  sorted_labels = labels[order]
  for label in np.unique(labels):
    start, end = np.searchsorted(sorted_labels, [label, label + 1])
    for first in range(start, end, size):
      rows = order[first : min(first + size, end)]
      # Whole chunks only, so that one program serves all.
      part = images[np.resize(rows, size)]
      scores[rows] = _class_scores(
        part, shared.weights[label], shared.offsets[label]
      )[: len(rows)]
  return _instance_pick(
    key, labels, ids, scores, shared.gumbel, rate_table(level), count
  )


_class_scores = jax.jit(instance_noise.class_scores)


@jax.jit
def _instance_pick(key, labels, ids, scores, gumbel, rates, count):
  keys = example_keys(key, ids)
  if count is None:
    drawn = jax.vmap(instance_noise.rate_drawn, (0, None))(keys, rates)
  else:
    drawn = subsets.drawn_exactly(key, ids, count)
  pick = jax.vmap(instance_noise.pick_target, (0, 0, 0, None))
  return jnp.where(drawn, pick(keys, labels, scores, gumbel), labels), drawn

"""Runs one image corruption over a whole set, in chunks."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.corruptions import gaussian, permutations, quantiles, subsets
from rethinking.corruptions import images as ops
from rethinking.corruptions import labels as label_ops
from rethinking.corruptions.description import Corruption
from rethinking.corruptions.keys import example_keys, named_key
from rethinking.corruptions.quantiles import ImageStatistics

# Values a chunk: a few MB of random words and indices at once.
_CHUNK = 2**20


def corrupt_images(
  corruption: Corruption,
  key: jax.Array,
  split: str,
  images: np.ndarray,
  ids: np.ndarray,
  *,
  statistics: ImageStatistics | None,
  out: np.ndarray | None,
) -> tuple[np.ndarray, int, int]:
  """Returns the images after one corruption; its input is checked already.

  Args:
    corruption: whose target is 'images'.
    key: typed threefry2x32 key, [], the corruption's own.
    split: folded into the key, but for a permutation that all images share.
    images: uint8 [N, H, W, C].
    ids: uint32 [N], distinct.
    statistics: of the train images, for 'gaussian_pixels'.
    out: an array to write to, may be `images`; None: a new one.

  Returns:
    uint8 [N, H, W, C]; how many images were drawn; how many changed.
  """
  out = np.empty_like(images) if out is None else out
  own = named_key(key, split)
  drawn = np.asarray(
    _select(
      named_key(own, "fraction"),
      ids,
      corruption.option("fraction"),
      subsets.exact_count(corruption.option("fraction"), len(ids))
      if corruption.option("exact")
      else None,
    )
  )
  shared = _shared(corruption, named_key(key, "shared"), images, statistics)
  pixels = named_key(own, "pixels")
  rows = min(max(1, _CHUNK // images[0].size), len(images))
  changed = 0
  for start in range(0, len(images), rows):
    part = images[start : start + rows]
    # The last chunk is filled up, so that one program serves all.
    take = np.minimum(np.arange(start, start + rows), len(images) - 1)
    full = part if len(part) == rows else images[take]
    done = _corrupt_chunk(corruption, pixels, full, ids[take], shared)
    done = np.where(drawn[take, None, None, None], np.asarray(done), full)[
      : len(part)
    ]
    changed += int((done != part).any(axis=(1, 2, 3)).sum())
    out[start : start + rows] = done
  return out, int(drawn.sum()), changed


@jax.jit
def _select(key, ids, fraction, count):
  if count is None:
    keys = example_keys(key, ids)
    return jax.vmap(label_ops.drawn, (0, None))(keys, fraction)
  return subsets.drawn_exactly(key, ids, count)


def _shared(
  corruption: Corruption,
  key: jax.Array,
  images: np.ndarray,
  statistics: ImageStatistics | None,
) -> Any:
  """What all images share: a permutation, a table, or nothing."""
  name, level = corruption.name, corruption.level
  positions = images.shape[1] * images.shape[2]
  if name == "shuffled_pixels":
    return permutations.random_permutation(key, positions)
  if name == "partial_shuffle" and not corruption.option("per_image"):
    return permutations.partial_permutation(key, positions, level)
  if name == "gaussian_pixels":
    return quantiles.pixel_table(
      statistics, per_channel=corruption.option("per_channel")
    )
  if name == "gaussian_noise":
    return quantiles.noise_table(level)
  return None


def _corrupt_chunk(corruption, key, images, ids, shared):
  name, level, value = corruption.name, None, None
  if name == "random_pixels":
    return _random_pixels(key, images, ids)
  # Only what shapes the program, so that other levels don't compile again.
  if name == "occlusion":
    level, value = corruption.level, corruption.option("value")
  elif name == "partial_shuffle" and shared is None:
    level = corruption.level
  return _chunk(key, images, ids, shared, name=name, level=level, value=value)


@functools.partial(jax.jit, static_argnames=("name", "level", "value"))
def _chunk(key, images, ids, shared, *, name, level, value):
  keys = example_keys(key, ids)
  if name == "occlusion":
    return jax.vmap(lambda k, x: ops.random_occlude(k, x, level, value=value))(
      keys, images
    )
  if name == "partial_shuffle" and shared is None:
    return jax.vmap(lambda k, x: ops.random_partial_shuffle(k, x, level))(
      keys, images
    )
  if name in ("shuffled_pixels", "partial_shuffle"):
    return jax.vmap(ops.shuffle_pixels, (0, None))(images, shared)
  op = {
    "gaussian_pixels": gaussian.random_gaussian_pixels,
    "gaussian_noise": gaussian.random_gaussian_noise,
  }[name]
  return jax.vmap(op, (0, 0, None))(keys, images, shared)


def _random_pixels(key, images, ids):
  """`random_shuffle_pixels` over a chunk, its words sorted by NumPy.

  NumPy sorts rows of words with vector instructions, seven times as fast as
  XLA on a CPU; distinct words have one order, whoever sorts them.
  """
  positions = images.shape[1] * images.shape[2]
  in_order = np.sort(np.asarray(_words(key, ids, positions)), axis=-1)
  return _move(images, in_order)


@functools.partial(jax.jit, static_argnames="positions")
def _words(key, ids, positions):
  return jax.vmap(lambda k: permutations.sortable_words(k, positions))(
    example_keys(key, ids)
  )


@jax.jit
def _move(images, in_order):
  low = jnp.uint32((1 << permutations.position_bits(in_order.shape[1])) - 1)
  return jax.vmap(ops.shuffle_pixels)(
    images, (in_order & low).astype(jnp.int32)
  )

"""Runs one image corruption over a whole set, in chunks."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.corruptions import images as ops
from rethinking.corruptions import permutations, subsets
from rethinking.corruptions.description import Corruption
from rethinking.corruptions.keys import each_example, named_key
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
    split: folded into the key, but for what all images share.
    images: uint8 [N, H, W, C].
    ids: uint32 [N], distinct.
    statistics: of the train images, where the corruption needs them.
    out: an array to write to, may be `images`; None: a new one.

  Returns:
    uint8 [N, H, W, C]; how many images were drawn; how many changed.
  """
  out = np.empty_like(images) if out is None else out
  own = named_key(key, split)
  drawn = subsets.select(
    named_key(own, "fraction"),
    ids,
    corruption.option("fraction"),
    exact=corruption.option("exact"),
  )
  arguments = corruption.arguments
  if corruption.definition.prepare:
    arguments = corruption.definition.prepare(
      named_key(key, "shared"),
      images.shape[1] * images.shape[2],
      statistics,
      **arguments,
    )
  pixels = named_key(own, "pixels")
  rows = min(max(1, _CHUNK // images[0].size), len(images))
  changed = 0
  for start in range(0, len(images), rows):
    part = images[start : start + rows]
    # The last chunk is filled up, so that one program serves all.
    take = np.minimum(np.arange(start, start + rows), len(images) - 1)
    full = part if len(part) == rows else images[take]
    done = _corrupt_chunk(corruption, pixels, full, ids[take], arguments)
    done = np.where(drawn[take, None, None, None], done, full)[: len(part)]
    changed += int((done != part).any(axis=(1, 2, 3)).sum())
    out[start : start + rows] = done
  return out, int(drawn.sum()), changed


def _corrupt_chunk(
  corruption: Corruption,
  key: jax.Array,
  images: np.ndarray,
  ids: np.ndarray,
  arguments: dict[str, Any],
) -> np.ndarray:
  row = corruption.definition
  if row.chunk:
    return np.asarray(row.chunk(key, images, ids))
  # Numbers shape the program; with other arrays it isn't compiled again.
  arrays = {k: v for k, v in arguments.items() if hasattr(v, "shape")}
  static = tuple((k, v) for k, v in arguments.items() if k not in arrays)
  op = _move_alike if "permutation" in arrays else row.op
  return np.asarray(
    each_example(key, ids, images, op=op, shared=arrays, static=static)
  )


def _move_alike(key, image, permutation):
  del key
  return ops.shuffle_pixels(image, permutation)


def shuffle_chunk(
  key: jax.Array, images: np.ndarray, ids: np.ndarray
) -> jax.Array:
  """Returns images after `random_shuffle_pixels`, its words sorted by NumPy.

  NumPy sorts rows of words with vector instructions, seven times as fast as
  XLA on a CPU; distinct words have one order, whoever sorts them.

  Args:
    key: typed threefry2x32 key, [].
    images: uint8 [N, H, W, C].
    ids: uint32 [N].

  Returns:
    uint8 [N, H, W, C].
  """
  static = (("positions", images.shape[1] * images.shape[2]),)
  words = each_example(key, ids, op=permutations.sortable_words, static=static)
  return _move(images, np.sort(np.asarray(words), axis=-1))


@jax.jit
def _move(images, in_order):
  low = jnp.uint32((1 << permutations.position_bits(in_order.shape[1])) - 1)
  return jax.vmap(ops.shuffle_pixels)(
    images, (in_order & low).astype(jnp.int32)
  )

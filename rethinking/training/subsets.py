"""Which examples of a train set a run trains on, and which it leaves out."""

import urllib.parse
import weakref
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from rethinking.corruptions.checks import id_ranks
from rethinking.corruptions.keys import fold_ids
from rethinking.data.dataset import Dataset
from rethinking.memorization.design import design
from rethinking.runtime.errors import UserError
from rethinking.training import state

# Which examples each run of an ensemble trains on, by data set and design.
_MASKS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def rows(config: ConfigDict, train: Dataset) -> tuple[np.ndarray, np.ndarray]:
  """Returns rows to train on and rows left out, in the order of the set.

  Args:
    config: resolved.
    train: the whole train set.

  Returns:
    int32 [N] and [M]: an ensemble's run leaves out what is not in its subset,
    others what they are to do without, or their validation set.

  Raises:
    UserError: for subsets that the set has no examples for.
  """
  ids = train.ids[: config.subset]
  every = np.arange(len(ids), dtype=np.int32)
  if config.member is not None:
    inside = _masks(config, train, len(ids))[config.member]
    return every[inside], every[~inside]
  if config.without:
    names = train.given_ids[: len(ids)]
    wanted = [*map(urllib.parse.unquote, config.without.split("+"))]
    left_out = np.isin(names.astype(str), wanted)
    if left_out.sum() != len(wanted) or left_out.all():
      raise UserError(
        f"without must be some of the {len(ids)} train ids, joined by +, got "
        f"{config.without!r}; try such as {joined(names[:1])}."
      )
    return every[~left_out], every[left_out]
  if not config.validation:
    return every, every[:0]
  key = state.root(config.validation_seed, "validation")
  draws = jax.vmap(lambda own: jax.random.bits(own, (), np.uint32))(
    fold_ids(key, ids)
  )
  order = np.argsort(jax.device_get(draws), kind="stable").astype(np.int32)
  held, kept = np.split(order, [config.validation])
  return np.sort(kept), np.sort(held)


def joined(ids: Iterable[Any]) -> str:
  """Returns what the field `without` is to leave these ids out.

  Args:
    ids: numbers or names.
  """
  # A + in a name would part it in two.
  names = (str(one).replace("%", "%25").replace("+", "%2B") for one in ids)
  return "+".join(names)


def _masks(config: ConfigDict, train: Dataset, count: int) -> np.ndarray:
  """Bool [runs, count]."""
  about = (config.ratio, config.members, config.permutations)
  about += (config.validation_seed,)
  known = _MASKS.setdefault(train, {})
  if (count, *about) not in known:
    try:
      # Which has draws by rank alone: ids of two words are ranks as well.
      ranks = id_ranks(train.ids[:count])
      drawn = design(ranks, train.labels[:count], *about)
    except ValueError as error:
      raise UserError(str(error)) from error
    known[count, *about] = drawn
  return known[count, *about]

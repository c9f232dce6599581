"""Random words: one key an example, integers only.

Everything random in this package is a 32-bit word of `jax.random.bits` under
the threefry2x32 generator, compared or divided as an integer. Float samplers
differ in their last bits between jit and eager and between versions; words
don't.
"""

import functools
import hashlib
import unicodedata
import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.corruptions.checks import (
  check_id_range,
  check_integer,
  check_ordered,
)

IMPLEMENTATION = "threefry2x32"


def root_key(seed: int) -> jax.Array:
  """Returns the root key of a corruption seed.

  Args:
    seed: in [0, 2**32).

  Returns:
    A typed threefry2x32 key, [].

  Raises:
    ValueError: for a seed outside the range, and where JAX is set to other
      words.

  >>> root_key(3).dtype
  key<fry>
  """
  seed = check_integer(seed, "The seed", 0, 2**32 - 1)
  _check_words()
  # As jax.random.key(seed), whatever offset JAX is set to add to seeds.
  return jax.random.wrap_key_data(np.uint32([0, seed]), impl=IMPLEMENTATION)


def named_key(key: jax.Array, *names: str | int) -> jax.Array:
  """Folds names into a key, so that each name has draws of its own.

  Args:
    key: typed key, [].
    *names: strings (by their CRC-32) or integers in [0, 2**32).

  Returns:
    A typed key, [].

  Raises:
    ValueError: for a key that isn't a typed threefry2x32 key, or an integer
      outside the range.

  >>> a, b = (named_key(root_key(0), n) for n in ("train", "test"))
  >>> bool((jax.random.key_data(a) == jax.random.key_data(b)).all())
  False
  """
  check_key(key)
  for name in names:
    if isinstance(name, str):
      data = zlib.crc32(name.encode())
    else:
      data = check_integer(name, "The name", 0, 2**32 - 1)
    key = jax.random.fold_in(key, np.uint32(data))
  return key


def name_ids(names: Sequence[str]) -> np.ndarray:
  """Returns the ids of examples with names: two words each.

  The first 8 bytes of the SHA-256 of the name, UTF-8 in NFC. Never one uint64:
  JAX keeps the low half of it without a word.

  Args:
    names: N strings, distinct.

  Returns:
    uint32 [N, 2].

  Raises:
    ValueError: for what is no string, and a name that comes more than once.

  >>> name_ids(["a.png", "b.png"]).shape
  (2, 2)
  """
  check_ordered(names, "Names")
  if isinstance(names, str):
    raise ValueError(
      f"Names must be a list of strings, got one, {names!r}; try [...]."
    )
  known, words = set(), np.empty((len(names), 2), np.uint32)
  for row, name in enumerate(names):
    if not isinstance(name, str) or not name:
      raise ValueError(
        f"Names must be non-empty strings, got {name!r} at row {row}; try "
        "integer ids."
      )
    name = unicodedata.normalize("NFC", str(name))
    if name in known:
      raise ValueError(
        f"Names must be distinct, got {name!r} more than once; try one an "
        "example."
      )
    known.add(name)
    try:
      digest = hashlib.sha256(name.encode()).digest()
    except UnicodeEncodeError:
      raise ValueError(
        f"Names must be Unicode text, got {name!r} at row {row}; try to rename "
        "its file in UTF-8."
      ) from None
    words[row] = np.frombuffer(digest, ">u4", 2)
  return words


def example_keys(key: jax.Array, ids: jax.Array) -> jax.Array:
  """Returns one key an example, from its id and nothing else.

  The batch form of every op is a `vmap` over these keys, so an example's
  corruption doesn't depend on the batch, shard or order it comes in.

  Args:
    key: typed threefry2x32 key, [].
    ids: [N], or [N, 2] of two words, integers in [0, 2**32), the examples'
      stable ids. One that comes twice gets the same key twice.

  Returns:
    Typed keys, [N].

  Raises:
    ValueError: for a key that isn't a typed threefry2x32 key, or ids that
      aren't integers in the range.

  >>> example_keys(root_key(0), jnp.arange(5)).shape
  (5,)
  """
  check_key(key)
  return fold_ids(key, check_id_range(ids))


def fold_ids(key: jax.Array, ids: jax.Array) -> jax.Array:
  """Folds each example's id into a key, word by word.

  Args:
    key: typed key, [], or one an example, [N].
    ids: uint32 [N], or [N, W] for ids of W words.

  Returns:
    Typed keys, [N].

  >>> fold_ids(root_key(0), np.zeros((5, 2), np.uint32)).shape
  (5,)
  """
  for word in [ids] if ids.ndim == 1 else ids.T:
    key = jax.vmap(jax.random.fold_in, (0 if key.shape else None, 0))(key, word)
  return key


@functools.partial(jax.jit, static_argnames="op")
def each_example(
  key: jax.Array,
  ids: jax.Array,
  *entries: jax.Array,
  op: Callable[..., Any],
  shared: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
  """Runs an op over examples, each with its own key.

  Args:
    key: typed threefry2x32 key, [].
    ids: uint32 [N] or [N, 2].
    *entries: arrays [N, ...], what each example brings.
    op: op(key, *entries, **shared) of one example; hashable, so that the same
      one isn't compiled twice.
    shared: arguments that all examples share.

  Returns:
    What the op returns, stacked, [N, ...].

  >>> each_example(root_key(0), np.arange(5), op=named_key).shape
  (5,)
  """
  one = functools.partial(op, **jax.tree.map(jnp.asarray, dict(shared)))
  return jax.vmap(one)(example_keys(key, ids), *entries)


def check_key(key: jax.Array) -> None:
  """Refuses keys whose words other versions or platforms would not repeat."""
  dtype = getattr(key, "dtype", None)
  typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
  kind = str(jax.random.key_impl(key)) if typed else f"{type(key).__name__}"
  if kind != IMPLEMENTATION:
    raise ValueError(
      f"The key must be a typed threefry2x32 key, got a {kind}; try "
      "root_key(seed), or jax.random.key(seed, impl='threefry2x32')."
    )
  if key.shape:
    raise ValueError(
      f"The key must be one, of shape [], got {list(key.shape)}; try vmap over "
      "example_keys for many examples."
    )
  _check_words()


def _check_words() -> None:
  if not getattr(jax.config, "jax_threefry_partitionable", True):
    raise ValueError(
      "jax_threefry_partitionable must be on, JAX's default since 0.5, got "
      "off, which changes every draw; try without that setting."
    )


def words(key: jax.Array, count: int) -> jax.Array:
  """Returns random 32-bit words.

  Args:
    key: typed threefry2x32 key, [].
    count: how many, static.

  Returns:
    uint32 [count].

  >>> words(root_key(0), 3).dtype
  dtype('uint32')
  """
  check_key(key)
  return jax.random.bits(key, (count,), jnp.uint32)


_two_words = functools.partial(words, count=2)


def example_words(key: jax.Array, ids: np.ndarray) -> np.ndarray:
  """Returns the words of each example that draw it, and what it becomes.

  Args:
    key: typed threefry2x32 key, [].
    ids: uint32 [N] or [N, 2].

  Returns:
    uint32 [N, 2].

  >>> example_words(root_key(0), np.arange(5)).shape
  (5, 2)
  """
  return np.asarray(each_example(key, ids, op=_two_words))


def ranks(key: jax.Array, count: int) -> jax.Array:
  """Returns random 16-bit ranks, indices into a quantile table.

  Args:
    key: typed threefry2x32 key, [].
    count: how many, static.

  Returns:
    int32 [count], in [0, 65536).

  >>> ranks(root_key(0), 5).shape
  (5,)
  """
  pairs = words(key, (count + 1) // 2)
  halves = jnp.stack([pairs & 0xFFFF, pairs >> 16], axis=-1)
  return halves.reshape(-1)[:count].astype(jnp.int32)


def below(word: jax.Array, p: jax.Array | float) -> jax.Array:
  """Returns whether a random word falls into the lowest share p of all words.

  The level is rounded to float32 and compared as an integer,
  word < round(p * 2**32), so 0 never hits, 1 always hits, and a Python number
  and a traced array give the same answer. Its resolution is that of float32
  (six parts in 10**8, far below the binomial error of any data set).

  Args:
    word: uint32 [].
    p: [], in [0, 1]; a traced value outside saturates.

  Returns:
    bool [].

  >>> bool(below(jnp.uint32(2**31 - 1), 0.5)), bool(below(jnp.uint32(0), 0.0))
  (True, False)
  """
  p = jnp.asarray(p).astype(jnp.float32)
  limit = jnp.round(jnp.clip(p, 0, 1) * jnp.float32(2**32))
  inside = jnp.where(p < 1, limit, 0).astype(jnp.uint32)
  return (p >= 1) | (word < inside)

"""Random words and the comparison with a level."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rethinking import corruptions
from rethinking.corruptions import keys


@pytest.mark.parametrize(
  ("word", "p", "hit"),
  [
    (0, 0.0, False),
    (0, 2**-32, True),
    (1, 2**-32, False),
    (2**31 - 1, 0.5, True),
    (2**31, 0.5, False),
    (2**32 - 257, 1 - 2**-24, True),
    (2**32 - 256, 1 - 2**-24, False),
    (2**32 - 1, 1.0, True),
  ],
)
def test_a_level_is_an_exact_threshold(word, p, hit):
  assert bool(keys.below(jnp.uint32(word), p)) is hit
  assert bool(jax.jit(keys.below)(jnp.uint32(word), p)) is hit


def test_words_are_golden():
  """Threefry's words: what every fingerprint rests on."""
  assert keys.words(corruptions.root_key(0), 3).tolist() == [
    4070199207,
    4202968722,
    1427181096,
  ]


def test_keys_follow_ids_not_rows():
  key = corruptions.root_key(0)
  one = jax.random.key_data(corruptions.example_keys(key, jnp.array([5, 9])))
  other = jax.random.key_data(corruptions.example_keys(key, jnp.array([9])))
  np.testing.assert_array_equal(one[1], other[0])


def test_a_large_seed_is_refused():
  with pytest.raises(
    ValueError, match="seed must be an integer in .* got 4294967296;"
  ):
    corruptions.root_key(2**32)


@pytest.mark.parametrize(
  ("ids", "message"),
  [
    ([0.5], "Ids must be integers .* got float64"),
    ([[1]], r"integers of shape \[N\] .* got int64 of shape \[1, 1\]"),
    ([3, -1], "Ids must be in .*, got -1 at row 1"),
    ([2**32], "Ids must be in .*, got 4294967296 at row 0"),
  ],
)
def test_ids_that_do_not_fit_are_refused(ids, message):
  with pytest.raises(ValueError, match=message):
    corruptions.example_keys(corruptions.root_key(0), ids)


def test_names_that_do_not_fit_are_refused():
  with pytest.raises(
    ValueError, match="The name must be an integer in .*, got -1"
  ):
    corruptions.named_key(corruptions.root_key(0), -1)


def test_another_word_layout_is_refused():
  with jax.threefry_partitionable(False):
    with pytest.raises(
      ValueError, match="jax_threefry_partitionable must be on, .* got off"
    ):
      keys.words(corruptions.root_key(0), 2)

"""Image ops, one image at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethinking import corruptions

IMAGE = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
FLAT = jnp.full((40, 50, 1), 128, jnp.uint8)
TABLE = corruptions.pixel_table(
  corruptions.image_statistics(
    np.random.default_rng(0).integers(90, 160, (50, 8, 8, 3)).astype(np.uint8)
  )
)
STOCHASTIC = {
  "random_shuffle_pixels": corruptions.random_shuffle_pixels,
  "random_partial_shuffle": lambda k, x: corruptions.random_partial_shuffle(
    k, x, 0.5
  ),
  "random_gaussian_pixels": lambda k, x: corruptions.random_gaussian_pixels(
    k, x, TABLE
  ),
  "random_gaussian_noise": lambda k, x: corruptions.random_gaussian_noise(
    k, x, corruptions.noise_table(0.1)
  ),
  "random_occlude": lambda k, x: corruptions.random_occlude(k, x, 0.5),
}


@pytest.mark.parametrize("name", STOCHASTIC)
def test_alone_jitted_mapped_and_reordered_are_the_same(name):
  op = STOCHASTIC[name]
  ids = np.array([4, 0, 2**32 - 1, 77], np.uint32)
  images = np.stack([IMAGE, IMAGE + 1, IMAGE + 2, IMAGE + 3])
  keys = corruptions.example_keys(corruptions.root_key(5), ids)
  mapped = np.asarray(jax.vmap(op)(keys, images))
  assert mapped.dtype == np.uint8
  np.testing.assert_array_equal(op(keys[1], images[1]), mapped[1])
  np.testing.assert_array_equal(jax.jit(op)(keys[2], images[2]), mapped[2])
  np.testing.assert_array_equal(
    np.asarray(jax.vmap(op)(keys[::-1], images[::-1])), mapped[::-1]
  )
  devices = jax.pmap(op)(keys, images)
  np.testing.assert_array_equal(devices, mapped)
  assert (mapped != images).any(axis=(1, 2, 3)).all()
  with pytest.raises(ValueError, match="give uint8"):
    op(keys[0], jnp.asarray(images[0], jnp.float32))


def test_shuffling_keeps_pixels_whole():
  moved = np.asarray(
    corruptions.random_shuffle_pixels(corruptions.root_key(0), IMAGE)
  ).reshape(-1, 3)
  before = {tuple(p) for p in IMAGE.reshape(-1, 3).tolist()}
  assert {tuple(p) for p in moved.tolist()} == before


def test_permutations_are_uniform():
  keys = corruptions.example_keys(corruptions.root_key(0), jnp.arange(20_000))
  found = jax.vmap(lambda k: corruptions.random_permutation(k, 5))(keys)
  counts = np.stack([np.bincount(found[:, i], minlength=5) for i in range(5)])
  assert np.abs(counts - 4000).max() < 5 * np.sqrt(20_000 * 0.2 * 0.8)


@settings(max_examples=15, deadline=None)
@given(
  level=st.sampled_from([0.0, 0.1, 0.33, 0.5, 1.0]), seed=st.integers(0, 99)
)
def test_a_partial_permutation_moves_only_its_share(level, seed):
  moved = np.asarray(
    corruptions.partial_permutation(corruptions.root_key(seed), 200, level)
  )
  assert sorted(moved) == list(range(200))
  changed = (moved != np.arange(200)).sum()
  # A permutation of k > 1 positions leaves one in place on average.
  assert max(0, round(200 * level) - 9) <= changed <= round(200 * level)
  if level == 0.5:
    assert changed > 80


def test_partial_positions_nest():
  key = corruptions.root_key(0)
  some, more = (
    np.flatnonzero(
      corruptions.partial_permutation(key, 4096, p) != jnp.arange(4096)
    )
    for p in (0.3, 0.6)
  )
  # All but the few that a permutation leaves in place.
  assert len(np.setdiff1d(some, more)) <= 8


def test_gaussian_pixels_have_the_mean_and_variance_asked_for():
  statistics = corruptions.ImageStatistics(
    100, (12_800,), (100 * (128**2 + 900),)
  )
  table = corruptions.pixel_table(statistics)
  drawn = np.asarray(
    corruptions.random_gaussian_pixels(corruptions.root_key(0), FLAT, table)
  ).astype(float)
  assert abs(drawn.mean() - 128) < 5 * 30 / np.sqrt(2000)
  assert abs(drawn.std() - 30) < 5 * 30 / np.sqrt(4000)


def test_noise_grows_in_place_with_its_level():
  low, high = (
    np.asarray(
      corruptions.random_gaussian_noise(
        corruptions.root_key(0), FLAT, corruptions.noise_table(p)
      )
    ).astype(int)
    - 128
    for p in (0.05, 0.1)
  )
  assert np.abs(high - 2 * low).max() <= 2
  assert abs(high.std() - 25.5) < 2


def test_a_block_lies_inside_and_anywhere():
  keys = corruptions.example_keys(corruptions.root_key(0), jnp.arange(2000))
  blocks = jax.vmap(
    lambda k: corruptions.random_occlude(k, FLAT[:4, :4], 0.5, value=9)
  )(keys)
  hidden = np.asarray(blocks == 9)[..., 0]
  assert (hidden.sum(axis=(1, 2)) == 4).all()
  corners = hidden[:, ::3, ::3].mean(axis=0)
  # Nine places, each corner is covered by one of them.
  assert np.abs(corners - 1 / 9).max() < 5 * np.sqrt(1 / 9 * 8 / 9 / 2000)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 3), (32, 32, 3)])
def test_odd_shapes(shape):
  image = np.arange(np.prod(shape)).astype(np.uint8).reshape(shape)
  moved = corruptions.random_shuffle_pixels(corruptions.root_key(0), image)
  np.testing.assert_array_equal(
    np.sort(np.ravel(moved)), np.sort(image.ravel())
  )


def test_an_image_too_large_is_refused():
  with pytest.raises(ValueError, match="give 1 to 65536"):
    corruptions.random_permutation(corruptions.root_key(0), 2**16 + 1)

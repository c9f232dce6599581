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
PARTIAL = jax.jit(corruptions.partial_permutation, static_argnums=(1, 2))
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
  together = jax.jit(jax.vmap(op))
  mapped = np.asarray(together(keys, images))
  assert mapped.dtype == np.uint8
  np.testing.assert_array_equal(op(keys[1], images[1]), mapped[1])
  np.testing.assert_array_equal(jax.jit(op)(keys[2], images[2]), mapped[2])
  np.testing.assert_array_equal(
    together(keys[::-1], images[::-1]), mapped[::-1]
  )
  devices = jax.pmap(op)(keys, images)
  np.testing.assert_array_equal(devices, mapped)
  scanned = jax.lax.scan(lambda c, x: (c, op(*x)), 0, (keys, images))[1]
  np.testing.assert_array_equal(scanned, mapped)
  assert (mapped != images).any(axis=(1, 2, 3)).all()
  with pytest.raises(ValueError, match="must be uint8"):
    op(keys[0], jnp.asarray(images[0], jnp.float32))


def test_shuffling_keeps_pixels_whole():
  moved = np.asarray(
    corruptions.random_shuffle_pixels(corruptions.root_key(0), IMAGE)
  ).reshape(-1, 3)
  before = {tuple(p) for p in IMAGE.reshape(-1, 3).tolist()}
  assert {tuple(p) for p in moved.tolist()} == before


def test_permutations_are_uniform():
  keys = corruptions.example_keys(corruptions.root_key(0), jnp.arange(20_000))
  found = jax.jit(jax.vmap(lambda k: corruptions.random_permutation(k, 5)))(
    keys
  )
  counts = np.stack([np.bincount(found[:, i], minlength=5) for i in range(5)])
  assert np.abs(counts - 4000).max() < 5 * np.sqrt(20_000 * 0.2 * 0.8)


@settings(max_examples=15, deadline=None)
@given(level=st.sampled_from([0.0, 0.33, 0.5, 1.0]), seed=st.integers(0, 99))
def test_a_partial_permutation_moves_only_its_share(level, seed):
  moved = np.asarray(PARTIAL(corruptions.root_key(seed), 200, level))
  assert sorted(moved) == list(range(200))
  changed = (moved != np.arange(200)).sum()
  # A permutation of k > 1 positions leaves one in place on average.
  assert max(0, round(200 * level) - 9) <= changed <= round(200 * level)
  if level == 0.5:
    assert changed > 80


def test_partial_positions_nest():
  key = corruptions.root_key(0)
  some, more = (
    np.flatnonzero(PARTIAL(key, 4096, p) != np.arange(4096)) for p in (0.3, 0.6)
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
  blocks = jax.jit(
    jax.vmap(
      lambda k: corruptions.random_occlude(k, FLAT[:4, :4], 0.5, value=9)
    )
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


RANKS = np.zeros((8, 6, 3), np.int32)


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda k: corruptions.random_permutation(k, 2**16 + 1), "in 1..65536"),
    (
      lambda k: corruptions.random_permutation(k, 0),
      "positions must be an integer in 1..65536, got 0",
    ),
    (
      lambda k: corruptions.partial_permutation(k, 9, 1.5),
      "level must be .* got 1.5;",
    ),
    (
      lambda k: jax.jit(corruptions.random_partial_shuffle)(k, IMAGE, 0.5),
      "level must be .* got a traced one; try",
    ),
    (
      lambda k: corruptions.shuffle_pixels(IMAGE, np.arange(47)),
      r"integers of shape \[48\], got .* \[47\]",
    ),
    (lambda k: corruptions.shuffle_pixels(IMAGE, np.arange(48.0)), "float64"),
    (
      lambda k: corruptions.shuffle_pixels(IMAGE, np.zeros(48, int)),
      "permutation must have each of 0..47 once, got",
    ),
    (lambda k: corruptions.shuffle_pixels(IMAGE[0], np.arange(6)), "one image"),
    (
      lambda k: corruptions.random_shuffle_pixels(k, [[[1]]]),
      "must be .* got int64 of sh",
    ),
    (
      lambda k: corruptions.look_up_pixels(RANKS - 1, TABLE),
      "ranks must be in 0..65535, got -1",
    ),
    (
      lambda k: corruptions.look_up_pixels(RANKS[0], TABLE),
      r"of shape \[H, W, C\], got \[6, 3\]",
    ),
    (
      lambda k: corruptions.random_gaussian_pixels(k, IMAGE, TABLE[[0, 0]]),
      r"uint8 \[1, 65536\] or \[3, 65536\], got uint8 of shape \[2, 6",
    ),
    (
      lambda k: corruptions.random_gaussian_noise(k, IMAGE, TABLE),
      "table of noise_table must be .* got uint8 of shape",
    ),
    (
      lambda k: corruptions.add_noise(IMAGE, RANKS[:4]),
      "noise must be integers .* got int32 of sh",
    ),
    (
      lambda k: corruptions.add_noise(IMAGE, RANKS * 0.5),
      "noise must be integers .* got float64",
    ),
    (lambda k: occlude(5, 0, 4, 4), "top must be an integer in 0..4, got 5"),
    (lambda k: occlude(0, -1, 4, 4), "left must be an integer in 0..2, got -1"),
    (lambda k: occlude(0, 0, 9, 4), "height must be an integer in 0..8, got 9"),
    (lambda k: occlude(0, 0, 4, 4, value=256), "value must .* got 256"),
    (lambda k: corruptions.random_occlude(k, IMAGE, 2), "level must .* got 2;"),
    (
      lambda k: corruptions.random_occlude(k, IMAGE, 0.5, value=-1),
      "value must be an integer in 0..255, got",
    ),
  ],
)
def test_what_does_not_fit_is_refused(call, message):
  with pytest.raises(ValueError, match=message):
    call(corruptions.root_key(0))


def occlude(top, left, height, width, **value):
  return corruptions.occlude(
    IMAGE, top, left, height=height, width=width, **value
  )


def test_noise_beyond_the_range_clips_and_does_not_wrap():
  noise = np.full(IMAGE.shape, 2**31 - 1, np.int32)
  assert (np.asarray(corruptions.add_noise(IMAGE, noise)) == 255).all()
  assert (np.asarray(corruptions.add_noise(IMAGE, -noise)) == 0).all()

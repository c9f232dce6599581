"""The augmentations against NumPy and what their ranges promise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from rethinking.data import augment, presets
from rethinking.runtime import errors


def example_keys(count, seed=0):
  root = jax.random.key(seed, impl="threefry2x32")
  return jax.vmap(functools.partial(jax.random.fold_in, root))(
    jnp.arange(count, dtype=jnp.uint32)
  )


def batch(op):
  return jax.jit(jax.vmap(op))


def noise(*shape, seed=0):
  return np.random.default_rng(seed).random(shape, np.float32)


# Compiled once and shared: every op is in it.
FIELDS = presets.PRESETS["keras_cifar"] | {"crop": 14, "padding": 2}
everything = batch(augment.create(FIELDS))


@pytest.mark.parametrize("wrap", [lambda op: op, jax.jit])
def test_no_change_gives_the_image_back_to_the_bit(wrap):
  image, key = noise(7, 12, 2), example_keys(1)[0]
  for op in (
    augment.random_affine,
    functools.partial(augment.random_channel_shift, limit=0.0),
    functools.partial(augment.random_brightness, limit=0.0),
  ):
    still = functools.partial(op, key)
    np.testing.assert_array_equal(wrap(still)(image), image, strict=True)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_floats_keep_their_type_and_range(dtype):
  images = jnp.asarray(noise(12, 16, 16, 3), dtype)
  found = everything(example_keys(12), images)
  assert found.dtype == dtype
  assert found.min() >= 0
  assert found.max() <= 1


def assert_uniform(draws, low, high):
  assert draws.min() >= low - 1e-3 * (high - low)
  assert draws.max() <= high + 1e-3 * (high - low)
  uniform = scipy.stats.uniform(low, high - low)
  assert scipy.stats.kstest(draws, uniform.cdf).pvalue > 1e-3


def assert_unrelated(*draws):
  correlations = np.corrcoef(draws) - np.eye(len(draws))
  assert np.abs(correlations).max() < 0.1


def test_affine_draws_are_uniform_and_unrelated():
  # The pixels of a ramp are their own rows and columns, so what is read from it
  # is the point that was read.
  height, width = 31, 21
  ramp = np.stack(np.mgrid[:height, :width], axis=2).astype(np.float32)

  @batch
  def points(key):
    read = augment.random_affine(
      key, ramp, rotation=15.0, shift=0.12, zoom=0.2, shear=10.0
    )
    middle = read[15, 10]
    down, across = (read[19, 10] - middle) / 4, (read[15, 14] - middle) / 4
    return down, across, middle - jnp.array([15.0, 10.0])

  down, across, offset = (np.asarray(x) for x in points(example_keys(2000)))
  # The matrix is R [[1, -sin shear], [0, cos shear]] diag(zoom).
  angle = np.arctan2(down[:, 1], down[:, 0])
  cos, sin = np.cos(angle), np.sin(angle)
  back = np.array([[cos, sin], [-sin, cos]])
  across = np.einsum("ijn,nj->in", back, across)
  offset = np.einsum("ijn,nj->in", back, offset)
  shear = np.arctan2(-across[0], across[1])
  zooms = np.linalg.norm(down, axis=1), np.linalg.norm(across, axis=0)
  assert_uniform(np.rad2deg(angle), -15, 15)
  assert_uniform(np.rad2deg(shear), -10, 10)
  assert_uniform(offset[0], -0.12 * height, 0.12 * height)
  assert_uniform(offset[1], -0.12 * width, 0.12 * width)
  assert_uniform(zooms[0], 0.8, 1.2)
  assert_uniform(zooms[1], 0.8, 1.2)
  assert_unrelated(angle, shear, *offset, *zooms)


@pytest.mark.parametrize(
  ("size", "padding"), [(1, 0), (5, 0), (6, 0), (6, 1), (12, 3)]
)
def test_random_crop_is_a_slice_of_the_padded_image(size, padding):
  image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
  padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
  windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size, 3))
  windows = windows.reshape(-1, size, size, 3)
  crop = functools.partial(
    augment.random_crop, image=image, size=size, padding=padding
  )
  for key in example_keys(5):
    found = np.asarray(crop(key))
    assert found.dtype == np.uint8
    assert (windows == found).all(axis=(1, 2, 3)).any()


@pytest.mark.parametrize("padding", [0, 2])
def test_random_crop_takes_every_place_equally_often(padding):
  # Every pixel differs and none is the padding's 0.
  image = np.arange(1, 65, dtype=np.int32).reshape(8, 8, 1)
  padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
  op = functools.partial(
    augment.random_crop, image=image, size=6, padding=padding
  )
  found = np.asarray(batch(op)(example_keys(5000)))
  places = [
    padded[row : row + 6, column : column + 6]
    for row in range(3 + 2 * padding)
    for column in range(3 + 2 * padding)
  ]
  counts = [(found == place).all(axis=(1, 2, 3)).sum() for place in places]
  assert sum(counts) == 5000
  assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_the_paper_s_crop_is_28_of_32():
  found = jax.eval_shape(
    augment.create("crop"), example_keys(1)[0], noise(32, 32, 3)
  )
  assert found.shape == (28, 28, 3)


def test_random_flip_mirrors_half_of_the_draws():
  image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
  op = functools.partial(augment.random_flip, image=image)
  found = np.asarray(batch(op)(example_keys(4000)))
  same = (found == image).all(axis=(1, 2, 3))
  mirrored = (found == image[:, ::-1]).all(axis=(1, 2, 3))
  assert (same ^ mirrored).all()
  assert scipy.stats.binomtest(int(mirrored.sum()), 4000).pvalue > 1e-3
  assert found.dtype == np.uint8


def test_channel_shift_stays_within_the_image_s_extremes():
  image = (0.2 + 0.6 * noise(5, 5, 3)).astype(np.float32)
  low, high = image.min(), image.max()
  op = functools.partial(augment.random_channel_shift, image=image, limit=0.3)
  shifted = np.asarray(batch(op)(example_keys(20)))
  for found in shifted:
    amount = np.median((found - image)[(found > low) & (found < high)])
    np.testing.assert_allclose(
      found, np.clip(image + amount, low, high), atol=1e-6
    )
  assert (shifted == low).any() and (shifted == high).any()


def test_random_channel_shift_is_one_uniform_amount():
  image = np.array([[[0, 0.5, 0.6], [1, 0.4, 0.3]]], np.float32)
  op = functools.partial(augment.random_channel_shift, image=image, limit=0.1)
  change = np.asarray(batch(op)(example_keys(2000))) - image
  middle = change[:, 0, :, 1:].reshape(2000, 2, 2)
  assert_uniform(middle[:, 0, 0], -0.1, 0.1)
  np.testing.assert_allclose(middle - middle[:, :1, :1], 0, atol=1e-6)


def test_brightness_multiplies_and_clips_to_one():
  image = noise(5, 5, 3)
  image[0, 0, 0] = 0.5
  op = functools.partial(augment.random_brightness, image=image, limit=1.0)
  lit = np.asarray(batch(op)(example_keys(20)))
  for found in lit:
    factor = found[0, 0, 0] / np.float32(0.5)
    np.testing.assert_allclose(found, np.clip(image * factor, 0, 1), rtol=1e-6)
  assert (lit == 1).any() and lit.min() < 0.1


def test_random_brightness_is_a_uniform_factor():
  image = np.full((1, 1, 1), 0.5, np.float32)
  op = functools.partial(augment.random_brightness, image=image, limit=0.1)
  found = np.asarray(batch(op)(example_keys(2000))).ravel()
  assert_uniform(found / 0.5, 0.9, 1.1)


@pytest.mark.parametrize(
  "op",
  [
    functools.partial(augment.random_affine, rotation=15.0),
    functools.partial(augment.random_channel_shift, limit=0.1),
    functools.partial(augment.random_brightness, limit=0.1),
  ],
)
def test_bytes_are_refused_where_they_would_be_wrong(op):
  with pytest.raises(errors.UserError, match="uint8; try image / 255"):
    op(example_keys(1)[0], np.zeros((4, 4, 1), np.uint8))


def test_create_keeps_keras_s_order():
  def by_hand(key, image):
    keys = jax.random.split(key, 5)
    image = augment.random_crop(keys[0], image, size=14, padding=2)
    image = augment.random_affine(
      keys[1], image, rotation=15.0, shift=0.12, zoom=0.1, shear=10.0
    )
    image = augment.random_channel_shift(keys[2], image, limit=0.02516)
    image = augment.random_flip(keys[3], image)
    return augment.random_brightness(keys[4], image, limit=0.1)

  keys, images = example_keys(12), noise(12, 16, 16, 3)
  np.testing.assert_allclose(
    everything(keys, images),
    batch(by_hand)(keys, images),
    atol=1e-6,
  )


def test_switching_an_op_on_leaves_the_other_draws():
  keys, images = example_keys(12), noise(12, 16, 16, 3)
  turned = batch(augment.create(FIELDS | {"flip": False}))(keys, images)
  both = everything(keys, images)
  same = np.isclose(both, turned, atol=1e-6).all(axis=(1, 2, 3))
  mirrored = np.isclose(both, turned[:, :, ::-1], atol=1e-6).all(axis=(1, 2, 3))
  assert (same ^ mirrored).all()
  assert 0 < mirrored.sum() < 12


def test_an_example_s_change_ignores_its_batch():
  keys, images = example_keys(12), noise(12, 16, 16, 3)
  whole = np.asarray(everything(keys, images))
  order = np.random.default_rng(0).permutation(12)
  np.testing.assert_array_equal(
    everything(keys[order], images[order]), whole[order]
  )
  np.testing.assert_allclose(
    everything(keys[3:8], images[3:8]), whole[3:8], atol=1e-5
  )
  other = everything(example_keys(12, seed=1), images)
  assert not np.isclose(whole, other).all(axis=(1, 2, 3)).any()


def test_draws_have_not_drifted():
  """If a change of the draws is intended, put the new numbers here."""
  found = everything(example_keys(12), noise(12, 16, 16, 3))
  np.testing.assert_allclose(
    found[:3].mean(axis=(1, 2, 3)), [0.461577, 0.533151, 0.421522], atol=1e-5
  )

"""The augmentations against SciPy, NumPy and what their ranges promise."""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from hypothesis import strategies as st

from rethinking import augment, errors, image_ops


def example_keys(count, seed=0):
  root = jax.random.key(seed, impl="threefry2x32")
  return jax.vmap(functools.partial(jax.random.fold_in, root))(
    jnp.arange(count, dtype=jnp.uint32)
  )


def batch(op):
  return jax.jit(jax.vmap(op))


def noise(*shape, seed=0):
  return np.random.default_rng(seed).random(shape, np.float32)


def keras_affine(image, angle, shift, zoom, shear):
  """What Keras hands to SciPy, as products of 3 x 3 matrices in float64."""
  cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
  rotate = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
  move = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])
  slant = np.deg2rad(shear)
  slide = np.array([[1, -np.sin(slant), 0], [0, np.cos(slant), 0], [0, 0, 1]])
  scale = np.diag([zoom[0], zoom[1], 1])
  height, width, _ = image.shape
  to_centre = np.eye(3)
  to_centre[:2, 2] = [-(height - 1) / 2, -(width - 1) / 2]
  matrix = np.linalg.inv(to_centre) @ rotate @ move @ slide @ scale @ to_centre
  channels = [
    scipy.ndimage.affine_transform(
      channel, matrix[:2, :2], matrix[:2, 2], order=1, mode="nearest"
    )
    for channel in np.moveaxis(image.astype(np.float64), 2, 0)
  ]
  return np.stack(channels, axis=2)


# Compiled once and shared: every op is in it.
FIELDS = augment.PRESETS["seed_cifar"] | {"crop": 14, "padding": 2}
everything = batch(augment.create(FIELDS))
jitted_affine = jax.jit(image_ops.affine)

# Odd, even, unequal sides, one pixel across.
SHAPES = [(32, 32, 3), (28, 28, 1), (7, 12, 2), (1, 5, 1)]


@hypothesis.settings(deadline=None, max_examples=100, derandomize=True)
@hypothesis.given(
  shape=st.sampled_from(SHAPES),
  angle=st.floats(-180, 180, width=32),
  shift=st.tuples(*[st.floats(-40, 40, width=32)] * 2),
  zoom=st.tuples(*[st.floats(0.125, 4, width=32)] * 2),
  shear=st.floats(-80, 80, width=32),
)
def test_affine_is_scipys(shape, angle, shift, zoom, shear):
  image = noise(*shape)
  found = jitted_affine(image, angle=angle, shift=shift, zoom=zoom, shear=shear)
  expected = keras_affine(image, angle, shift, zoom, shear)
  np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize(
  ("shape", "wrap"),
  [(SHAPES[0], lambda op: op)] + [(shape, jax.jit) for shape in SHAPES],
)
def test_no_change_gives_the_image_back_to_the_bit(shape, wrap):
  image = noise(*shape)
  still = functools.partial(augment.random_affine, example_keys(1)[0])
  for op in (
    image_ops.affine,
    functools.partial(
      image_ops.affine, angle=0.0, shift=(0, 0), zoom=(1, 1), shear=0.0
    ),
    still,
    functools.partial(image_ops.channel_shift, amount=0.0),
    functools.partial(image_ops.brightness, factor=1.0),
  ):
    np.testing.assert_array_equal(wrap(op)(image), image, strict=True)


def test_quarter_and_half_turns_move_whole_pixels():
  image = noise(9, 9, 2)
  np.testing.assert_allclose(
    jitted_affine(image, angle=180.0), image[::-1, ::-1], atol=1e-5
  )
  np.testing.assert_allclose(
    jitted_affine(image, angle=90.0), np.rot90(image, -1), atol=1e-5
  )


def test_whole_shifts_repeat_the_edge():
  image = noise(6, 5, 1)
  rows = np.clip(np.arange(6) + 2, 0, 5)
  columns = np.clip(np.arange(5) - 3, 0, 4)
  np.testing.assert_array_equal(
    jitted_affine(image, shift=(2, -3)), image[rows][:, columns]
  )


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


@hypothesis.settings(deadline=None, max_examples=30, derandomize=True)
@hypothesis.given(st.data())
def test_crop_is_a_slice_of_the_padded_image(data):
  image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
  padding = data.draw(st.integers(0, 3))
  size = data.draw(st.integers(1, 6 + 2 * padding))
  row = data.draw(st.integers(0, 6 + 2 * padding - size))
  column = data.draw(st.integers(0, 9 + 2 * padding - size))
  padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
  np.testing.assert_array_equal(
    image_ops.crop(image, row, column, size=size, padding=padding),
    padded[row : row + size, column : column + size],
    strict=True,
  )


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
  for amount in (-0.3, -0.01, 0.02, 0.9):
    np.testing.assert_allclose(
      image_ops.channel_shift(image, amount),
      np.clip(image + amount, image.min(), image.max()),
      rtol=1e-6,
    )


def test_random_channel_shift_is_one_uniform_amount():
  image = np.array([[[0, 0.5, 0.6], [1, 0.4, 0.3]]], np.float32)
  op = functools.partial(augment.random_channel_shift, image=image, limit=0.1)
  change = np.asarray(batch(op)(example_keys(2000))) - image
  middle = change[:, 0, :, 1:].reshape(2000, 2, 2)
  assert_uniform(middle[:, 0, 0], -0.1, 0.1)
  np.testing.assert_allclose(middle - middle[:, :1, :1], 0, atol=1e-6)


def test_brightness_multiplies_and_clips_to_one():
  image = noise(5, 5, 3)
  for factor in (0.0, 0.9, 1.1, 3.0):
    np.testing.assert_allclose(
      image_ops.brightness(image, factor),
      np.clip(image * np.float32(factor), 0, 1),
      rtol=1e-6,
    )


def test_random_brightness_is_a_uniform_factor():
  image = np.full((1, 1, 1), 0.5, np.float32)
  op = functools.partial(augment.random_brightness, image=image, limit=0.1)
  found = np.asarray(batch(op)(example_keys(2000))).ravel()
  assert_uniform(found / 0.5, 0.9, 1.1)


@pytest.mark.parametrize(
  "op",
  [
    image_ops.affine,
    functools.partial(image_ops.channel_shift, amount=0.1),
    functools.partial(image_ops.brightness, factor=1.1),
  ],
)
def test_bytes_are_refused_where_they_would_be_wrong(op):
  with pytest.raises(errors.UserError, match="uint8.*divide the pixels by 255"):
    op(np.zeros((4, 4, 1), np.uint8))


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


def test_none_is_the_image_of_any_type():
  image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
  for config in ("none", {}, ml_collections.ConfigDict()):
    found = augment.create(config)(example_keys(1)[0], image)
    np.testing.assert_array_equal(found, image, strict=True)


def test_presets_are_the_published_settings():
  on = {
    name: {field: value for field, value in fields.items() if value}
    for name, fields in augment.PRESETS.items()
  }
  assert on == {
    "none": {},
    "crop": {"crop": 28},
    "flip_rotation": {"flip": True, "rotation": 15.0},
    "seed_cifar": {
      "rotation": 15.0,
      "shift": 0.12,
      "zoom": 0.1,
      "shear": 10.0,
      "channel_shift": pytest.approx(0.02516),
      "flip": True,
      "brightness": 0.1,
    },
    "seed_mnist": {"rotation": 18.0, "zoom": 0.2},
  }
  assert len({tuple(fields) for fields in augment.PRESETS.values()}) == 1


@pytest.mark.parametrize(
  "make",
  [ml_collections.ConfigDict, ml_collections.FrozenConfigDict],
)
def test_fields_are_read_from_configs(make):
  key, image = example_keys(1)[0], noise(8, 8, 1)
  config = make(augment.PRESETS["none"] | {"crop": 5})
  np.testing.assert_array_equal(
    augment.create(config)(key, image), augment.create({"crop": 5})(key, image)
  )


@pytest.mark.parametrize(
  ("config", "message"),
  [
    ("foo", r"Unknown augmentation 'foo'; choose one of \['crop', 'flip_rot"),
    (
      {"rotate": 3},
      r"Unknown augmentation field 'rotate'; choose .*'rotation'",
    ),
    (None, "Cannot make an augmentation of None; give one of"),
    ({"rotation": 181}, "rotation=181 makes no sense.*from 0 to 180"),
    ({"rotation": -1.0}, "rotation=-1.0 makes no sense"),
    ({"rotation": float("nan")}, "rotation=nan makes no sense"),
    ({"rotation": "15"}, "rotation='15' makes no sense; give a number"),
    ({"rotation": True}, "rotation=True makes no sense"),
    ({"zoom": -0.1}, "zoom=-0.1 makes no sense; .* at least 0 and below 1"),
    ({"zoom": 1.0}, "zoom=1.0 makes no sense"),
    ({"shift": 4}, "shift=4 makes no sense"),
    ({"shear": 90.0}, "shear=90.0 makes no sense; .* below 90"),
    ({"channel_shift": 25.0}, "channel_shift=25.0 makes no sense.*from 0 to 1"),
    ({"brightness": [0.9, 1.1]}, r"brightness=\[0.9, 1.1\] makes no sense"),
    ({"brightness": 1.5}, "brightness=1.5 makes no sense"),
    ({"flip": 0.5}, "flip=0.5 makes no sense; give True or False"),
    ({"crop": 0}, "crop=0 makes no sense; give a whole number of pixels"),
    ({"crop": 28.5}, "crop=28.5 makes no sense"),
    ({"crop": 28, "padding": -1}, "padding=-1 makes no sense"),
    ({"padding": 4}, "padding=4 without a crop does nothing"),
  ],
)
def test_nonsense_is_refused_in_one_line(config, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    augment.create(config)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  ("side", "fields"),
  [(28, {"crop": 28}), (8, {"crop": 28}), (8, {"crop": 20, "padding": 5})],
)
def test_a_crop_that_cannot_move_is_refused(side, fields):
  key, image = example_keys(1)[0], noise(side, side, 1)
  with pytest.raises(errors.UserError, match="has no room to move"):
    augment.create(fields)(key, image)


@pytest.mark.parametrize(
  "call",
  [
    lambda key, image: augment.random_affine(key, image, zoom=-0.1),
    lambda key, image: augment.random_channel_shift(key, image, limit=-0.1),
    lambda key, image: augment.random_brightness(key, image, limit=2.0),
    lambda key, image: augment.random_crop(key, image, size=-1),
  ],
)
def test_random_ops_refuse_nonsense_themselves(call):
  with pytest.raises(errors.UserError, match="makes no sense"):
    call(example_keys(1)[0], noise(4, 4, 1))

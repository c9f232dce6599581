"""The warp of an image against SciPy."""

import functools

import hypothesis
import jax
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import strategies as st

from rethinking import ops
from rethinking.ops import switch

jitted_affine = jax.jit(ops.affine)


@pytest.fixture
def tpus_form(monkeypatch):
  """Has every op take the form that is for other platforms than this."""
  monkeypatch.setattr(
    switch,
    "choose",
    lambda *operands, fast, plain, on=None, **static: plain(
      *operands, **static
    ),
  )


def noise(*shape):
  return np.random.default_rng(0).random(shape, np.float32)


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
  for op in (
    ops.affine,
    functools.partial(
      ops.affine, angle=0.0, shift=(0, 0), zoom=(1, 1), shear=0.0
    ),
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


@pytest.mark.parametrize("shape", SHAPES)
def test_a_tpus_affine_is_the_others(shape, request):
  images, draws = noise(9, *shape), noise(9, 6) * 2 - 1

  def warp(image, draw):
    return ops.affine(
      image,
      angle=180 * draw[0],
      shift=(9 * draw[1], 9 * draw[2]),
      zoom=(1 + 0.9 * draw[3], 1 + 0.9 * draw[4]),
      shear=60 * draw[5],
    )

  def whole(image, _):
    return ops.affine(image, shift=(3.0, -2.0))

  expected, moved = (jax.jit(jax.vmap(f))(images, draws) for f in (warp, whole))
  request.getfixturevalue("tpus_form")
  found = jax.jit(jax.vmap(lambda *x: warp(*x)))(images, draws)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  found = jax.jit(jax.vmap(lambda *x: whole(*x)))(images, draws)
  np.testing.assert_array_equal(found, moved)


@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_a_tpus_window_is_the_others(kind, request):
  images = (noise(4, 9, 7, 3) * 255).astype(kind)
  rows, columns = np.int32([0, 4, 2, 3]), np.int32([2, 0, 1, 2])

  def cut(image, row, column):
    return ops.window(image, row, column, 5)

  expected = jax.jit(jax.vmap(cut))(images, rows, columns)
  request.getfixturevalue("tpus_form")
  found = jax.jit(jax.vmap(lambda *x: cut(*x)))(images, rows, columns)
  assert found.dtype == kind
  np.testing.assert_array_equal(found, expected)
  for image, row, column, one in zip(images, rows, columns, found, strict=True):
    np.testing.assert_array_equal(
      one, image[row : row + 5, column : column + 5]
    )

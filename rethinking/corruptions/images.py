"""Image noise that moves or hides pixels, one example at a time.

An op without `random_` is deterministic: the permutation or place is its
argument. Its `random_` form draws it from the example's key and calls it.
Images are uint8 [H, W, C]; a pixel moves with its channels. The batch form is
`vmap` over `example_keys(key, ids)`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.corruptions import checks, keys, permutations


def shuffle_pixels(image: jax.Array, permutation: jax.Array) -> jax.Array:
  """Moves pixels: x'[i] = x[permutation[i]], positions i row by row.

  With one permutation for every image, "shuffled pixels".

  Args:
    image: uint8 [H, W, C].
    permutation: int32 [H * W], of 0..H*W-1.

  Returns:
    uint8 [H, W, C], the same pixels.

  Raises:
    ValueError: for an image that isn't uint8 [H, W, C], or what isn't a
      permutation of its positions; traced values pass unseen.

  Reference: Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 2.1,
    "shuffled pixels".

  >>> image = jnp.arange(4, dtype=jnp.uint8).reshape(2, 2, 1)
  >>> shuffle_pixels(image, jnp.array([3, 2, 1, 0])).ravel().tolist()
  [3, 2, 1, 0]
  """
  checks.check_image(image)
  positions = image.shape[0] * image.shape[1]
  pi = checks.check_integers(permutation, "The permutation", (positions,))
  known = not checks.is_traced(pi)
  if known and (np.sort(pi) != np.arange(positions)).any():
    raise ValueError(
      f"The permutation must have each of 0..{positions - 1} once, got "
      f"{np.unique(pi).size} distinct in {pi.min()}..{pi.max()}; try "
      "random_permutation."
    )
  flat = jnp.asarray(image).reshape(-1, image.shape[-1])
  return flat[jnp.asarray(pi)].reshape(image.shape)


def random_shuffle_pixels(key: jax.Array, image: jax.Array) -> jax.Array:
  """Moves all pixels by a uniform permutation, one for each image.

  x'[i] = x[pi[i]], pi = random_permutation(key, H W).

  Args:
    key: the example's key, [].
    image: uint8 [H, W, C], at most 65,536 pixels.

  Returns:
    uint8 [H, W, C], the same pixels.

  Raises:
    ValueError: for an image that isn't uint8 [H, W, C].

  Reference: Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 2.1, "random
    pixels".

  >>> from rethinking import corruptions
  >>> keys = corruptions.example_keys(corruptions.root_key(0), jnp.arange(2))
  >>> images = jnp.arange(32, dtype=jnp.uint8).reshape(2, 4, 4, 1)
  >>> moved = jax.vmap(random_shuffle_pixels)(keys, images)
  >>> sorted(moved[0].ravel().tolist()) == list(range(16))
  True
  """
  checks.check_image(image)
  positions = image.shape[0] * image.shape[1]
  return shuffle_pixels(image, permutations.random_permutation(key, positions))


def random_partial_shuffle(
  key: jax.Array, image: jax.Array, level: float
) -> jax.Array:
  """Permutes a random share of the pixels, drawn for each image.

  x'[i] = x[pi[i]], pi = partial_permutation(key, H W, level).

  Args:
    key: the example's key, [].
    image: uint8 [H, W, C], at most 65,536 pixels.
    level: share of the positions in [0, 1], static.

  Returns:
    uint8 [H, W, C], the same pixels.

  Raises:
    ValueError: for a level outside [0, 1] or traced, or another kind of
      image.

  Reference: between the true images and the "random pixels" of Zhang, Bengio,
    Hardt, Recht, Vinyals (2017), section 2.1.

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> image = jnp.arange(16, dtype=jnp.uint8).reshape(4, 4, 1)
  >>> bool((random_partial_shuffle(key, image, 0.0) == image).all())
  True
  """
  checks.check_image(image)
  positions = image.shape[0] * image.shape[1]
  moved = permutations.partial_permutation(key, positions, level)
  return shuffle_pixels(image, moved)


def shuffle_some(
  key: jax.Array, image: jax.Array, count: jax.Array | int
) -> jax.Array:
  """As `random_partial_shuffle`, of a number of pixels that may be traced.

  Args:
    key: the example's key, [].
    image: uint8 [H, W, C], at most 65,536 pixels.
    count: how many of the pixels move, [].
  """
  positions = image.shape[0] * image.shape[1]
  return shuffle_pixels(image, permutations.permute_some(key, positions, count))


def shuffle_alike(
  key: jax.Array, image: jax.Array, permutation: jax.Array
) -> jax.Array:
  """As `shuffle_pixels`, beside ops that draw from a key."""
  del key
  return shuffle_pixels(image, permutation)


def occlude(
  image: jax.Array,
  top: jax.Array | int,
  left: jax.Array | int,
  *,
  height: int,
  width: int,
  value: int = 0,
) -> jax.Array:
  """Paints a constant block over an image.

  x'[i, j] = value where top <= i < top + height and left <= j < left + width.

  Args:
    image: uint8 [H, W, C].
    top: first row of the block, [], in 0..H-height.
    left: first column of the block, [], in 0..W-width.
    height: rows of the block, in 0..H, static.
    width: columns of the block, in 0..W, static.
    value: the block's, in 0..255, static.

  Returns:
    uint8 [H, W, C].

  Raises:
    ValueError: for an image that isn't uint8 [H, W, C], or a block that
      doesn't lie inside it; a traced place passes unseen.

  Reference: DeVries, Taylor (2017), section 3.

  >>> image = jnp.full((2, 2, 1), 7, jnp.uint8)
  >>> occlude(image, 0, 1, height=1, width=1)[:, :, 0].tolist()
  [[7, 0], [7, 7]]
  """
  checks.check_image(image)
  checks.check_integer(height, "height", 0, image.shape[0])
  checks.check_integer(width, "width", 0, image.shape[1])
  checks.check_integer(value, "value", 0, 255)
  for name, place, most in (
    ("top", top, image.shape[0] - height),
    ("left", left, image.shape[1] - width),
  ):
    if not checks.is_traced(place):
      checks.check_integer(place, name, 0, most)
  return _paint(image, top, left, height, width, value)


def _paint(image, top, left, height, width, value):
  rows = jnp.arange(image.shape[0], dtype=jnp.int32)[:, None, None]
  columns = jnp.arange(image.shape[1], dtype=jnp.int32)[None, :, None]
  inside = (rows >= top) & (rows < top + height)
  inside = inside & (columns >= left) & (columns < left + width)
  return jnp.where(inside, jnp.asarray(value, jnp.uint8), jnp.asarray(image))


def random_occlude(
  key: jax.Array, image: jax.Array, level: float, *, value: int = 0
) -> jax.Array:
  """Paints a constant block at a uniformly drawn place inside the image.

  x'[i, j] = value inside the block, x[i, j] outside. The block is
  round(level H) x round(level W): level squared of the area. A word modulo the
  number of places favours none by more than 2**-32.

  Args:
    key: the example's key, [].
    image: uint8 [H, W, C].
    level: the block's side as a share of the image's, in [0, 1], static.
    value: the block's, in 0..255, static.

  Returns:
    uint8 [H, W, C].

  Raises:
    ValueError: for a level outside [0, 1] or traced, a value outside 0..255,
      or another kind of image.

  Reference: DeVries, Taylor (2017), section 3, without the part of the block
    that lies outside.

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> image = jnp.full((8, 8, 1), 7, jnp.uint8)
  >>> int((random_occlude(key, image, 0.5) == 0).sum())
  16
  """
  checks.check_image(image)
  checks.check_static_rate(level, "level")
  checks.check_integer(value, "value", 0, 255)
  height, width = sides_of(level, image.shape)
  return occlude_somewhere(key, image, height, width, value)


def sides_of(level: float, shape: tuple[int, ...]) -> tuple[int, int]:
  """Returns a block's height and width in an image [H, W, C]."""
  return round(float(level) * shape[0]), round(float(level) * shape[1])


def occlude_somewhere(
  key: jax.Array,
  image: jax.Array,
  height: jax.Array | int,
  width: jax.Array | int,
  value: jax.Array | int,
) -> jax.Array:
  """As `random_occlude`, of a block whose sides may be traced.

  Args:
    key: the example's key, [].
    image: uint8 [H, W, C].
    height: rows of the block, [], in 0..H.
    width: columns of the block, [], in 0..W.
    value: the block's, [], in 0..255.
  """
  places = jnp.stack(
    [image.shape[0] - height + 1, image.shape[1] - width + 1]
  ).astype(jnp.uint32)
  top, left = (keys.words(key, 2) % places).astype(jnp.int32)
  return _paint(image, top, left, height, width, value)

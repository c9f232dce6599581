"""Image noise, one example at a time.

An op without `random_` is deterministic: the permutation, ranks or place are
its arguments. Its `random_` form draws them from the example's key and calls
it. Images are uint8 [H, W, C]; a pixel moves with its channels. The batch
form is `vmap` over `example_keys(key, ids)`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from rethinking.corruptions.checks import check_rate
from rethinking.corruptions.keys import named_key, ranks, words


def check_image(image: jax.Array) -> None:
  """Refuses what isn't one uint8 image; types are known before any tracing."""
  if image.dtype != jnp.uint8 or image.ndim != 3:
    raise ValueError(
      f"The image is {image.dtype} of shape {list(image.shape)}; give uint8 "
      "[H, W, C], one image."
    )


def position_bits(positions: int) -> int:
  """Returns how many low bits of a word hold a position.

  >>> position_bits(1024), position_bits(64), position_bits(1)
  (10, 6, 0)
  """
  if not 0 < positions <= 2**16:
    raise ValueError(
      f"An image has {positions} positions; give 1 to 65536 (256 x 256)."
    )
  return (positions - 1).bit_length()


def sortable_words(key: jax.Array, positions: int) -> jax.Array:
  """Returns distinct words whose order is a random permutation.

  A random word's low bits are replaced by its position. Two positions whose
  high bits agree stay in order: for 1,024 positions and 22 high bits that is
  one pair of four million, on average an eighth of a pair an image.

  Args:
    key: the example's key, [].
    positions: how many, in 1..65536, static.

  Returns:
    uint32 [positions], distinct; the low bits hold the position.

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> (sortable_words(key, 4) % 4).tolist()
  [0, 1, 2, 3]
  """
  low = jnp.uint32((1 << position_bits(positions)) - 1)
  return (words(key, positions) & ~low) | jnp.arange(
    positions, dtype=jnp.uint32
  )


def random_permutation(key: jax.Array, positions: int) -> jax.Array:
  """Returns a uniform random permutation.

  Sorts random words that carry their position in their low bits.

  Args:
    key: typed key, [].
    positions: how many, in 1..65536, static.

  Returns:
    int32 [positions].

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> sorted(random_permutation(key, 5).tolist())
  [0, 1, 2, 3, 4]
  """
  low = jnp.uint32((1 << position_bits(positions)) - 1)
  in_order = jnp.sort(sortable_words(key, positions))
  return (in_order & low).astype(jnp.int32)


def partial_permutation(
  key: jax.Array, positions: int, level: float
) -> jax.Array:
  """Returns a uniform permutation of a random share of the positions.

  round(level n) positions are drawn without replacement and permuted among
  themselves; the others stay. The drawn positions nest in the level, their
  permutations don't. One of them stays put on average, as in any permutation.

  Args:
    key: typed key, [].
    positions: how many, in 1..65536, static.
    level: share in [0, 1], static.

  Returns:
    int32 [positions].

  Raises:
    ValueError: for a level outside [0, 1].

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> moved = partial_permutation(key, 100, 0.2) != jnp.arange(100)
  >>> 2 <= int(moved.sum()) <= 20
  True
  """
  check_rate(level, "level")
  count = round(level * positions)
  drawn = random_permutation(named_key(key, 0), positions)[:count]
  order = random_permutation(named_key(key, 1), positions)
  # The drawn positions in the order of an independent permutation.
  inside = jnp.zeros(positions, bool).at[drawn].set(True)
  shuffled = order[jnp.argsort(~inside[order], stable=True)][:count]
  return jnp.arange(positions, dtype=jnp.int32).at[drawn].set(shuffled)


def shuffle_pixels(image: jax.Array, permutation: jax.Array) -> jax.Array:
  """Moves pixels: position i of the result shows position permutation[i].

  With one permutation for every image, "shuffled pixels".

  Args:
    image: uint8 [H, W, C].
    permutation: int32 [H * W], of 0..H*W-1, row by row.

  Returns:
    uint8 [H, W, C].

  Raises:
    ValueError: for an image that isn't uint8 [H, W, C].

  Reference: Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 2.1,
    "shuffled pixels".

  >>> image = jnp.arange(4, dtype=jnp.uint8).reshape(2, 2, 1)
  >>> shuffle_pixels(image, jnp.array([3, 2, 1, 0])).ravel().tolist()
  [3, 2, 1, 0]
  """
  check_image(image)
  flat = image.reshape(-1, image.shape[-1])
  return flat[permutation].reshape(image.shape)


def random_shuffle_pixels(key: jax.Array, image: jax.Array) -> jax.Array:
  """Moves all pixels by a uniform permutation, one for each image.

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
  check_image(image)
  permutation = random_permutation(key, image.shape[0] * image.shape[1])
  return shuffle_pixels(image, permutation)


def random_partial_shuffle(
  key: jax.Array, image: jax.Array, level: float
) -> jax.Array:
  """Permutes a random share of the pixels, drawn for each image.

  Args:
    key: the example's key, [].
    image: uint8 [H, W, C], at most 65,536 pixels.
    level: share of the positions in [0, 1], static.

  Returns:
    uint8 [H, W, C], the same pixels.

  Raises:
    ValueError: for a level outside [0, 1] or another kind of image.

  Reference: between the true images and the "random pixels" of Zhang, Bengio,
    Hardt, Recht, Vinyals (2017), section 2.1.

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> image = jnp.arange(16, dtype=jnp.uint8).reshape(4, 4, 1)
  >>> bool((random_partial_shuffle(key, image, 0.0) == image).all())
  True
  """
  check_image(image)
  positions = image.shape[0] * image.shape[1]
  return shuffle_pixels(image, partial_permutation(key, positions, level))


def look_up_pixels(ranks: jax.Array, table: jax.Array) -> jax.Array:
  """Makes an image of the quantiles that its values' ranks name.

  Args:
    ranks: int32 [H, W, C], in 0..65535.
    table: uint8 [C, 65536] or [1, 65536], from `pixel_table`.

  Returns:
    uint8 [H, W, C], table[c, rank].

  >>> table = jnp.arange(65536).astype(jnp.uint8)[None]
  >>> look_up_pixels(jnp.array([[[3]]]), table).tolist()
  [[[3]]]
  """
  rows, size = table.shape
  first = (jnp.arange(ranks.shape[-1]) % rows * size).astype(jnp.int32)
  return table.reshape(-1)[ranks + first[None, None, :]]


def random_gaussian_pixels(
  key: jax.Array, image: jax.Array, table: jax.Array
) -> jax.Array:
  """Replaces every value by a Gaussian draw, x = clip(round(mean + std z)).

  All values are independent; nothing of the image is left but its shape.

  Args:
    key: the example's key, [].
    image: uint8 [H, W, C].
    table: uint8 [C, 65536] or [1, 65536], from `pixel_table`.

  Returns:
    uint8 [H, W, C].

  Raises:
    ValueError: for an image that isn't uint8 [H, W, C].

  Reference: Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 2.1,
    "Gaussian".

  >>> import numpy as np
  >>> from rethinking import corruptions
  >>> image = jnp.full((8, 8, 3), 100, jnp.uint8)
  >>> same = corruptions.image_statistics(np.asarray(image)[None])
  >>> table = corruptions.pixel_table(same)
  >>> key = corruptions.root_key(0)
  >>> bool((random_gaussian_pixels(key, image, table) == 100).all())
  True
  """
  check_image(image)
  drawn = ranks(key, image.size).reshape(image.shape)
  return look_up_pixels(drawn, jnp.asarray(table))


def add_noise(image: jax.Array, noise: jax.Array) -> jax.Array:
  """Adds noise to an image and clips to 0..255.

  Args:
    image: uint8 [H, W, C].
    noise: int32 [H, W, C].

  Returns:
    uint8 [H, W, C].

  >>> add_noise(jnp.uint8([[[250]]]), jnp.array([[[9]]])).tolist()
  [[[255]]]
  """
  check_image(image)
  return jnp.clip(image.astype(jnp.int32) + noise, 0, 255).astype(jnp.uint8)


def random_gaussian_noise(
  key: jax.Array, image: jax.Array, table: jax.Array
) -> jax.Array:
  """Adds independent Gaussian noise, x' = clip(x + round(255 level z)).

  The same z at every level: noise grows with the level, in place.

  Args:
    key: the example's key, [].
    image: uint8 [H, W, C].
    table: int32 [65536], from `noise_table(level)`.

  Returns:
    uint8 [H, W, C].

  Raises:
    ValueError: for an image that isn't uint8 [H, W, C].

  Reference: Hendrycks, Dietterich (2019), section 3.1, "Gaussian noise".

  >>> from rethinking import corruptions
  >>> image = jnp.full((2, 2, 1), 100, jnp.uint8)
  >>> table = corruptions.noise_table(0.0)
  >>> random_gaussian_noise(corruptions.root_key(0), image, table)[0, 0]
  Array([100], dtype=uint8)
  """
  check_image(image)
  drawn = ranks(key, image.size).reshape(image.shape)
  return add_noise(image, jnp.asarray(table)[drawn])


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

  Args:
    image: uint8 [H, W, C].
    top: first row of the block, [], in 0..H-height.
    left: first column of the block, [], in 0..W-width.
    height: rows of the block, in 0..H, static.
    width: columns of the block, in 0..W, static.
    value: the block's, in 0..255.

  Returns:
    uint8 [H, W, C].

  >>> image = jnp.full((2, 2, 1), 7, jnp.uint8)
  >>> occlude(image, 0, 1, height=1, width=1)[:, :, 0].tolist()
  [[7, 0], [7, 7]]
  """
  check_image(image)
  rows = jnp.arange(image.shape[0])[:, None, None]
  columns = jnp.arange(image.shape[1])[None, :, None]
  inside = (rows >= top) & (rows < top + height)
  inside = inside & (columns >= left) & (columns < left + width)
  return jnp.where(inside, jnp.uint8(value), image)


def random_occlude(
  key: jax.Array, image: jax.Array, level: float, *, value: int = 0
) -> jax.Array:
  """Paints a constant block at a uniformly drawn place inside the image.

  The block is round(level H) x round(level W): level squared of the area. A
  word modulo the number of places favours none by more than 2**-32.

  Args:
    key: the example's key, [].
    image: uint8 [H, W, C].
    level: the block's side as a share of the image's, in [0, 1], static.
    value: the block's, in 0..255.

  Returns:
    uint8 [H, W, C].

  Raises:
    ValueError: for a level outside [0, 1] or another kind of image.

  Reference: DeVries, Taylor (2017), section 3, without the part of the block
    that lies outside.

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> image = jnp.full((8, 8, 1), 7, jnp.uint8)
  >>> int((random_occlude(key, image, 0.5) == 0).sum())
  16
  """
  check_image(image)
  check_rate(level, "level")
  height, width = (round(level * side) for side in image.shape[:2])
  places = jnp.array(
    [image.shape[0] - height + 1, image.shape[1] - width + 1], jnp.uint32
  )
  top, left = (words(key, 2) % places).astype(jnp.int32)
  return occlude(image, top, left, height=height, width=width, value=value)

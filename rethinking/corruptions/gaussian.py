"""Image noise of Gaussian values, one example at a time, from tables.

`look_up_pixels` and `add_noise` are deterministic: ranks and noise are their
arguments. Their `random_` forms draw them from the example's key. Images are
uint8 [H, W, C]. The batch form is `vmap` over `example_keys(key, ids)`.
"""

import jax
import jax.numpy as jnp

from rethinking.corruptions import checks
from rethinking.corruptions.keys import ranks
from rethinking.corruptions.quantiles import SIZE


def look_up_pixels(ranks: jax.Array, table: jax.Array) -> jax.Array:
  """Makes an image of the quantiles that its values' ranks name.

  x'[i, j, c] = table[c, ranks[i, j, c]].

  Args:
    ranks: int32 [H, W, C], in 0..65535.
    table: uint8 [C, 65536] or [1, 65536], from `pixel_table`.

  Returns:
    uint8 [H, W, C].

  Raises:
    ValueError: for ranks or a table of another type, shape or range; traced
      values pass unseen.

  Reference: Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 2.1,
    "Gaussian"; inverse transform sampling, Devroye (1986), section 2.2.

  >>> table = jnp.arange(65536).astype(jnp.uint8)[None]
  >>> look_up_pixels(jnp.array([[[3]]]), table).tolist()
  [[[3]]]
  """
  if len(ranks.shape) != 3:
    raise ValueError(
      f"The ranks must be of shape [H, W, C], got {list(ranks.shape)}; try one "
      "image's."
    )
  ranks = checks.check_integers(ranks, "The ranks", ranks.shape)
  if not checks.is_traced(ranks):
    outside = ranks[(ranks < 0) | (ranks >= SIZE)]
    if outside.size:
      raise ValueError(
        f"The ranks must be in 0..{SIZE - 1}, got {outside[0]}; try others."
      )
  channels = ranks.shape[-1]
  shapes = ((1, SIZE), (channels, SIZE))
  if table.dtype != jnp.uint8 or table.shape not in shapes:
    raise ValueError(
      f"The table must be uint8 [1, {SIZE}] or [{channels}, {SIZE}], got "
      f"{table.dtype} of shape {list(table.shape)}; try pixel_table."
    )
  rows, size = table.shape
  first = (jnp.arange(channels) % rows * size).astype(jnp.int32)
  return jnp.asarray(table).reshape(-1)[ranks + first[None, None, :]]


def random_gaussian_pixels(
  key: jax.Array, image: jax.Array, table: jax.Array
) -> jax.Array:
  """Replaces every value by a Gaussian draw.

  x' = clip(round(mean + std z), 0, 255), z ~ N(0, 1), the nearest of 65,536
  quantiles. All values are independent; nothing of the image is left but its
  shape.

  Args:
    key: the example's key, [].
    image: uint8 [H, W, C].
    table: uint8 [C, 65536] or [1, 65536], from `pixel_table`.

  Returns:
    uint8 [H, W, C].

  Raises:
    ValueError: for an image that isn't uint8 [H, W, C], or another table.

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
  checks.check_image(image)
  drawn = ranks(key, image.size).reshape(image.shape)
  return look_up_pixels(drawn, table)


def add_noise(image: jax.Array, noise: jax.Array) -> jax.Array:
  """Adds noise to an image, x' = clip(x + noise, 0, 255).

  Args:
    image: uint8 [H, W, C].
    noise: int32 [H, W, C], any values.

  Returns:
    uint8 [H, W, C].

  Raises:
    ValueError: for an image that isn't uint8 [H, W, C], or noise that isn't
      integers of its shape.

  Reference: Hendrycks, Dietterich (2019), section 3.1, "Gaussian noise".

  >>> add_noise(jnp.uint8([[[250]]]), jnp.array([[[9]]])).tolist()
  [[[255]]]
  """
  checks.check_image(image)
  noise = checks.check_integers(noise, "The noise", image.shape)
  # More than a full range clips anyway, and could overflow.
  noise = jnp.clip(jnp.asarray(noise), -255, 255).astype(jnp.int32)
  x = jnp.asarray(image).astype(jnp.int32)
  return jnp.clip(x + noise, 0, 255).astype(jnp.uint8)


def random_gaussian_noise(
  key: jax.Array, image: jax.Array, table: jax.Array
) -> jax.Array:
  """Adds independent Gaussian noise to every value.

  x' = clip(x + round(255 level z), 0, 255), z ~ N(0, 1). The same z at every
  level: noise grows with the level, in place.

  Args:
    key: the example's key, [].
    image: uint8 [H, W, C].
    table: int32 [65536], from `noise_table(level)`.

  Returns:
    uint8 [H, W, C].

  Raises:
    ValueError: for an image that isn't uint8 [H, W, C], or another table.

  Reference: Hendrycks, Dietterich (2019), section 3.1, "Gaussian noise".

  >>> from rethinking import corruptions
  >>> image = jnp.full((2, 2, 1), 100, jnp.uint8)
  >>> table = corruptions.noise_table(0.0)
  >>> random_gaussian_noise(corruptions.root_key(0), image, table)[0, 0]
  Array([100], dtype=uint8)
  """
  checks.check_image(image)
  table = checks.check_integers(table, "The table of noise_table", (SIZE,))
  drawn = ranks(key, image.size).reshape(image.shape)
  return add_noise(image, jnp.asarray(table)[drawn])

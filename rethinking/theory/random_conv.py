"""Random convolutional features: whitened random patches as filters."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.runtime import errors
from rethinking.theory import cholesky
from rethinking.theory.features import Features, in_batches

# Patches that the whitening is estimated from.
_PATCHES = 100_000
# Filters computed at a time.
_BLOCK = 256


def _patches(images: jax.Array, side: int, stride: int) -> jax.Array:
  """All patches: `[N, H, W, C]` to `[N, h, w, side side C]`."""
  height = images.shape[1] - side + 1
  width = images.shape[2] - side + 1
  return jnp.concatenate(
    [
      images[:, i : i + height : stride, j : j + width : stride]
      for i in range(side)
      for j in range(side)
    ],
    -1,
  )


def _normalise(patches: jax.Array) -> jax.Array:
  """Contrast normalisation with Coates and Ng's constant, 10 of 255^2."""
  centred = patches - patches.mean(-1, keepdims=True)
  variance = jnp.mean(centred**2, -1, keepdims=True)
  return centred / jnp.sqrt(variance + 10 / 255**2)


def random_filters(
  key: jax.Array, images: np.ndarray, *, filters: int, side: int
) -> tuple[np.ndarray, np.ndarray]:
  """Whitening of patches, and filters that are random whitened patches.

  Args:
    key: typed key; the same key gives the same first filters for any count.
    images: uint8 `[N, H, W, C]`.
    filters: number of filters, >= 1.
    side: patch side, pixels.

  Returns:
    Projection float32 `[side side C, filters]`, to apply to contrast-
    normalised patches, and the patches' mean response `[filters]`.

  Reference:
    Coates, Ng (2012), "Learning feature representations with k-means",
    section 2; Saxe et al. (2011), "On random weights and unsupervised feature
    learning", section 2.
  """
  windows = np.lib.stride_tricks.sliding_window_view(
    images, (side, side), axis=(1, 2)
  )

  def draw(purpose: int, count: int) -> np.ndarray:
    k = jax.random.fold_in(key, purpose)
    bits = jax.random.bits(k, (3, max(count, _PATCHES)), jnp.uint32)
    limits = np.array(windows.shape[:3])
    at = np.asarray(bits) % limits[:, None].astype(np.uint32)
    # [count, C, side, side], channels last in a patch.
    cut = windows[tuple(at[:, :count])].transpose(0, 2, 3, 1)
    flat = cut.reshape(count, -1).astype(np.float32) / np.float32(255)
    return np.asarray(_normalise(jnp.asarray(flat)), np.float64)

  sample = draw(0, _PATCHES)
  mean = sample.mean(0)
  values, vectors = np.linalg.eigh(np.cov(sample, rowvar=False))
  # Directions that hardly vary hold compression noise: damp, do not amplify.
  whitening = (vectors / np.sqrt(np.maximum(values, 0) + 0.1)) @ vectors.T
  chosen = (draw(1, filters) - mean) @ whitening
  chosen /= np.maximum(np.linalg.norm(chosen, axis=1, keepdims=True), 1e-12)
  projection = whitening @ chosen.T
  return projection.astype(np.float32), (mean @ projection).astype(np.float32)


def _cells(height: int, width: int, grid: int) -> np.ndarray:
  """Means over the pooling cells as a matrix, `[grid grid, height width]`."""
  rows, columns = (
    np.stack(
      [
        np.isin(np.arange(length), part) / len(part)
        for part in np.array_split(np.arange(length), grid)
      ]
    )
    for length in (height, width)
  )
  return np.kron(rows, columns).astype(np.float32)


def random_conv(
  key: jax.Array,
  images: np.ndarray,
  *,
  filters: int,
  patch: int,
  stride: int,
  grid: int,
  threshold: float,
) -> Features:
  """A convolution with random filters, rectified both ways and pooled.

  For each filter w and each of grid x grid cells, the means over the cell of
  `max(s - t, 0)` and `max(-s - t, 0)`, where s is the response of w to the
  contrast-normalised, whitened patch at each position and t the threshold.

  Args:
    key: typed key of the filters.
    images: the train set, uint8 `[N, H, W, C]`; the whitening is its own.
    filters: number of filters, >= 1; each gives `2 grid^2` columns.
    patch: side of a filter, pixels.
    stride: pixels between patches.
    grid: pooling cells along each axis.
    threshold: t, in units of a whitened patch's response to a unit filter.

  Returns:
    One block for each 256 filters.

  Raises:
    UserError: the patch does not fit the image.

  Reference:
    Coates, Ng (2012), section 3; Zhang et al. (2017), section 5, with 32,000
    filters whose settings were not published.
  """
  if patch > min(images.shape[1:3]):
    raise errors.UserError(
      f"patch must be at most {min(images.shape[1:3])}, as the images are "
      f"{images.shape[1]} x {images.shape[2]}, got {patch}; try 4."
    )
  projection, offset = random_filters(key, images, filters=filters, side=patch)
  spans = cholesky.spans(filters, _BLOCK)

  widths = tuple(2 * grid * grid * (s.stop - s.start) for s in spans)
  product = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
  on_cpu = jax.default_backend() == "cpu"

  @jax.jit
  def batch(images: jax.Array, weights: jax.Array, shift: jax.Array):
    def one(image: jax.Array) -> jax.Array:
      x = image[None].astype(jnp.float32) / 255
      p = _normalise(_patches(x, patch, stride))[0]
      height, width, size = p.shape
      response = product(p.reshape(-1, size), weights) - shift[None]
      means = jnp.asarray(_cells(height, width, grid))
      signs = [
        product(means, jnp.maximum(s - jnp.float32(threshold), 0))
        for s in (response, -response)
      ]
      return jnp.stack(signs, 1).reshape(-1)

    # The responses of one image stay in a CPU's cache.
    return jax.lax.map(one, images) if on_cpu else jax.vmap(one)(images)

  def block(k: int, images: np.ndarray) -> np.ndarray:
    cut = spans[k]
    weights, shift = jnp.asarray(projection[:, cut]), jnp.asarray(offset[cut])
    return in_batches(
      lambda part: batch(part, weights, shift), images, widths[k], 64
    )

  return Features(widths, block)

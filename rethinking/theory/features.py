"""Feature maps for kernel fits: raw pixels, Gabor wavelets, random filters.

A map is cut into blocks of columns that are computed one at a time, so that a
map of any width can be summed into a Gram matrix without being held.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from rethinking import errors

_PATCHES = 100_000
_HIGHEST = jax.lax.Precision.HIGHEST


@dataclasses.dataclass(frozen=True)
class Features:
  """A feature map fitted to a train set.

  Attributes:
    widths: columns of each block.
    block: `block(k, images)` takes uint8 `[N, H, W, C]` to float32
      `[N, widths[k]]`.
  """

  widths: tuple[int, ...]
  block: Callable[[int, np.ndarray], np.ndarray]

  @property
  def width(self) -> int:
    """Columns over all blocks."""
    return sum(self.widths)


def raw(shape: tuple[int, int, int]) -> Features:
  """Pixels in [0, 1]: `x / 255`, flattened.

  Args:
    shape: `[H, W, C]` of an image.

  Returns:
    One block of `H W C` columns.
  """

  def block(k: int, images: np.ndarray) -> np.ndarray:
    del k
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)

  return Features((int(np.prod(shape)),), block)


def gabor_bank(
  scales: int, orientations: int, wavelength: float
) -> tuple[np.ndarray, ...]:
  """Complex Gabor wavelets, one array per scale.

  `exp(-(u^2 + v^2) / 2 s^2) exp(2 pi i u / l)` minus its mean under the
  Gaussian, with u along the orientation, wavelength `l = wavelength 2^k` at
  scale k and `s = l / 2`; scaled to unit 1-norm.

  Args:
    scales: octaves, >= 1.
    orientations: angles in [0, pi), >= 1.
    wavelength: the shortest, pixels, > 2.

  Returns:
    Per scale, complex64 `[side, side, orientations]`, side odd.

  Reference:
    Daugman (1985), "Uncertainty relation for resolution in space, spatial
    frequency, and orientation", section 2.
  """
  banks = []
  for k in range(scales):
    length = wavelength * 2**k
    deviation = length / 2
    radius = int(np.ceil(2 * deviation))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(float)
    envelope = np.exp(-(x**2 + y**2) / (2 * deviation**2))
    filters = []
    for angle in np.pi * np.arange(orientations) / orientations:
      along = x * np.cos(angle) + y * np.sin(angle)
      wave = np.exp(2j * np.pi * along / length)
      wave = envelope * (wave - (envelope * wave).sum() / envelope.sum())
      filters.append(wave / np.abs(wave).sum())
    banks.append(np.stack(filters, -1).astype(np.complex64))
  return tuple(banks)


def _operators(
  bank: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
  """Zero-padded filtering as matrices: `[H W, H W F]`, real and imaginary.

  One dense product per scale: for images this small it is more than ten times
  as fast on a CPU as the convolution.
  """
  radius = len(bank) // 2
  out = np.zeros((height, width, height, width, bank.shape[-1]), np.complex64)
  for y in range(height):
    for x in range(width):
      top, left = max(y - radius, 0), max(x - radius, 0)
      cut = bank[
        top - y + radius : height - y + radius,
        left - x + radius : width - x + radius,
      ]
      out[top : top + len(cut), left : left + cut.shape[1], y, x] = cut
  flat = out.reshape(height * width, -1)
  return flat.real.copy(), flat.imag.copy()


def _windows(length: int, pool: int) -> np.ndarray:
  """Overlapping means along an axis, `[length, ceil(length / pool)]`."""
  starts = np.arange(0, length, pool) - pool // 2
  position = np.arange(length)[:, None]
  inside = (position >= starts) & (position < starts + 2 * pool)
  return (inside / inside.sum(0)).astype(np.float32)


@jax.jit
def _gabor_batch(
  images: jax.Array,
  operators: tuple[tuple[jax.Array, jax.Array], ...],
  rows: jax.Array,
  columns: jax.Array,
) -> jax.Array:
  n, height, width, channels = images.shape
  x = images.astype(jnp.float32) / 255
  x = x.transpose(0, 3, 1, 2).reshape(n * channels, height * width)
  parts = []
  for real, imaginary in operators:
    squares = (
      jnp.matmul(x, real, precision=_HIGHEST) ** 2
      + jnp.matmul(x, imaginary, precision=_HIGHEST) ** 2
    )
    size = jnp.sqrt(squares).reshape(n * channels, height, width, -1)
    # Windows overlap by half: a shift of a pixel or two changes them little.
    size = jnp.einsum("nhwf,hr,wc->nrcf", size, rows, columns)
    parts.append(size.reshape(n, -1))
  return jnp.concatenate(parts, 1)


def gabor(
  shape: tuple[int, int, int],
  *,
  scales: int,
  orientations: int,
  wavelength: float,
  pool: int,
) -> Features:
  """Magnitudes of Gabor wavelet responses, averaged over windows.

  Args:
    shape: `[H, W, C]`; the channels are filtered one by one.
    scales: octaves, >= 1.
    orientations: angles in [0, pi), >= 1.
    wavelength: the shortest, pixels, > 2.
    pool: pixels between windows, which are 2 pool wide.

  Returns:
    One block.

  Reference:
    Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 5; its wavelets were
    not published, so these settings are this project's.
  """
  height, across, _ = shape
  operators = tuple(
    tuple(jnp.asarray(part) for part in _operators(bank, height, across))
    for bank in gabor_bank(scales, orientations, wavelength)
  )
  rows, columns = (jnp.asarray(_windows(k, pool)) for k in (height, across))

  def batch(images: np.ndarray) -> jax.Array:
    return _gabor_batch(images, operators, rows, columns)

  width = jax.eval_shape(batch, np.zeros((1, *shape), np.uint8)).shape[1]

  def block(k: int, images: np.ndarray) -> np.ndarray:
    del k
    return _in_batches(batch, images, width, 200)

  return Features((width,), block)


def _in_batches(
  function: Callable[[np.ndarray], jax.Array],
  images: np.ndarray,
  width: int,
  size: int,
) -> np.ndarray:
  out = np.empty((len(images), width), np.float32)
  for start in range(0, len(images), size):
    part = images[start : start + size]
    count = len(part)
    # A full batch every time: one compiled program.
    if count < size:
      part = np.concatenate([part, np.repeat(part[-1:], size - count, 0)])
    out[start : start + count] = np.asarray(function(part))[:count]
  return out


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
  n, height, width, _ = images.shape

  def draw(purpose: int, count: int) -> np.ndarray:
    k = jax.random.fold_in(key, purpose)
    bits = jax.random.bits(k, (3, max(count, _PATCHES)))
    limits = np.array([n, height - side + 1, width - side + 1])
    at = (np.asarray(bits) % limits[:, None].astype(np.uint32)).astype(int)
    at = at[:, :count]
    offsets = np.arange(side)
    cut = images[
      at[0][:, None, None],
      (at[1][:, None] + offsets)[:, :, None],
      (at[2][:, None] + offsets)[:, None, :],
    ]
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


@functools.partial(jax.jit, static_argnames=("side", "stride", "grid"))
def _random_batch(
  images: jax.Array,
  projection: jax.Array,
  offset: jax.Array,
  threshold: jax.Array,
  side: int,
  stride: int,
  grid: int,
) -> jax.Array:
  x = images.astype(jnp.float32) / 255
  p = _normalise(_patches(x, side, stride))
  response = jnp.matmul(p, projection, precision=_HIGHEST)
  response = response - offset[None, None, None]
  height, width = response.shape[1:3]
  rows = np.array_split(np.arange(height), grid)
  columns = np.array_split(np.arange(width), grid)
  parts = []
  for r in rows:
    for c in columns:
      cell = response[:, r[0] : r[-1] + 1, c[0] : c[-1] + 1]
      parts.append(jnp.maximum(cell - threshold, 0).mean((1, 2)))
      parts.append(jnp.maximum(-cell - threshold, 0).mean((1, 2)))
  return jnp.concatenate(parts, 1)


def random_conv(
  key: jax.Array,
  images: np.ndarray,
  *,
  filters: int,
  side: int,
  stride: int,
  grid: int,
  threshold: float,
  block_filters: int = 256,
) -> Features:
  """A convolution with random filters, rectified both ways and pooled.

  For each filter w and each of grid x grid cells, the means over the cell of
  `max(s - t, 0)` and `max(-s - t, 0)`, where s is the response of w to the
  contrast-normalised, whitened patch at each position and t the threshold.

  Args:
    key: typed key of the filters.
    images: the train set, uint8 `[N, H, W, C]`; the whitening is its own.
    filters: number of filters, >= 1; each gives `2 grid^2` columns.
    side: patch side, pixels.
    stride: pixels between patches.
    grid: pooling cells along each axis.
    threshold: t, in units of a whitened patch's response to a unit filter.
    block_filters: filters computed at a time.

  Returns:
    `ceil(filters / block_filters)` blocks.

  Raises:
    UserError: the patch does not fit the image.

  Reference:
    Coates, Ng (2012), section 3; Zhang et al. (2017), section 5, with 32,000
    filters whose settings were not published.
  """
  if side > min(images.shape[1:3]):
    raise errors.UserError(
      f"patch is {side}, but the images are"
      f" {images.shape[1]} x {images.shape[2]}; give at most"
      f" {min(images.shape[1:3])}."
    )
  projection, offset = random_filters(key, images, filters=filters, side=side)
  counts = tuple(
    min(block_filters, filters - start)
    for start in range(0, filters, block_filters)
  )

  def block(k: int, images: np.ndarray) -> np.ndarray:
    cut = slice(k * block_filters, k * block_filters + counts[k])
    weights = jnp.asarray(projection[:, cut])
    shift = jnp.asarray(offset[cut])
    level = jnp.float32(threshold)
    return _in_batches(
      lambda part: _random_batch(
        part, weights, shift, level, side, stride, grid
      ),
      images,
      2 * grid * grid * counts[k],
      64,
    )

  return Features(tuple(2 * grid * grid * c for c in counts), block)

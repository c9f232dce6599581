"""Gabor wavelet features: magnitudes of oriented waves, pooled."""

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.theory.features import Features, in_batches

_HIGHEST = jax.lax.Precision.HIGHEST


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

  One dense product per scale, which suits small images on a CPU better than
  the convolution.
  """
  padded = np.pad(bank, ((height, height), (width, width), (0, 0)))
  # By input and output pixel: where in the padded filter their distance lies.
  rows, columns = (
    np.subtract.outer(range(length), range(length)) + length + len(bank) // 2
    for length in (height, width)
  )
  out = padded[rows[:, None, :, None], columns[:, None, :]]
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
    return in_batches(batch, images, width, 200)

  return Features((width,), block)

"""Distributions as tables of 65,536 quantiles, so that sampling is a look-up.

Entry i is the quantile at (i + 1/2) / 65536. The tables are made by NumPy in
float64 and rounded to integers, so all platforms hold the same ones.
"""

import dataclasses
import functools
import statistics
from typing import Self

import numpy as np

from rethinking.corruptions.checks import check_rate

SIZE = 65536

# Xia et al. (2020) spread the examples' flip rates by this much.
_RATE_SPREAD = 0.1


@dataclasses.dataclass(frozen=True)
class ImageStatistics:
  """Exact sums over a set of images, from which mean and spread follow.

  Attributes:
    pixels: how many pixels each channel has.
    sums: the sum of each channel's values, C integers.
    squares: the sum of each channel's squared values, C integers.
  """

  pixels: int
  sums: tuple[int, ...]
  squares: tuple[int, ...]

  def __add__(self, other: Self) -> Self:
    """Returns the sums over two sets.

    >>> ImageStatistics(1, (2,), (4,)) + ImageStatistics(1, (3,), (9,))
    ImageStatistics(pixels=2, sums=(5,), squares=(13,))
    """
    return ImageStatistics(
      self.pixels + other.pixels,
      tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)),
      tuple(a + b for a, b in zip(self.squares, other.squares, strict=True)),
    )

  def check_channels(self, channels: int) -> None:
    """Refuses images of another number of channels."""
    if len(self.sums) != channels:
      raise ValueError(
        f"The statistics must be of {channels} channels, as the images, got "
        f"{len(self.sums)}; try image_statistics(train images)."
      )

  def moments(self, per_channel: bool) -> tuple[np.ndarray, np.ndarray]:
    """Returns means and (biased) standard deviations, in 0..255.

    Args:
      per_channel: one of each a channel; else one over all values.

    Returns:
      float64 [C] or [1], twice.

    >>> image_statistics(np.uint8([[[[0], [4]]]])).moments(False)
    (array([2.]), array([2.]))
    """
    sums, squares, pixels = self.sums, self.squares, self.pixels
    if not per_channel:
      sums, squares, pixels = [sum(sums)], [sum(squares)], pixels * len(sums)
    # Integers until the end: no cancellation, the same on every platform.
    variances = [
      (pixels * square - total * total) / pixels**2
      for total, square in zip(sums, squares, strict=True)
    ]
    return np.array([s / pixels for s in sums]), np.sqrt(variances)


def image_statistics(images: np.ndarray) -> ImageStatistics:
  """Returns the exact sums of a set of images, channel by channel.

  Args:
    images: uint8 [N, H, W, C], not empty.

  Returns:
    The statistics, small and hashable.

  Raises:
    ValueError: for images of another kind, or none.

  >>> image_statistics(np.full((2, 3, 3, 1), 2, np.uint8))
  ImageStatistics(pixels=18, sums=(36,), squares=(72,))
  """
  if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
    raise ValueError(
      "Images must be uint8 [N, H, W, C], at least one, got "
      f"{images.dtype} of shape {list(images.shape)}; try others."
    )
  channels = images.shape[-1]
  sums, squares = np.zeros((2, images[0].size), np.int64)
  # As products, which are quick, and exact: 256 rows of squares, at most
  # 256 * 255**2, are integers that float32 holds.
  for start in range(0, len(images), 256):
    part = images[start : start + 256].astype(np.float32)
    part = part.reshape(len(part), -1)
    ones = np.ones(len(part), np.float32)
    sums += (ones @ part).astype(np.int64)
    squares += (ones @ (part * part)).astype(np.int64)
  found = (x.reshape(-1, channels).sum(0).tolist() for x in (sums, squares))
  return ImageStatistics(images.size // channels, *map(tuple, found))


@functools.cache
def normal_quantiles() -> np.ndarray:
  """Returns the quantiles of N(0, 1), float64 [65536], read-only.

  >>> table = normal_quantiles()
  >>> bool((table == -table[::-1]).all()), round(float(table.std()), 4)
  (True, 1.0)
  """
  normal = statistics.NormalDist()
  upper = [normal.inv_cdf((i + 0.5) / SIZE) for i in range(SIZE // 2, SIZE)]
  table = np.concatenate([-np.array(upper)[::-1], upper])
  table.flags.writeable = False
  return table


def pixel_table(
  moments: ImageStatistics, *, per_channel: bool = False
) -> np.ndarray:
  """Returns the quantiles of a Gaussian matched to a set of images.

  Entry [c, i] = clip(round(mean_c + std_c z_i), 0, 255); mean and standard
  deviation are matched before the rounding and clipping.

  Args:
    moments: of the train images.
    per_channel: one Gaussian a channel; else one for all.

  Returns:
    uint8 [C, 65536], or [1, 65536].

  >>> pixel_table(ImageStatistics(2, (200,), (20050,)))[0, ::16384]
  array([ 78,  97, 100, 103], dtype=uint8)
  """
  mean, std = moments.moments(per_channel)
  table = mean[:, None] + std[:, None] * normal_quantiles()
  return np.clip(np.round(table), 0, 255).astype(np.uint8)


def noise_table(level: float) -> np.ndarray:
  """Returns the quantiles of additive Gaussian noise, in pixel values.

  Args:
    level: standard deviation as a share of the full range 255, in [0, 1].

  Returns:
    int32 [65536], round(255 level z_i).

  Raises:
    ValueError: for a level outside [0, 1].

  >>> noise_table(0.1)[[0, 32768, 65535]]
  array([-110,    0,  110], dtype=int32)
  """
  check_rate(level, "level")
  return np.round(255 * level * normal_quantiles()).astype(np.int32)


def gumbel_table(scale: float) -> np.ndarray:
  """Returns the quantiles of a Gumbel variable times a scale.

  Args:
    scale: positive.

  Returns:
    int32 [65536], round(-scale log(-log q)).

  >>> gumbel_table(100.0)[[0, 32768, 65535]]
  array([-247,   37, 1178], dtype=int32)
  """
  q = (np.arange(SIZE) + 0.5) / SIZE
  return np.round(-scale * np.log(-np.log(q))).astype(np.int32)


@functools.lru_cache(maxsize=64)
def rate_table(mean: float) -> np.ndarray:
  """Returns the quantiles of a normal rate, truncated to [0, 1].

  Args:
    mean: of the normal before truncation, in [0, 1]; its standard deviation
      is 0.1.

  Returns:
    float32 [65536], read-only, multiples of 2**-16.

  Raises:
    ValueError: for a mean outside [0, 1].

  >>> [round(float(rate_table(mean).mean()), 3) for mean in (0.0, 0.4)]
  [0.08, 0.4]
  """
  check_rate(mean)
  normal = statistics.NormalDist(mean, _RATE_SPREAD)
  low, high = normal.cdf(0.0), normal.cdf(1.0)
  # A cumulative share that rounds to 1 lies above the truncation anyway.
  shares = [
    min(low + (i + 0.5) / SIZE * (high - low), 1 - 2**-53) for i in range(SIZE)
  ]
  table = np.clip([normal.inv_cdf(share) for share in shares], 0, 1)
  table = (np.round(table * SIZE) / SIZE).astype(np.float32)
  table.flags.writeable = False
  return table

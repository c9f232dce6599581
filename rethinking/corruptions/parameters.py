"""What a program runs for each corruption, and the arrays that it is given.

Each takes an `About`, then the corruption's level and options by name, and
returns the one-example function form(key, value, **parameters) and the
parameters. They are traced: a program serves all their values.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from rethinking.corruptions import (
  gaussian,
  images,
  labels,
  matrices,
  permutations,
  quantiles,
)
from rethinking.corruptions.quantiles import ImageStatistics


class About(NamedTuple):
  """What parameters may depend on beside level and options.

  Attributes:
    key: typed threefry2x32 key, [], for what all images share.
    num_classes: K.
    shape: H, W, C of an image; None where there are none.
    statistics: of the train images, where the row needs them.
  """

  key: jax.Array
  num_classes: int
  shape: tuple[int, ...] | None
  statistics: ImageStatistics | None

  @property
  def positions(self) -> int:
    """H * W."""
    return self.shape[0] * self.shape[1]


def uniform(about: About, p: float):
  return labels.uniform, {"p": p}


def symmetric(about: About, p: float):
  return labels.symmetric, {"p": p}


def pair_flip(about: About, p: float):
  return labels.pair_flip, {"p": p}


def asymmetric(about: About, p: float, map: Any):
  targets = np.array(matrices.flip_map(map, about.num_classes), np.int32)
  return labels.flip, {"p": p, "targets": targets}


def transition(about: About, matrix: Any):
  edges, ends = labels.edges_of(matrix, about.num_classes)
  return labels.by_edges, {"edges": edges, "ends": ends}


def shuffled_pixels(about: About):
  order = permutations.random_permutation(about.key, about.positions)
  return images.shuffle_alike, {"permutation": order}


def random_pixels(about: About):
  return images.random_shuffle_pixels, {}


def gaussian_pixels(about: About, per_channel: bool):
  table = quantiles.pixel_table(about.statistics, per_channel=per_channel)
  return gaussian.random_gaussian_pixels, {"table": table}


def partial_shuffle(about: About, level: float, per_image: bool):
  if per_image:
    return images.shuffle_some, {"count": images.count_of(level, about.shape)}
  order = permutations.partial_permutation(about.key, about.positions, level)
  return images.shuffle_alike, {"permutation": order}


def gaussian_noise(about: About, level: float):
  table = quantiles.noise_table(level)
  return gaussian.random_gaussian_noise, {"table": table}


def occlusion(about: About, level: float, value: int):
  height, width = images.sides_of(level, about.shape)
  sides = {"height": height, "width": width, "value": value}
  return images.occlude_somewhere, sides

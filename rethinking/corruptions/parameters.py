"""What a program runs for each corruption, and the arrays that it is given.

Each takes a `prepared.About`, then level and options by name, and
returns the one-example function form(key, value, **parameters) and the
parameters. They are traced: a program serves all their values.
"""

from typing import Any

import numpy as np

from rethinking.corruptions import (
  gaussian,
  images,
  labels,
  matrices,
  permutations,
  quantiles,
)


def uniform(about, p: float):
  return labels.uniform, {"p": p}


def symmetric(about, p: float):
  return labels.symmetric, {"p": p}


def pair_flip(about, p: float):
  return labels.pair_flip, {"p": p}


def asymmetric(about, p: float, map: Any):
  targets = np.array(matrices.flip_map(map, about.num_classes), np.int32)
  return labels.flip, {"p": p, "targets": targets}


def transition(about, matrix: Any):
  edges, ends = labels.edges_of(matrix, about.num_classes)
  return labels.by_edges, {"edges": edges, "ends": ends}


def shuffled_pixels(about):
  order = permutations.random_permutation(about.key, about.positions)
  return images.shuffle_alike, {"permutation": order}


def random_pixels(about):
  return images.random_shuffle_pixels, {}


def gaussian_pixels(about, per_channel: bool):
  table = quantiles.pixel_table(about.statistics, per_channel=per_channel)
  return gaussian.random_gaussian_pixels, {"table": table}


def partial_shuffle(about, level: float, per_image: bool):
  if per_image:
    return images.shuffle_some, {"count": round(level * about.positions)}
  order = permutations.partial_permutation(about.key, about.positions, level)
  return images.shuffle_alike, {"permutation": order}


def gaussian_noise(about, level: float):
  table = quantiles.noise_table(level)
  return gaussian.random_gaussian_noise, {"table": table}


def occlusion(about, level: float, value: int):
  height, width = images.sides_of(level, about.shape)
  sides = {"height": height, "width": width, "value": value}
  return images.occlude_somewhere, sides

"""A split once it is decoded."""

from typing import NamedTuple

import numpy as np


class Arrays(NamedTuple):
  """A decoded split in ascending order of id.

  Attributes:
    images: uint8 `[N, H, W, C]`.
    labels: int32 `[N]`.
    ids: uint32 `[N]`.
    encoding: how the images were stored: "PNG", "JPEG", "other" or "mixed".
  """

  images: np.ndarray
  labels: np.ndarray
  ids: np.ndarray
  encoding: str

"""Images that are there more than once, to the bit."""

import hashlib
from collections.abc import Sequence

import numpy as np


def duplicates(*sets: np.ndarray) -> list[list[tuple[int, int]]]:
  """Returns groups of equal images of one or more sets.

  Args:
    *sets: each [N, ...], such as uint8 images of a train and of a test set.

  Returns:
    Of each group of two or more (set, row), in their order.

  >>> duplicates(np.array([[1], [2], [1]]), np.array([[2]]))
  [[(0, 0), (0, 2)], [(0, 1), (1, 0)]]
  """
  found: dict[bytes, list[tuple[int, int]]] = {}
  for number, images in enumerate(sets):
    about = repr((images.dtype.str, images.shape[1:])).encode()
    for row, image in enumerate(images):
      digest = hashlib.sha256(about + image.tobytes()).digest()
      found.setdefault(digest, []).append((number, row))
  return [group for group in found.values() if len(group) > 1]


def telling(
  groups: Sequence[Sequence[tuple[int, int]]], *labels: np.ndarray
) -> list[list[tuple[int, int]]]:
  """Returns the groups with different labels or in more than one set.

  Args:
    groups: from `duplicates`.
    *labels: integers [N] of each set.
  """
  return [
    [*group]
    for group in groups
    if len({labels[s][row] for s, row in group}) > 1
    or len({s for s, _ in group}) > 1
  ]

"""Checks of what a user gives: before any work, never under jit."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_rate(p: Any, name: str = "rate") -> None:
  """Refuses a number outside [0, 1]; traced values pass unseen."""
  if isinstance(p, bool) or isinstance(p, str) or p is None:
    raise ValueError(f"The {name} is {p!r}; give a number in [0, 1].")
  if isinstance(p, (int, float, np.number)) and not 0 <= p <= 1:
    raise ValueError(f"The {name} is {p}; give a number in [0, 1].")


def check_num_classes(num_classes: int, least: int = 2) -> None:
  """Refuses fewer classes than an op needs."""
  if num_classes < least:
    raise ValueError(f"num_classes is {num_classes}; give at least {least}.")


def check_labels(labels: Any, num_classes: int) -> np.ndarray:
  """Returns labels as int32 [N], refusing any outside 0..K-1."""
  labels = np.asarray(labels)
  if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
    raise ValueError(
      f"Labels are {labels.dtype} of shape {list(labels.shape)}; give "
      "integers of shape [N]."
    )
  if not labels.size:
    raise ValueError("There are no labels; give at least one example.")
  wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
  if wrong.size:
    raise ValueError(
      f"Label {labels[wrong[0]]} at row {wrong[0]} is outside "
      f"0..{num_classes - 1}; num_classes is {num_classes}."
    )
  return labels.astype(np.int32)


def check_ids(ids: Any, count: int) -> np.ndarray:
  """Returns ids as uint32 [N], refusing any that repeat or don't fit."""
  ids = np.asarray(ids)
  if ids.shape != (count,) or not np.issubdtype(ids.dtype, np.integer):
    raise ValueError(
      f"Ids are {ids.dtype} of shape {list(ids.shape)}; give integers of "
      f"shape [{count}], one a label."
    )
  wrong = np.flatnonzero((ids < 0) | (ids >= 2**32))
  if wrong.size:
    raise ValueError(
      f"Id {ids[wrong[0]]} at row {wrong[0]} is outside [0, 2**32)."
    )
  ids = ids.astype(np.uint32)
  in_order = np.sort(ids)
  repeated = in_order[1:][in_order[1:] == in_order[:-1]]
  if repeated.size:
    raise ValueError(
      f"Id {repeated[0]} comes more than once; each example needs its own."
    )
  return ids


def check_images(images: Any, count: int) -> np.ndarray:
  """Returns images as a uint8 array [N, H, W, C], refusing anything else."""
  images = np.asarray(images)
  if images.dtype != np.uint8:
    raise ValueError(
      f"Images are {images.dtype}; give uint8 in 0..255, before any scaling."
    )
  if images.ndim != 4 or len(images) != count:
    raise ValueError(
      f"Images have shape {list(images.shape)}; give [{count}, H, W, C], one "
      "a label."
    )
  return images


def check_matrix(matrix: Any, num_classes: int | None = None) -> np.ndarray:
  """Returns a transition matrix as float64 [K, K].

  Args:
    matrix: [K, K], row-stochastic: T[true, given] >= 0, each row sums to 1
      within 1e-6.
    num_classes: K, or None for any.

  Returns:
    float64 [K, K], each row divided by its sum.

  Raises:
    ValueError: naming the shape or the first bad row and its sum.

  >>> check_matrix([[0.9, 0.1], [0.0, 1.0]]).shape
  (2, 2)
  >>> check_matrix([[0.9, 0.2], [0.0, 1.0]])
  Traceback (most recent call last):
  ValueError: Row 0 of the transition matrix sums to 1.1; each must sum to 1.
  """
  try:
    matrix = np.array(matrix, np.float64)
  except (TypeError, ValueError):
    raise ValueError(
      "The transition matrix is not a rectangle of numbers; give [K, K]."
    ) from None
  side = len(matrix) if num_classes is None and matrix.ndim else num_classes
  if matrix.shape != (side, side) or not side:
    raise ValueError(
      f"The transition matrix has shape {list(matrix.shape)}; give "
      f"[{side}, {side}], T[true, given]."
    )
  for row, values in enumerate(matrix):
    total = values.sum()
    if not np.isfinite(values).all() or values.min() < 0:
      raise ValueError(
        f"Row {row} of the transition matrix is {values.tolist()}; every "
        "entry must be in [0, 1]."
      )
    if abs(total - 1) > 1e-6:
      raise ValueError(
        f"Row {row} of the transition matrix sums to {total:.6g}; each "
        "must sum to 1."
      )
  return matrix / matrix.sum(axis=1, keepdims=True)

"""Checks of what a user gives: before any work, never under jit.

Types and shapes are known before any tracing, so they are always checked.
Values are checked where they are numbers; traced ones pass unseen.
"""

import operator
from collections.abc import Mapping, Set
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def is_traced(value: Any) -> bool:
  """Returns whether a value is known only when the program runs."""
  return isinstance(value, jax.core.Tracer)


def check_ordered(values: Any, name: str) -> None:
  """Refuses what would lose its meaning as an array: sets, dicts, masks."""
  if isinstance(values, Set | Mapping):
    raise ValueError(
      f"{name} must be an array, got a {type(values).__name__}, which has no "
      "order; try numpy.array([...])."
    )
  if np.ma.is_masked(values):
    raise ValueError(
      f"{name} must have no masked values, got "
      f"{int(np.ma.getmaskarray(values).sum())}; try filled(...), or another "
      "array."
    )


def as_array(values: Any, name: str) -> np.ndarray:
  """Returns what was given as an array, refusing what would lose its meaning.

  Args:
    values: a sequence or an array, not traced.
    name: what to call it.

  Raises:
    ValueError: for a set, a dict, masked values, and rows of several lengths.

  >>> as_array([1, 2], "labels").tolist()
  [1, 2]
  """
  check_ordered(values, name)
  try:
    return np.asarray(values)
  except ValueError:
    raise ValueError(
      f"{name} must be an array, got rows of several lengths; try rows of one "
      "length."
    ) from None


def _is_integer(dtype: Any) -> bool:
  """Whether it is of integers; NumPy counts a time span as one."""
  return jnp.issubdtype(dtype, jnp.integer) and dtype.kind != "m"


def check_rate(p: Any, name: str = "rate") -> None:
  """Refuses what isn't one number in [0, 1]; traced values pass unseen."""
  value = p if is_traced(p) else np.asarray(p)
  kinds = (jnp.integer, jnp.floating)
  real = any(jnp.issubdtype(value.dtype, kind) for kind in kinds)
  if value.shape or not real:
    raise ValueError(
      f"The {name} must be a number in [0, 1], got {p!r}; try 0.5."
    )
  if not is_traced(p) and not 0 <= value <= 1:
    raise ValueError(
      f"The {name} must be a number in [0, 1], got {p}; try 0.5."
    )


def check_static_rate(p: Any, name: str = "rate") -> None:
  """Refuses what isn't one number in [0, 1], known before any tracing."""
  if is_traced(p):
    raise ValueError(
      f"The {name} must be a number in [0, 1], which shapes the program, got a "
      "traced one; try a static argument of jit."
    )
  check_rate(p, name)


def check_integer(value: Any, name: str, least: int, most: int) -> int:
  """Returns an integer known before any tracing, refusing one outside."""
  try:
    number = operator.index(value)
  except TypeError:
    number = None
  if number is None or isinstance(value, bool) or not least <= number <= most:
    raise ValueError(
      f"{name} must be an integer in {least}..{most}, got {value!r}; try "
      f"{least}."
    )
  return number


def check_num_classes(num_classes: Any) -> None:
  """Refuses fewer than two classes, or what isn't an integer."""
  check_integer(num_classes, "num_classes", 2, 2**31 - 1)


def check_label(label: Any, num_classes: int) -> jax.Array:
  """Returns one label as int32 [], refusing any outside 0..K-1, and K < 2."""
  check_num_classes(num_classes)
  if not isinstance(label, jax.Array):
    label = np.asarray(label)
  if label.shape or not _is_integer(label.dtype):
    raise ValueError(
      f"The label must be one integer, got {label.dtype} of shape "
      f"{list(label.shape)}; try vmap over example_keys for many."
    )
  if not is_traced(label) and not 0 <= label < num_classes:
    raise ValueError(
      f"The label must be in 0..{num_classes - 1}, got {label}; try another "
      f"num_classes than {num_classes}."
    )
  return jnp.asarray(label).astype(jnp.int32)


def check_labels(
  labels: Any, num_classes: int | None = None
) -> np.ndarray | jax.Array:
  """Returns labels as int32 [N], refusing any outside 0..K-1."""
  labels = check_integers(labels, "Labels")
  if not labels.size:
    raise ValueError("labels must be of one example at least, got []; try [0].")
  if num_classes is not None:
    more = f"num_classes other than {num_classes}"
    if not is_traced(labels) and (labels.min(), labels.max()) == (
      1,
      num_classes,
    ):
      more = "labels - 1, as they seem to count from 1"
    _check_each("Labels", labels, num_classes, more)
  return labels.astype(np.int32)


def check_id_range(ids: Any) -> np.ndarray | jax.Array:
  """Returns ids as uint32 [N] or [N, 2]; refuses misfits, not repetitions."""
  ids = ids if is_traced(ids) else as_array(ids, "Ids")
  if not _is_integer(ids.dtype) or (
    ids.ndim != 1 and (ids.ndim, ids.shape[-1:]) != (2, (2,))
  ):
    raise ValueError(
      "Ids must be integers of shape [N] or [N, 2], got "
      f"{ids.dtype} of shape {list(ids.shape)}; try name_ids."
    )
  _check_each("Ids", ids, 2**32, "the rows' numbers, or name_ids")
  return ids.astype(np.uint32)


def _check_each(name: str, values: Any, end: int, other: str) -> None:
  """Refuses values that are not in 0..end-1; traced ones pass unseen."""
  if is_traced(values):
    return
  wrong = np.argwhere((values < 0) | (values >= end))
  if wrong.size:
    value, row = values[tuple(wrong[0])], wrong[0][0]
    raise ValueError(
      f"{name} must be in 0..{end - 1}, got {value} at row {row}; try {other}."
    )


def check_ids(ids: Any, count: int) -> np.ndarray | jax.Array:
  """Returns ids as uint32 [N] or [N, 2]; refuses repetitions and misfits."""
  ids = check_id_range(ids)
  if len(ids) != count:
    raise ValueError(
      f"ids must be one a label, got {len(ids)} for {count} labels; try arrays "
      "of the same length."
    )
  if not is_traced(ids):
    # One word or two as one integer, on the host alone.
    in_order = np.sort(_joined(ids))
    repeated = in_order[1:][in_order[1:] == in_order[:-1]]
    if repeated.size:
      raise ValueError(
        f"Ids must be distinct, got {repeated[0]} more than once; try the "
        "rows' numbers."
      )
  return ids


def _joined(ids: np.ndarray) -> np.ndarray:
  if ids.ndim == 1:
    return ids
  high, low = ids.astype(np.uint64).T
  return (high << np.uint64(32)) | low


def id_order(ids: np.ndarray) -> np.ndarray:
  """Returns the rows in ascending order of their ids, int [N].

  Args:
    ids: uint32 [N] or [N, 2].

  >>> id_order(np.uint32([[1, 5], [0, 9], [1, 4]])).tolist()
  [1, 2, 0]
  """
  return np.argsort(_joined(ids), kind="stable")


def id_ranks(ids: np.ndarray) -> np.ndarray:
  """Returns the place of each id in their ascending order, uint32 [N].

  Args:
    ids: uint32 [N] or [N, 2], distinct.

  >>> id_ranks(np.uint32([[1, 5], [0, 9], [1, 4]])).tolist()
  [2, 0, 1]
  """
  found = np.empty(len(ids), np.uint32)
  found[id_order(ids)] = np.arange(len(ids), dtype=np.uint32)
  return found


def check_integers(
  values: Any, name: str, shape: tuple[int, ...] | None = None
) -> np.ndarray | jax.Array:
  """Returns integers of a shape, None: [N], as NumPy values where there are."""
  if not is_traced(values):
    values = as_array(values, name)
  fits = values.ndim == 1 if shape is None else values.shape == shape
  if not fits or not _is_integer(values.dtype):
    raise ValueError(
      f"{name} must be integers of shape "
      f"{'[N]' if shape is None else list(shape)}, got {values.dtype} of shape "
      f"{list(values.shape)}; try another array."
    )
  return values


def check_image(image: Any) -> None:
  """Refuses what isn't one uint8 image [H, W, C]."""
  check_ordered(image, "The image")
  if not hasattr(image, "dtype"):
    image = np.asarray(image)
  if image.dtype != jnp.uint8 or image.ndim != 3:
    raise ValueError(
      f"The image must be uint8 [H, W, C], got {image.dtype} of shape "
      f"{list(image.shape)}; try one image, in 0..255."
    )
  _check_channels_last(image.shape, (1, 2, 0))


def check_images(images: Any, count: int) -> np.ndarray:
  """Returns images as a uint8 array [N, H, W, C], refusing anything else."""
  images = as_array(images, "Images")
  if images.dtype != np.uint8:
    raise ValueError(
      f"Images must be uint8 in 0..255, got {images.dtype}; try those before "
      "any scaling."
    )
  if images.ndim != 4 or len(images) != count:
    raise ValueError(
      f"Images must be of shape [{count}, H, W, C], one a label, got "
      f"{list(images.shape)}; try others."
    )
  _check_channels_last(images.shape, (0, 2, 3, 1))
  return images


def _check_channels_last(
  shape: tuple[int, ...], order: tuple[int, ...]
) -> None:
  """Refuses images with 1, 3 or 4 channels in front and more than 4 behind."""
  if shape[-3] in (1, 3, 4) and shape[-1] > 4:
    raise ValueError(
      f"Images must have their channels last, got shape {list(shape)}; try "
      f"transpose{order}."
    )


def check_matrix(matrix: Any, num_classes: int | None = None) -> np.ndarray:
  """Returns a transition matrix as float64 [K, K].

  Args:
    matrix: [K, K], row-stochastic: T[true, given] >= 0, each row sums to 1
      within 1e-5, as six decimal places do.
    num_classes: K, or None for any.

  Returns:
    float64 [K, K], each row divided by its sum.

  Raises:
    ValueError: naming the shape or the first bad row and its sum.

  >>> check_matrix([[0.9, 0.1], [0.0, 1.0]]).shape
  (2, 2)
  """
  matrix = as_array(matrix, "The transition matrix")
  if matrix.dtype.kind not in "biuf":
    raise ValueError(
      f"The transition matrix must be numbers of shape [K, K], got "
      f"{matrix.dtype}; try numpy.eye(K)."
    )
  matrix = np.array(matrix, np.float64)
  side = len(matrix) if num_classes is None and matrix.ndim else num_classes
  if matrix.shape != (side, side) or not side:
    raise ValueError(
      f"The transition matrix must be of shape [{side}, {side}], T[true, "
      f"given], got {list(matrix.shape)}; try numpy.eye({side})."
    )
  for row, values in enumerate(matrix):
    total = values.sum()
    if not np.isfinite(values).all() or values.min() < 0:
      raise ValueError(
        f"Row {row} of the transition matrix must be in [0, 1], got "
        f"{values.tolist()}; try shares that sum to 1."
      )
    if abs(total - 1) > 1e-5:
      raise ValueError(
        f"Row {row} of the transition matrix must sum to 1, got {total:.6g}; "
        "try matrix / matrix.sum(axis=1, keepdims=True)."
      )
  return matrix / matrix.sum(axis=1, keepdims=True)

"""What a theory experiment fits: data, labels at several noise levels."""

from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from rethinking.runtime.errors import UserError
from rethinking.training import task as task_lib
from rethinking.training.examples import Task


class ContradictionError(UserError):
  """The same image has two labels: no function of the image fits both."""


def load(config: ConfigDict) -> Task:
  """Loads and corrupts what a resolved theory config asks for.

  Args:
    config: from `rethinking.theory.config.resolve`.

  Returns:
    The task, its images corrupted.

  Raises:
    UserError: for a subset larger than the data, and where the data cannot be
      had.
  """
  fields = {"arch": "mlp_1x512", "dropout": None, **config.to_dict()}
  # What only a training run has, at values that change nothing.
  fields |= {"experiment": "train", "member": None, "without": None}
  fields |= {"crop": 0, "batch_size": 1, "epochs": 1}
  fields |= {"augment": "none", "normalization": "per_image", "validation": 0}
  fields |= {"redraw": "never", "validation_labels": "true"}
  task = task_lib.load(ConfigDict(fields), where="load")
  if task.train.true_labels is None:
    raise UserError(
      "Theory must have true labels to count the wrong ones, got given ones "
      "alone; try labels=CSV with them."
    )
  return task


def labels_at(
  config: ConfigDict, task: Task, level: float
) -> tuple[np.ndarray, float]:
  """The given labels at another noise level.

  Args:
    config: resolved.
    task: what `load` returned for it.
    level: the label corruption's level, in [0, 1].

  Returns:
    Labels int32 `[n]` and the share of them that differ from the true ones.

  Raises:
    UserError: for a label corruption that cannot be applied.
  """
  if level != config.p:
    task = load(ConfigDict(config.to_dict() | {"p": level}))
  return task.train.labels, float(task.report["flip_rate"])


def distinct(
  images: np.ndarray, labels: Sequence[np.ndarray], ids: np.ndarray
) -> np.ndarray:
  """Rows of the first copies of each image; repeats must agree in all labels.

  Args:
    images: uint8 `[n, H, W, C]`.
    labels: int `[n]` each.
    ids: `[n]`, to name examples in the message.

  Returns:
    Rows `[k]`, ascending; k = n where no image repeats.

  Raises:
    ContradictionError: a repeated image has different labels.
  """
  flat = np.ascontiguousarray(images.reshape(len(images), -1))
  # As one opaque value per image, compared byte by byte.
  keys = flat.view(np.dtype((np.void, flat.shape[1])))[:, 0]
  _, first, group = np.unique(keys, return_index=True, return_inverse=True)
  source = first[group]
  differ = np.array([given != given[source] for given in labels])
  wrong = differ.any(0)
  if wrong.any():
    row = int(np.argmax(wrong))
    given = labels[np.argmax(differ[:, row])]
    raise ContradictionError(
      f"Examples {ids[source[row]]} and {ids[row]} are the same image with"
      f" labels {given[source[row]]} and {given[row]}, one of"
      f" {int(wrong.sum())} such repeats: no function of the image fits both;"
      " set a ridge > 0 for kernels, or choose a subset or labels without them."
    )
  return np.sort(first)

"""The examples of a task, how they are corrupted, and a run that learns it."""

import dataclasses
from typing import Any

import jax
import numpy as np

from rethinking.corruptions.noise import Noise
from rethinking.corruptions.prepared import Prepared
from rethinking.data.dataset import Dataset


def take(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
  """Returns rows of images; all of them without a copy.

  Args:
    images: [M, ...].
    rows: int [N], distinct, ascending.
  """
  return images if len(rows) == len(images) else images[rows]


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
  """Examples of a data set, and how they are corrupted.

  Attributes:
    dataset: the whole split that they are of, clean.
    rows: int32 [N], theirs in it.
    prepared: corruptions, of these rows or of more.
    noise: what the step applies: all of `prepared`, or its label ops alone.
    whole: uint8 [M, H, W, C], the images of the data set's first M rows as the
      step is given them, corrupted where `noise` doesn't; shared by splits of
      the same data set.
    places: int [N], where they are in `prepared`; None: they are all of it.
  """

  dataset: Dataset
  rows: np.ndarray
  prepared: Prepared
  noise: tuple[Noise, ...]
  whole: np.ndarray
  places: np.ndarray | None = None

  def own(self, values: np.ndarray) -> np.ndarray:
    """Returns these examples' part of what `prepared` has a value each of."""
    return values if self.places is None else values[self.places]

  @property
  def ids(self) -> np.ndarray:
    """uint32 [N], or [N, 2] of names."""
    return self.own(self.prepared.ids)

  @property
  def given_ids(self) -> np.ndarray:
    """[N], as they were given: names, or uint32."""
    return self.dataset.given_ids[self.rows]

  @property
  def labels(self) -> np.ndarray:
    """int32 [N], the given ones."""
    return self.own(self.prepared.labels)

  @property
  def true_labels(self) -> np.ndarray | None:
    """int32 [N]; None where nobody knows them."""
    if not self.dataset.truth:
      return None
    return self.own(self.prepared.true_labels)

  def drawn(self, draw: int) -> np.ndarray | None:
    """Returns which images a draw corrupts, bool [N]; None: no corruption does.

    Args:
      draw: where each epoch has one; else it changes nothing.
    """
    found = self.prepared.drawn_in(draw)
    return None if found is None else self.own(found)

  @property
  def images(self) -> np.ndarray:
    """uint8 [N, H, W, C], as `whole` has them."""
    return take(self.whole, self.rows)


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
  """Clean data of a condition, what corrupts it, and the report on it.

  Attributes:
    train: to learn from.
    test: its labels are the true ones, its images are corrupted as the train
      set's are.
    validation: train examples kept apart, their images corrupted alike, their
      labels true or, with `validation_labels=given`, corrupted; or None.
    statistics: mean and standard deviation of each channel, float32 [C] each,
      of the images trained on; empty: each image is normalised by its own.
    num_classes: K.
    class_names: K strings.
    report: the corruption's report for the train set, JSON-able.
    test_report: the SHA-256 of the test set as it is shown.
    source: what exactly was read, for the train and the test set.
  """

  train: Split
  test: Split
  validation: Split | None
  statistics: tuple[np.ndarray, ...]
  num_classes: int
  class_names: tuple[str, ...]
  report: dict[str, Any]
  test_report: dict[str, str]
  source: dict[str, str]

  def parts(self) -> dict[str, Split]:
    """Returns the splits there are, by name."""
    found = {"train": self.train, "test": self.test}
    return found | ({"validation": self.validation} if self.validation else {})

  def facts(self) -> dict[str, Any]:
    """Returns what corruption.json holds."""
    return {**self.report, **self.test_report}


@dataclasses.dataclass(eq=False)
class Run:
  """What a slot is given of a run, and how far it is.

  Attributes:
    name: unique among the runs.
    task: what it learns.
    init: the key of its initial weights.
    noise: the key of dropout and augmentation.
    order_seed: of its examples' order.
    step: steps taken.
    epoch: epochs completed, at its last evaluation.
  """

  name: str
  task: Task
  init: jax.Array
  noise: jax.Array
  order_seed: int
  step: int = 0
  epoch: int = 0

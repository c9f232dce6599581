"""What a config's folder is to hold: computed, neither written nor read."""

import dataclasses
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from rethinking.runtime.errors import UserError
from rethinking.storage import tables
from rethinking.training import preprocessing
from rethinking.training import task as task_lib
from rethinking.training.examples import Task

LABELS, TABLE, REPORT = "labels.npz", "labels.csv", "report.json"
IMAGES, TEST_IMAGES = "images.npy", "test_images.npy"
TRANSITIONS, EXAMPLES = "transitions.png", "examples.png"
SUMS = "SHA256SUMS"
# What not every folder has.
PICTURED = (IMAGES, TEST_IMAGES, TRANSITIONS, EXAMPLES)


@dataclasses.dataclass(frozen=True)
class Contents:
  """The corrupted data of a config, and everything that is said about it.

  Attributes:
    config: resolved.
    task: what a run with this config is given.
    columns: id uint32 [N] or names [N], true_label and given_label int32 [N],
      changed bool [N].
    images: file name -> uint8 [N, H, W, C]; empty where no pixels change.
    facts: what the report says, JSON-able.
  """

  config: ConfigDict
  task: Task
  columns: dict[str, np.ndarray]
  images: dict[str, np.ndarray]
  facts: dict[str, Any]

  def names(self) -> list[str]:
    """The files of the folder, but for the sums, in the order of writing."""
    return [LABELS, TABLE, *self.images, TRANSITIONS, EXAMPLES, REPORT]

  def title(self) -> str:
    """One line for the pictures."""
    facts = self.facts
    return (
      f"{facts['dataset']}, {facts['variant']}, seed {facts['seed']}: "
      f"{100 * facts['flip_rate']:.1f} % of {facts['num_examples']:,} labels "
      "wrong"
    )

  def csv(self) -> bytes:
    """The columns as text, one line an example."""
    values = [
      (c.astype(int) if c.dtype.kind == "b" else c).tolist()
      for c in self.columns.values()
    ]
    rows = zip(*values, strict=True)
    return tables.csv_text(
      [dict(zip(self.columns, row, strict=True)) for row in rows]
    ).encode()

  def original_images(self) -> np.ndarray:
    """The train images as they were, uint8 [N, H, W, C], cropped alike."""
    train = self.task.train
    images = train.dataset.images[train.rows]
    return preprocessing.centre_crop(images, self.facts["crop"])


def compute(config: ConfigDict) -> Contents:
  """Computes what a config's folder is to hold.

  Args:
    config: resolved.

  Returns:
    The contents, the same for the same config on any machine.

  Raises:
    UserError: for a config that is refused.
  """
  task = task_lib.load(config, where="load")
  train, test = task.train, task.test
  if train.true_labels is None:
    raise UserError(
      "An export must have true labels beside the given ones, got given ones "
      "alone; try labels=CSV with what is known of them."
    )
  images = {}
  if config.pixel_noise is not None:
    images = {IMAGES: train.images, TEST_IMAGES: test.images}
  facts = {
    "dataset": config.dataset,
    "variant": config.variant,
    # Pixels a side of the centre crop in the written images; 0: none.
    "crop": config.crop if images else 0,
    "source": task.source,
    **task.report,
  }
  if images:
    facts["test_images_sha256"] = task.test_report["test_images_sha256"]
  columns = {
    "id": train.given_ids,
    "true_label": train.true_labels,
    "given_label": train.labels,
    "changed": train.labels != train.true_labels,
  }
  return Contents(config, task, columns, images, facts)

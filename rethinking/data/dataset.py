"""A whole split as NumPy arrays with stable ids."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from rethinking.data import registry
from rethinking.runtime.allowed import choose


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """A whole split in memory, rows in ascending order of id.

  Attributes:
    name: one of `registry.NAMES`.
    split: "train" or "test".
    images: uint8 `[N, H, W, C]`, RGB where C is 3, values 0 to 255.
    labels: int32 `[N]`, values 0 to `num_classes - 1`.
    ids: uint32 `[N]`, of names `[N, 2]`, unique within the split, ascending.
      For CIFAR the number
      in the TFDS id (the original order), for MNIST the record's position in
      the prepared set, for digits the position in scikit-learn's order.
    num_classes: number of classes.
    class_names: one name per class.
    identity: what was read: dataset, version, image encoding and the SHA-256
      of its source, but not its folder.
    names: strings `[N]` that the ids are of, where examples have names.
    given_labels: int32 `[N]`, labels that somebody gave beside the true ones.
    truth: whether `labels` are true; else only given ones are known, and are
      both.
  """

  name: str
  split: str
  images: np.ndarray
  labels: np.ndarray
  ids: np.ndarray
  num_classes: int
  class_names: tuple[str, ...]
  identity: str
  names: np.ndarray | None = None
  given_labels: np.ndarray | None = None
  truth: bool = True

  @property
  def given_ids(self) -> np.ndarray:
    """The ids as they were given, `[N]`: names, or uint32."""
    return self.ids if self.names is None else self.names

  @classmethod
  def from_arrays(
    cls,
    images: Any,
    labels: Any = None,
    *,
    ids: Any = None,
    given_labels: Any = None,
    class_names: Sequence[str] | None = None,
  ) -> "Dataset":
    """Returns arrays as a data set, for `rethinking.run(..., train=, test=)`.

    Args:
      images: uint8 `[N, H, W, C]` or `[N, H, W]`, 4 to 256 pixels a side and 1
        to 4 channels, RGB where C is 3.
      labels: integers `[N]`, the true ones, in 0..K-1, K at most 1,000. None,
        of a train set with `given_labels`: what depends on them is left out.
      ids: N distinct names, or integers in `[0, 2**32)`: what an example's
        draws depend on. None: the rows' numbers.
      given_labels: integers `[N]` for `label_noise=given`.
      class_names: K strings; None: the numbers up to the largest label.

    Returns:
      The set, its rows in ascending order of id.

    Raises:
      UserError: saying how to convert what is something else.
    """
    # With JAX, which built-in sets need not wait for.
    from rethinking.data import checked

    found = checked.fields(images, labels, ids, given_labels, class_names)
    # Which split it is, is said where it is used.
    return cls(name="own", split="", identity="", **found)

  @classmethod
  def from_npz(
    cls,
    path: str | os.PathLike[str],
    split: str,
    *,
    test_fraction: float | None = None,
  ) -> "Dataset":
    """Returns a split of an .npz file.

    Args:
      path: of a file with `train_images`, `train_labels`, `test_images` and
        `test_labels`, or `images` and `labels`; perhaps with `ids` and
        `given_labels` that are called alike, and `class_names`.
      split: "train" or "test".
      test_fraction: of one set, the share that is the test set, by a hash of
        the ids that never changes.

    Raises:
      UserError: for what can't be read, or is as `from_arrays` refuses it.
    """
    return cls._of_path(path, split, None, test_fraction)

  @classmethod
  def from_folder(
    cls,
    path: str | os.PathLike[str],
    split: str,
    *,
    resize: int | None = None,
    test_fraction: float | None = None,
  ) -> "Dataset":
    """Returns a split of a folder of class folders with PNG, JPEG or WebP.

    Args:
      path: of the class folders, or of `train` and `test` with class folders.
      split: "train" or "test".
      resize: pixels a side; None: the images have one size.
      test_fraction: as for `from_npz`.

    Raises:
      UserError: for what can't be read, naming the first five images.
    """
    return cls._of_path(path, split, resize, test_fraction)

  @classmethod
  def _of_path(cls, path, split, resize, test_fraction) -> "Dataset":
    source = (os.fspath(path), None, resize, test_fraction)
    choose("split", split, ("train", "test"))
    own = registry.of_own("Own")(*source)
    return registry.of_own("pair")(own)[split == "test"]

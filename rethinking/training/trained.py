"""A trained model as a file, and to predict with: neither needs its data."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from flax import linen as nn
from flax import traverse_util
from ml_collections import ConfigDict

from rethinking import models
from rethinking.config import checks, fields, records, variants
from rethinking.corruptions import array_files
from rethinking.corruptions.keys import root_key
from rethinking.data.checked import check_images, given
from rethinking.ops.switch import materialized
from rethinking.runtime.errors import UserError
from rethinking.storage import files, reading
from rethinking.training import metrics, placement, preprocessing, programs
from rethinking.training import workdir as workdir_lib
from rethinking.training.examples import Task
from rethinking.training.state import TrainState
from rethinking.training.step import cross_entropy

NAME = "model.npz"
_MOST_BYTES = 2**34
# What goes into the model, by the first part of an array's name.
_VARIABLES = ("params", "batch_stats")
# Where the model file says the rest.
_ABOUT = "about"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Trained:
  """A run's model with the weights that its summary is of.

  Images are uint8 [N, H, W, C], or [N, H, W] of one channel, as the data set
  has them: the run's crop and normalisation are inside. What corrupted the
  run's pixels is not; give images corrupted by `corruptions.apply`, or
  exported ones. They are taken in batches of the run's `eval_batch_size`; at
  others, results differ in the last digits.

  Attributes:
    config: the run's, resolved.
    params: the model's parameters, NumPy arrays by layer.
    batch_stats: BatchNorm's running statistics; empty for models without.
    statistics: mean and standard deviation of the channels that images are
      normalised by, [C] each; empty: each image is by its own.
    image_shape: (H, W, C) of the data's images.
    class_names: K strings.
  """

  config: ConfigDict
  params: Mapping[str, Any]
  batch_stats: Mapping[str, Any]
  statistics: tuple[np.ndarray, ...]
  image_shape: tuple[int, int, int]
  class_names: tuple[str, ...]

  def __repr__(self) -> str:
    return f"Trained({variants.title(self.config)})"

  def predict(self, images: Any) -> np.ndarray:
    """Returns each class's probability, float [N, K].

    Args:
      images: uint8 [N, H, W, C].

    Raises:
      UserError: for images of another type or size than the run's.
    """
    return self._apply(images, "probabilities")["probabilities"]

  def logits(self, images: Any) -> np.ndarray:
    """Returns what `predict` takes the softmax of, float [N, K].

    Args:
      images: uint8 [N, H, W, C].

    Raises:
      UserError: as `predict`.
    """
    return self._apply(images, "logits")["logits"]

  def features(self, images: Any) -> np.ndarray:
    """Returns what enters the last layer, float [N, width].

    Args:
      images: uint8 [N, H, W, C].

    Raises:
      UserError: as `predict`, and for a model whose last layer isn't called
        `logits`.
    """
    found = self._apply(images, "features")
    if "features" not in found:
      raise UserError(
        f"The last layer must be called logits, got none in {self.config.arch};"
        " try logits(images)."
      )
    return found["features"]

  def evaluate(self, images: Any, labels: Any) -> dict[str, float]:
    """Returns `loss` (mean cross-entropy, nats) and `accuracy`.

    Args:
      images: uint8 [N, H, W, C].
      labels: integers [N], in 0..K-1.

    Raises:
      UserError: as `predict`, and for other labels.
    """
    images, labels = check_images(images), given("labels", labels)
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
      raise UserError(
        f"labels must be integers of shape [{len(images)}], got {labels.dtype} "
        f"of shape {list(labels.shape)}; try one label an image."
      )
    most = len(self.class_names) - 1
    if labels.min() < 0 or labels.max() > most:
      raise UserError(
        f"labels must be in 0..{most}, got {labels.min()} to {labels.max()}; "
        f"try the numbers of {list(self.class_names[:3])}, ..."
      )
    found = self._apply(
      images, "loss", "logits", labels=labels.astype(np.int32)
    )
    seen = (found["loss"], found["logits"].argmax(-1), labels)
    made = metrics.split_metrics("test", *seen)
    return {name: made[f"test_{name}"] for name in ("loss", "accuracy")}

  def _apply(
    self, images: Any, *wanted: str, labels: np.ndarray | None = None
  ) -> dict[str, np.ndarray]:
    if np.shape(images) == self.image_shape:
      raise UserError(
        f"images must be of shape {['N', *self.image_shape]}, got one image; "
        "try images[None]."
      )
    images = check_images(images)
    if images.shape[1:] != self.image_shape:
      raise UserError(
        f"images must be of shape {['N', *self.image_shape]}, got "
        f"{list(images.shape)}; try images of that size."
      )
    if labels is None:
      labels = np.zeros(len(images), np.int32)
    # A view: on the device a crop of uint8 takes longer than the copy it saves.
    cropped = preprocessing.centre_crop(images, self.config.crop)
    count = len(images)
    size = placement.batches(count, self.config.eval_batch_size, 1).shape[1]
    found: dict[str, list[np.ndarray]] = {}
    for start in range(0, count, size):
      first = min(start, count - size)  # So that the last batch is full, too.
      rows = slice(first, first + size)
      # Each is waited for: on a CPU two at a time take longer than in turn.
      seen = self._forward(wanted, cropped[rows], labels[rows])
      for name, values in jax.device_get(seen).items():
        found.setdefault(name, []).append(values[start - first :])
    return {name: np.concatenate(parts) for name, parts in found.items()}

  @functools.cached_property
  def module(self) -> nn.Module:
    """The architecture."""
    return models.create(
      self.config.arch,
      num_classes=len(self.class_names),
      dropout=self.config.dropout,
      dtype=jnp.dtype(self.config.dtype),
    )

  @functools.cached_property
  def _forward(self) -> Callable[..., dict[str, jax.Array]]:
    """(wanted, images, labels) -> those values of each, jitted."""
    config = self.config
    if config.arch not in models.ARCHITECTURES:
      raise UserError(
        f"arch must be a registered architecture, got {config.arch!r}; try "
        "running the config file that registers it before."
      )
    module = self.module
    variables = {name: getattr(self, name) for name in _VARIABLES}

    def forward(wanted, images, labels, variables, statistics):
      # Compiled as in the run's evaluation.
      x = preprocessing.to_float(materialized(images))
      x = preprocessing.normalize(x, statistics)
      kept = {}

      def keep(layer, args, kwargs, context):
        if context.module.path == ("logits",):
          kept["features"] = args[0]
        return layer(*args, **kwargs)

      with nn.intercept_methods(keep):
        # Held, or on a CPU the softmax alone takes a slower program.
        logits = materialized(module.apply(variables, x, train=False))
      values = {
        "logits": logits,
        "probabilities": jax.nn.softmax(logits),
        "loss": cross_entropy(logits, labels),
        **kept,
      }
      return {name: values[name] for name in wanted if name in values}

    step = programs.at_precision(config.matmul_precision, forward)
    step = jax.jit(step, static_argnums=0)
    lying = jax.device_put((variables, self.statistics))
    return lambda *given: step(*given, *lying)


def write(
  folder: epath.Path, config: ConfigDict, task: Task, state: TrainState
) -> None:
  """Writes model.npz: all that `load` needs beside config.json.

  Args:
    folder: of the run.
    config: the run's, resolved.
    task: what it learned.
    state: NumPy arrays, at the run's end; of `best` where that is kept.
  """
  weights = state.weights() if state.best is None else state.best
  about = {
    "arch": config.arch,
    "class_names": task.class_names,
    "image_shape": task.train.dataset.images.shape[1:],
  }
  arrays = {
    _ABOUT: np.array(files.dumps(about)),
    **traverse_util.flatten_dict(weights, sep="/"),
    **dict(zip(("mean", "std"), task.statistics, strict=False)),
  }
  files.replace(folder / NAME, files.npz_bytes(arrays))


def load(workdir: str | os.PathLike) -> Trained:
  """Returns the model of a finished run, with the weights of its summary.

  Args:
    workdir: of a run, or of a sweep's run with `keep_params`: W/cells/NAME.

  Raises:
    UserError: where there is none, or its files are not those of the run.
  """
  folder = files.workdir(workdir)
  trouble = None
  if not files.is_local(folder):
    trouble = "one elsewhere", "a copy of it on this machine"
  elif not (folder / "config.json").exists():
    trouble = "no config.json", "the --workdir of a run"
  elif (folder / "cells").exists():
    trouble = "a sweep", f"a run of it, {folder / 'cells'}/NAME"
  elif not (folder / "summary.json").exists():
    trouble = "one that has not finished", "the run's command again"
  elif not (folder / NAME).exists():
    trouble = (
      f"one without {NAME}",
      "--config.keep_params=true in a sweep, or a run of this version",
    )
  if trouble:
    raise UserError(
      f"{folder} must be the folder of a finished run, got {trouble[0]}; try "
      f"{trouble[1]}."
    )
  workdir_lib.check_sums(folder)
  kept = records.recorded(workdir_lib.read_json(folder / "config.json"))
  default = fields.default()
  needed = {"arch", *(default.keys() - kept.keys())}
  if wrong := checks.trouble(kept, needed):
    raise UserError(f"{folder / 'config.json'} is damaged ({wrong}).")
  path = folder / NAME
  try:
    arrays = array_files.read_npz(path, most_bytes=_MOST_BYTES)
    # Without what is no field: how JAX was set, and the like.
    config = ConfigDict({name: kept[name] for name in default})
    return _checked(config, arrays)
  # Bytes that were made to confuse a parser make it raise anything.
  except Exception as error:
    reason = " ".join(f"{error}".split()) or type(error).__name__
    raise UserError(
      f"{path} is damaged ({reason:.200}); run its config again in another "
      "workdir."
    ) from error


def _checked(config: ConfigDict, arrays: dict[str, np.ndarray]) -> Trained:
  """A model of a file's arrays, where they are those of its architecture."""
  about = reading.loads(str(arrays.pop(_ABOUT)).encode())
  statistics = [arrays.pop(name) for name in ("mean", "std") if name in arrays]
  found = traverse_util.unflatten_dict(arrays, sep="/")
  model = Trained(
    config=config,
    params=found["params"],
    batch_stats=found.get("batch_stats", {}),
    statistics=tuple(statistics),
    image_shape=tuple(about["image_shape"]),
    class_names=tuple(about["class_names"]),
  )
  height, width, channels = model.image_shape
  if not all(isinstance(name, str) for name in model.class_names):
    raise ValueError("class_names are no strings")
  if any(x.shape != (channels,) for x in statistics):
    raise ValueError("mean and std are not of its channels")
  if config.arch in models.ARCHITECTURES:
    size = (config.crop or height, config.crop or width)
    wanted = jax.eval_shape(
      functools.partial(model.module.init, train=False),
      root_key(0),
      jax.ShapeDtypeStruct((1, *size, channels), np.float32),
    )
    wanted = traverse_util.flatten_dict(wanted, sep="/")
    for name in sorted(wanted.keys() | arrays.keys()):
      there, here = (
        None if x is None else (tuple(x.shape), str(x.dtype))
        for x in (arrays.get(name), wanted.get(name))
      )
      if there != here:
        raise ValueError(f"{name} is {there}, of its architecture {here}")
  return model

"""A corruption as a jitted program is given it: a key, parameters, labels."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.corruptions.keys import IMPLEMENTATION, fold_ids, named_key
from rethinking.corruptions.thresholds import Threshold, drawn_by


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=("key", "parameters", "given", "threshold"),
  meta_fields=("form", "num_classes", "redraw"),
)
@dataclasses.dataclass(frozen=True)
class Noise:
  """One corruption of one split, a pytree that a program takes as argument.

  Its arrays are traced, so that one program serves every seed and level.

  Attributes:
    key: uint32 [2], the data of the corruption's key for this split.
    parameters: what the form takes by name, arrays that all examples share.
    given: int32 [N], the labels after a corruption that looks at the whole
      set; None: each example is corrupted by itself.
    threshold: which images are drawn; None: of labels.
    form: the one-example function, form(key, value, **parameters), which of
      labels takes `num_classes`, too; None where labels are given. Static.
    num_classes: K of labels; None: of images. Static.
    redraw: whether each draw differs, see `corrupt`. Static.
  """

  key: Any
  parameters: Mapping[str, Any]
  given: Any
  threshold: Threshold | None
  form: Callable | None
  num_classes: int | None
  redraw: bool = False

  @property
  def target(self) -> str:
    """What it changes: 'labels' or 'images'."""
    return "images" if self.num_classes is None else "labels"


def corrupt(
  noise: Noise,
  values: jax.Array,
  ids: jax.Array,
  rows: jax.Array | None = None,
  draws: jax.Array | None = None,
) -> jax.Array:
  """Corrupts a batch, each example by its key and nothing else.

  Args:
    noise: of the split that the batch is of.
    values: int32 [B] labels, or uint8 [B, H, W, C] images.
    ids: uint32 [B] or [B, 2], the examples' ids.
    rows: int32 [B], the examples' rows in `noise.given`.
    draws: int32 [B], which draw of `redraw` each example gets.

  Returns:
    What `values` is, corrupted.

  >>> from rethinking import corruptions
  >>> one = corruptions.Corruption.create("symmetric", level=1.0)
  >>> ids = labels = np.arange(4)
  >>> [noise] = corruptions.prepare(
  ...   [one], seed=0, labels=labels, ids=ids, num_classes=4
  ... ).noise
  >>> noisy = jax.jit(corrupt)(noise, labels, ids.astype(np.uint32))
  >>> bool((noisy != labels).all())
  True
  """
  if noise.form is None:
    return noise.given[rows]
  keys = _keys(noise, "pixels", ids, draws)
  classes = noise.num_classes
  static = {} if classes is None else {"num_classes": classes}
  # Without jit they are NumPy's still, which no traced index can read.
  parameters = jax.tree.map(jnp.asarray, dict(noise.parameters))
  form = functools.partial(noise.form, **parameters, **static)
  done = jax.vmap(form)(keys, values)
  if noise.threshold is None:
    return done
  taken = drawn(noise, ids, draws)
  return jnp.where(taken[:, None, None, None], done, values)


def drawn(
  noise: Noise, ids: jax.Array, draws: jax.Array | None = None
) -> jax.Array:
  """Returns which images of a batch are corrupted, bool [B].

  Args:
    noise: of images.
    ids: uint32 [B] or [B, 2].
    draws: as for `corrupt`.
  """
  keys = _keys(noise, "fraction", ids, draws)
  return jax.vmap(drawn_by, (None, 0, 0))(noise.threshold, keys, ids)


def _keys(noise, purpose, ids, draws):
  key = jax.random.wrap_key_data(noise.key, impl=IMPLEMENTATION)
  # The two draws of an image must not be the same.
  if noise.target == "images":
    key = named_key(key, purpose)
  if not noise.redraw:
    return fold_ids(key, ids)
  return fold_ids(jax.vmap(jax.random.fold_in, (None, 0))(key, draws), ids)


def of_numbers(parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """Returns parameters as arrays of spelled-out types, whatever JAX's are.

  Args:
    parameters: arrays, floats and integers by name.
  """
  kinds = {float: np.float32, int: np.int32}
  return {k: np.asarray(v, kinds.get(type(v))) for k, v in parameters.items()}

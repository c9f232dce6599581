"""What all architectures repeat."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from rethinking import ops
from rethinking.models import layers


class Classifier(nn.Module):
  """Images to logits: hidden layers, dropout, a dense layer.

  A family says what its hidden layers are, in `hidden`, and gives the last
  three attributes where its own differ.

  Attributes:
    num_classes: number of classes.
    dropout: rate of every dropout, [0, 1); None is the family's own.
    dtype: compute type.
    axis_name: name of the mapped device axis that BatchNorm averages over.
    dropout_rates: the family's own; the last dropout is before the last layer.
    kernel_init: initialiser of the hidden layers' kernels.
    logits_init: initialiser of the last layer's kernel.
  """

  num_classes: int
  dropout: float | None = None
  dtype: layers.DTypeLike = jnp.float32
  axis_name: str | None = None
  dropout_rates: tuple[float, ...] = (0.0,)
  kernel_init: nn.initializers.Initializer = layers.he_normal
  logits_init: nn.initializers.Initializer = layers.lecun_normal

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool, dropout_keys: jax.Array | None = None
  ) -> jax.Array:
    """Maps whitened images [B, H, W, C] to logits [B, K], float32 or wider."""
    net = Net(self, train, dropout_keys)
    x = self.hidden(x.astype(self.dtype), net)
    x = net.dropout(x, len(self.dropout_rates) - 1)
    x = layers.flatten(x)
    last = layers.Dense(
      self.num_classes, self.dtype, self.logits_init, name="logits"
    )
    return last(x).astype(ops.wide(self.dtype))

  def hidden(self, x: jax.Array, net: Net) -> jax.Array:
    """Maps images [B, H, W, C] to what the last layer reads, [B, ...].

    Args:
      x: of the compute type.
      net: makes the layers.
    """
    raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Net:
  """Layers of one call of a model, with what they share.

  Attributes:
    model: whose types, initialisers and rates they take.
    train: whether the call is of training.
    keys: one typed key for each example, [B], or None.
  """

  model: Classifier
  train: bool
  keys: jax.Array | None

  @property
  def _types(self) -> dict[str, Any]:
    return {"dtype": self.model.dtype, "kernel_init": self.model.kernel_init}

  def conv(
    self,
    x: jax.Array,
    features: int,
    kernel_size: int,
    stride: int = 1,
    *,
    name: str,
    use_bias: bool = True,
  ) -> jax.Array:
    """A `layers.Conv` of that name on `x`."""
    return layers.Conv(
      features, kernel_size, stride, use_bias, **self._types, name=name
    )(x)

  def dense(self, x: jax.Array, features: int, *, name: str) -> jax.Array:
    """A `layers.Dense` of that name on `x`, flattened."""
    x = layers.flatten(x)
    return layers.Dense(features, **self._types, name=name)(x)

  def norm(self, x: jax.Array, *, name: str, **options: Any) -> jax.Array:
    """A `layers.BatchNorm` of that name, with those options, on `x`."""
    return layers.BatchNorm(
      **options,
      axis_name=self.model.axis_name,
      dtype=self.model.dtype,
      name=name,
    )(x, train=self.train)

  def dropout(self, x: jax.Array, layer: int) -> jax.Array:
    """The model's dropout of that number, from 0, on `x`."""
    rate = self.model.dropout
    if rate is None:
      rate = self.model.dropout_rates[layer]
    return layers.dropout(self.keys, x, rate, layer=layer, train=self.train)

"""The two convolutional networks of the Keras notebooks replicated here."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from rethinking.models import layers, linear, normalization

# Keras draws its kernels so, and keeps its running statistics so.
glorot_uniform = nn.initializers.glorot_uniform()
KERAS_MOMENTUM, KERAS_EPSILON = 0.99, 1e-3


class SeedCifarCNN(nn.Module):
  """Four blocks of two 3x3 convolutions, normalised after the ReLU.

  Attributes:
    num_classes: number of classes.
    dropout: rate after each block, [0, 1); None is 0.2, 0.3, 0.4, 0.5.
    dtype: compute type.
    axis_name: name of the mapped device axis.
  """

  num_classes: int
  dropout: float | None = None
  dtype: linear.DTypeLike = jnp.float32
  axis_name: str | None = None

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    *,
    train: bool,
    dropout_keys: jax.Array | None = None,
  ) -> jax.Array:
    """Maps whitened images [B, H, W, C] to logits [B, K]."""
    rates = layers.rates(self.dropout, (0.2, 0.3, 0.4, 0.5))
    x = x.astype(self.dtype)
    for block, (width, rate) in enumerate(
      zip((32, 64, 128, 256), rates, strict=True)
    ):
      for index in range(2):
        x = layers.Conv(
          width,
          3,
          dtype=self.dtype,
          kernel_init=glorot_uniform,
          name=f"conv{block}_{index}",
        )(x)
        x = normalization.BatchNorm(
          momentum=KERAS_MOMENTUM,
          epsilon=KERAS_EPSILON,
          axis_name=self.axis_name,
          dtype=self.dtype,
          name=f"norm{block}_{index}",
        )(nn.relu(x), train=train)
      x = layers.max_pool(x, 2, 2)
      x = layers.dropout(dropout_keys, x, rate, layer=block, train=train)
    return layers.Logits(
      self.num_classes,
      dtype=self.dtype,
      kernel_init=glorot_uniform,
      name="logits",
    )(layers.flatten(x))


class SeedMnistCNN(nn.Module):
  """Two convolutions and a hidden dense layer, dropout after each.

  Attributes:
    num_classes: number of classes.
    dropout: rate after each layer, [0, 1); None is 0.3, 0.3, 0.4.
    dtype: compute type.
    axis_name: unused; every model takes it.
  """

  num_classes: int
  dropout: float | None = None
  dtype: linear.DTypeLike = jnp.float32
  axis_name: str | None = None

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    *,
    train: bool,
    dropout_keys: jax.Array | None = None,
  ) -> jax.Array:
    """Maps whitened images [B, H, W, C] to logits [B, K]."""
    rates = layers.rates(self.dropout, (0.3, 0.3, 0.4))
    x = x.astype(self.dtype)
    for index, (width, kernel_size, pool) in enumerate(
      ((64, 5, 2), (128, 3, 4))
    ):
      x = layers.Conv(
        width,
        kernel_size,
        dtype=self.dtype,
        kernel_init=glorot_uniform,
        name=f"conv{index}",
      )(x)
      x = layers.max_pool(nn.relu(x), pool, pool)
      x = layers.dropout(
        dropout_keys, x, rates[index], layer=index, train=train
      )
    x = layers.Dense(
      256, dtype=self.dtype, kernel_init=glorot_uniform, name="hidden"
    )(layers.flatten(x))
    x = layers.dropout(dropout_keys, nn.relu(x), rates[2], layer=2, train=train)
    return layers.Logits(
      self.num_classes,
      dtype=self.dtype,
      kernel_init=glorot_uniform,
      name="logits",
    )(x)

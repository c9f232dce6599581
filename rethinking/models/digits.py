"""A convolutional network small enough for 8x8 digits on a laptop."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from rethinking.models import layers, linear


class DigitsCNN(nn.Module):
  """Two 3x3 convolutions, a hidden dense layer, the logits.

  Attributes:
    num_classes: number of classes.
    dropout: rate before the last layer, [0, 1); None is 0.
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
    (rate,) = layers.rates(self.dropout, (0.0,))
    x = x.astype(self.dtype)
    x = nn.relu(layers.Conv(16, 3, dtype=self.dtype, name="conv0")(x))
    x = nn.relu(layers.Conv(32, 3, 2, dtype=self.dtype, name="conv1")(x))
    x = layers.Dense(512, dtype=self.dtype, name="hidden")(layers.flatten(x))
    x = layers.dropout(dropout_keys, nn.relu(x), rate, layer=0, train=train)
    return layers.Logits(self.num_classes, dtype=self.dtype, name="logits")(x)

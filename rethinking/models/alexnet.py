"""The small AlexNet."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from rethinking.models import layers, linear, normalization


class SmallAlexNet(nn.Module):
  """Two convolutions with local response normalisation, three dense layers.

  Attributes:
    num_classes: number of classes.
    dropout: rate before the last layer, [0, 1); None is 0.
    dtype: compute type.
    axis_name: unused; every model takes it.

  Reference: Zhang et al., 2017, appendix A.
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
    for index in range(2):
      x = layers.Conv(64, 5, dtype=self.dtype, name=f"conv{index}")(x)
      x = layers.max_pool(nn.relu(x), 3, 2)
      x = normalization.local_response_norm(x)
    x = layers.flatten(x)
    for index, width in enumerate((384, 192)):
      x = layers.Dense(width, dtype=self.dtype, name=f"hidden{index}")(x)
      x = nn.relu(x)
    x = layers.dropout(dropout_keys, x, rate, layer=0, train=train)
    return layers.Logits(self.num_classes, dtype=self.dtype, name="logits")(x)

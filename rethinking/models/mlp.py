"""Multi-layer perceptrons."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from rethinking.models import layers, linear


class MLP(nn.Module):
  """Hidden ReLU layers of one width, then the logits.

  Attributes:
    num_classes: number of classes.
    widths: width of each hidden layer.
    dropout: rate before the last layer, [0, 1); None is 0.
    dtype: compute type.
    axis_name: unused; every model takes it.

  Reference: Zhang et al., 2017, appendix A.
  """

  num_classes: int
  widths: tuple[int, ...]
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
    x = layers.flatten(x).astype(self.dtype)
    for index, width in enumerate(self.widths):
      x = layers.Dense(width, dtype=self.dtype, name=f"hidden{index}")(x)
      x = nn.relu(x)
    x = layers.dropout(dropout_keys, x, rate, layer=0, train=train)
    return layers.Logits(self.num_classes, dtype=self.dtype, name="logits")(x)

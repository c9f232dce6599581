"""Wide residual networks."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from rethinking.models import layers, linear, normalization


class WideResNet(nn.Module):
  """Pre-activation residual network of three groups.

  Attributes:
    num_classes: number of classes.
    depth: number of layers, 6n + 4.
    widen: factor of the widths 16, 32, 64.
    dropout: rate before the last layer, [0, 1); None is 0.
    dtype: compute type.
    axis_name: name of the mapped device axis.

  Reference: Zagoruyko and Komodakis, 2016, section 2.
  """

  num_classes: int
  depth: int = 28
  widen: int = 1
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
    conv = functools.partial(layers.Conv, use_bias=False, dtype=self.dtype)
    norm = functools.partial(
      normalization.BatchNorm, axis_name=self.axis_name, dtype=self.dtype
    )

    def block(x, features, stride, name):
      y = nn.relu(norm(name=f"{name}_norm0")(x, train=train))
      shortcut = x
      if x.shape[-1] != features:
        shortcut = conv(features, 1, stride, name=f"{name}_shortcut")(y)
      y = conv(features, 3, stride, name=f"{name}_conv0")(y)
      y = nn.relu(norm(name=f"{name}_norm1")(y, train=train))
      return shortcut + conv(features, 3, name=f"{name}_conv1")(y)

    x = conv(16, 3, name="stem")(x.astype(self.dtype))
    for group in range(3):
      for index in range((self.depth - 4) // 6):
        stride = 2 if group > 0 and index == 0 else 1
        width = 16 * self.widen * 2**group
        x = block(x, width, stride, f"block{group}_{index}")
    x = nn.relu(norm(name="norm")(x, train=train)).mean((1, 2))
    x = layers.dropout(dropout_keys, x, rate, layer=0, train=train)
    return layers.Logits(self.num_classes, dtype=self.dtype, name="logits")(x)

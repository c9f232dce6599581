"""The small Inception."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from rethinking.models import layers, linear, normalization


class ConvModule(nn.Module):
  """Convolution with a bias, batch normalisation, ReLU.

  Attributes:
    features: number of output channels.
    kernel_size: side of the square kernel, pixels.
    stride: pixels between outputs.
    batch_norm: whether the middle step is there; it has no scale or offset.
    dtype: compute type.
    axis_name: name of the mapped device axis.
  """

  features: int
  kernel_size: int
  stride: int = 1
  batch_norm: bool = True
  dtype: linear.DTypeLike = jnp.float32
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Maps [B, H, W, C] to [B, ceil(H/s), ceil(W/s), features]."""
    x = layers.Conv(
      self.features,
      self.kernel_size,
      self.stride,
      dtype=self.dtype,
      name="conv",
    )(x)
    if self.batch_norm:
      x = normalization.BatchNorm(
        use_affine=False,
        axis_name=self.axis_name,
        dtype=self.dtype,
        name="norm",
      )(x, train=train)
    return nn.relu(x)


class SmallInception(nn.Module):
  """Eight two-branch modules between a convolution and a mean pool.

  Attributes:
    num_classes: number of classes.
    batch_norm: whether convolutions are batch normalised.
    dropout: rate before the last layer, [0, 1); None is 0.
    dtype: compute type.
    axis_name: name of the mapped device axis.

  Reference: Zhang et al., 2017, appendix A, figure 3.
  """

  num_classes: int
  batch_norm: bool = True
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
    conv = functools.partial(
      ConvModule,
      batch_norm=self.batch_norm,
      dtype=self.dtype,
      axis_name=self.axis_name,
    )

    def inception(x, narrow, wide, name):
      branches = [
        conv(narrow, 1, name=f"{name}_1x1")(x, train=train),
        conv(wide, 3, name=f"{name}_3x3")(x, train=train),
      ]
      return jnp.concatenate(branches, axis=-1)

    def downsample(x, features, name):
      branches = [
        conv(features, 3, 2, name=f"{name}_3x3")(x, train=train),
        layers.max_pool(x, 3, 2),
      ]
      return jnp.concatenate(branches, axis=-1)

    x = conv(96, 3, name="stem")(x.astype(self.dtype), train=train)
    x = inception(x, 32, 32, "inception0")
    x = inception(x, 32, 48, "inception1")
    x = downsample(x, 80, "downsample0")
    x = inception(x, 112, 48, "inception2")
    x = inception(x, 96, 64, "inception3")
    x = inception(x, 80, 80, "inception4")
    x = inception(x, 48, 96, "inception5")
    x = downsample(x, 96, "downsample1")
    x = inception(x, 176, 160, "inception6")
    x = inception(x, 176, 160, "inception7")
    x = x.mean((1, 2))
    x = layers.dropout(dropout_keys, x, rate, layer=0, train=train)
    return layers.Logits(self.num_classes, dtype=self.dtype, name="logits")(x)

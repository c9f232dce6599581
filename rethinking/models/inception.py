"""The small Inception."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from rethinking import ops
from rethinking.models.classifier import Classifier, Net


class ConvModule(nn.Module):
  """Convolution with a bias, batch normalisation if the model's, ReLU.

  Attributes:
    features: number of output channels.
    kernel_size: side of the square kernel, pixels.
    stride: pixels between outputs.
  """

  features: int
  kernel_size: int
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, net: Net) -> jax.Array:
    """Maps [B, H, W, C] to [B, ceil(H/s), ceil(W/s), features]."""
    x = net.conv(x, self.features, self.kernel_size, self.stride, name="conv")
    if net.model.batch_norm:
      x = net.norm(x, use_affine=False, name="norm")
    return nn.relu(x)


class SmallInception(Classifier):
  """Eight two-branch modules between a convolution and a mean pool.

  Attributes:
    batch_norm: whether convolutions are batch normalised.

  Reference: Zhang et al., 2017, appendix A, figure 3.
  """

  batch_norm: bool = True

  def hidden(self, x, net):
    x = ConvModule(96, 3, name="stem")(x, net)
    x = _inception(x, net, 32, 32, "inception0")
    x = _inception(x, net, 32, 48, "inception1")
    x = _downsample(x, net, 80, "downsample0")
    x = _inception(x, net, 112, 48, "inception2")
    x = _inception(x, net, 96, 64, "inception3")
    x = _inception(x, net, 80, 80, "inception4")
    x = _inception(x, net, 48, 96, "inception5")
    x = _downsample(x, net, 96, "downsample1")
    x = _inception(x, net, 176, 160, "inception6")
    x = _inception(x, net, 176, 160, "inception7")
    return x.mean((1, 2))


def _inception(x, net, narrow, wide, name):
  left = ConvModule(narrow, 1, name=f"{name}_1x1")(x, net)
  right = ConvModule(wide, 3, name=f"{name}_3x3")(x, net)
  return jnp.concatenate([left, right], axis=-1)


def _downsample(x, net, features, name):
  left = ConvModule(features, 3, 2, name=f"{name}_3x3")(x, net)
  return jnp.concatenate([left, ops.max_pool(x, 3, 2)], axis=-1)

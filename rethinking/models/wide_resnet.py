"""Wide residual networks."""

from flax import linen as nn

from rethinking.models.classifier import Classifier


class WideResNet(Classifier):
  """Pre-activation residual network of three groups.

  Attributes:
    depth: number of layers, 6n + 4.
    widen: factor of the widths 16, 32, 64.

  Reference: Zagoruyko and Komodakis, 2016, section 2.
  """

  depth: int = 28
  widen: int = 1

  def hidden(self, x, net):
    x = net.conv(x, 16, 3, name="stem", use_bias=False)
    for group in range(3):
      for index in range((self.depth - 4) // 6):
        stride = 2 if group > 0 and index == 0 else 1
        width = 16 * self.widen * 2**group
        x = _block(x, net, width, stride, f"block{group}_{index}")
    return nn.relu(net.norm(x, name="norm")).mean((1, 2))


def _block(x, net, width, stride, name):
  y = nn.relu(net.norm(x, name=f"{name}_norm0"))
  if x.shape[-1] != width:
    x = net.conv(y, width, 1, stride, name=f"{name}_shortcut", use_bias=False)
  y = net.conv(y, width, 3, stride, name=f"{name}_conv0", use_bias=False)
  y = nn.relu(net.norm(y, name=f"{name}_norm1"))
  return x + net.conv(y, width, 3, name=f"{name}_conv1", use_bias=False)

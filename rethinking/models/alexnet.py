"""The small AlexNet."""

from flax import linen as nn

from rethinking import ops
from rethinking.models.classifier import Classifier


class SmallAlexNet(Classifier):
  """Two convolutions with local response normalisation, three dense layers.

  Reference: Zhang et al., 2017, appendix A.
  """

  def hidden(self, x, net):
    for index in range(2):
      x = nn.relu(net.conv(x, 64, 5, name=f"conv{index}"))
      x = ops.local_response_norm(ops.max_pool(x, 3, 2))
    for index, width in enumerate((384, 192)):
      x = nn.relu(net.dense(x, width, name=f"hidden{index}"))
    return x

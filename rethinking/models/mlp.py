"""Multi-layer perceptrons."""

from flax import linen as nn

from rethinking.models.classifier import Classifier


class MLP(Classifier):
  """Hidden ReLU layers, then the logits.

  Attributes:
    widths: width of each hidden layer.

  Reference: Zhang et al., 2017, appendix A.
  """

  widths: tuple[int, ...] = (512,)

  def hidden(self, x, net):
    for index, width in enumerate(self.widths):
      x = nn.relu(net.dense(x, width, name=f"hidden{index}"))
    return x

"""A convolutional network small enough for 8x8 digits on a laptop."""

from flax import linen as nn

from rethinking.models.classifier import Classifier


class DigitsCNN(Classifier):
  """Two 3x3 convolutions, a hidden dense layer, the logits."""

  def hidden(self, x, net):
    x = nn.relu(net.conv(x, 16, 3, name="conv0"))
    x = nn.relu(net.conv(x, 32, 3, 2, name="conv1"))
    return nn.relu(net.dense(x, 512, name="hidden"))

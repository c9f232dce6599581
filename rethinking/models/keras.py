"""The two convolutional networks of the Keras notebooks replicated here."""

from flax import linen as nn
from flax.linen.initializers import Initializer

from rethinking import ops
from rethinking.models import layers
from rethinking.models.classifier import Classifier

# As Keras keeps its running statistics.
_KERAS_NORM = {"momentum": 0.99, "epsilon": 1e-3}


class KerasCifarCNN(Classifier):
  """Four blocks of two 3x3 convolutions, normalised after the ReLU."""

  dropout_rates: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5)
  kernel_init: Initializer = layers.glorot_uniform
  logits_init: Initializer = layers.glorot_uniform

  def hidden(self, x, net):
    for block, width in enumerate((32, 64, 128, 256)):
      if block:
        x = net.dropout(x, block - 1)
      for index in range(2):
        x = nn.relu(net.conv(x, width, 3, name=f"conv{block}_{index}"))
        x = net.norm(x, **_KERAS_NORM, name=f"norm{block}_{index}")
      x = ops.max_pool(x, 2, 2)
    return x


class KerasMnistCNN(Classifier):
  """Two convolutions and a hidden dense layer, dropout after each."""

  dropout_rates: tuple[float, ...] = (0.3, 0.3, 0.4)
  kernel_init: Initializer = layers.glorot_uniform
  logits_init: Initializer = layers.glorot_uniform

  def hidden(self, x, net):
    x = ops.max_pool(nn.relu(net.conv(x, 64, 5, name="conv0")), 2, 2)
    x = net.dropout(x, 0)
    x = ops.max_pool(nn.relu(net.conv(x, 128, 3, name="conv1")), 4, 4)
    x = net.dropout(x, 1)
    return nn.relu(net.dense(x, 256, name="hidden"))

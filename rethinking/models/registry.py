"""One row an architecture; neither JAX nor Flax is imported before `create`."""

from __future__ import annotations

import dataclasses
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rethinking.corruptions.additions import add
from rethinking.runtime.allowed import AT_LEAST_1, BELOW_1, choose

if TYPE_CHECKING:
  from flax import linen as nn


@dataclasses.dataclass(frozen=True)
class Architecture:
  """What is known of an architecture without building it.

  Attributes:
    sentence: what it is, and for which images.
    builder: its module's class, or where that is, "module:class".
    image: [H, W, C] of the images it was published for.
    arguments: given to the builder beside those of `create`.
    dense: whether it has no convolutions.
    crop: side of the centre crop that the paper feeds it of 32x32 images,
      pixels; None: the whole image.
    learning_rate: the paper's, at the start of the schedule; of an
      architecture that isn't in the paper, that of most.
    own_dropout: whether it drops activations where no rate is given.
  """

  sentence: str
  builder: str | Callable[..., nn.Module]
  image: tuple[int, int, int]
  arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  dense: bool = False
  crop: int | None = None
  learning_rate: float = 0.01
  own_dropout: bool = False

  def crop_of(self, height: int, width: int) -> int:
    """Returns the crop of images of a size, pixels a side; 0: none.

    Args:
      height: of the images, pixels.
      width: likewise.
    """
    return self.crop or 0 if (height, width) == (32, 32) else 0


_MODELS = "rethinking.models"

# Crops and learning rates: Zhang et al. (2017), section 2 and appendix A.
# fmt: off
ARCHITECTURES: dict[str, Architecture] = {
  "keras_cifar_cnn": Architecture(
    "eight 3x3 convolutions with BatchNorm and dropout, for 32x32x3",
    f"{_MODELS}.keras:KerasCifarCNN", (32, 32, 3), own_dropout=True),
  "keras_mnist_cnn": Architecture(
    "two convolutions and a dense layer with dropout, for 28x28x1",
    f"{_MODELS}.keras:KerasMnistCNN", (28, 28, 1), own_dropout=True),
  "inception": Architecture(
    "small Inception, for 28x28x3",
    f"{_MODELS}.inception:SmallInception", (28, 28, 3),
    crop=28, learning_rate=0.1),
  "inception_no_bn": Architecture(
    "small Inception without BatchNorm, for 28x28x3",
    f"{_MODELS}.inception:SmallInception", (28, 28, 3), {"batch_norm": False},
    crop=28, learning_rate=0.1),
  "alexnet": Architecture(
    "small AlexNet with local response normalisation, for 28x28x3",
    f"{_MODELS}.alexnet:SmallAlexNet", (28, 28, 3), crop=28),
  "mlp_1x512": Architecture(
    "one hidden layer of 512, for any size",
    f"{_MODELS}.mlp:MLP", (28, 28, 3), {"widths": (512,)},
    dense=True, crop=28),
  "mlp_3x512": Architecture(
    "three hidden layers of 512, for any size",
    f"{_MODELS}.mlp:MLP", (28, 28, 3), {"widths": (512, 512, 512)},
    dense=True, crop=28),
  "wide_resnet_28_1": Architecture(
    "residual network of 28 layers, 16 to 64 channels, for 32x32x3",
    f"{_MODELS}.wide_resnet:WideResNet", (32, 32, 3)),
  "digits_cnn": Architecture(
    "two 3x3 convolutions and a dense layer, for 8x8x1",
    f"{_MODELS}.digits:DigitsCNN", (8, 8, 1)),
}
# fmt: on


def register(name: str, row: Architecture) -> Architecture:
  """Adds an architecture: from then on it is a name like the others.

  Args:
    name: a new one.
    row: what is known of it. Its builder takes the arguments of `create` but
      the first, in their order, such as a subclass of `classifier.Classifier`.

  Returns:
    The row.

  Raises:
    ValueError: for a name that is taken.
  """
  add("architecture", ARCHITECTURES, name, row)
  return row


def create(
  arch: str,
  num_classes: int = 10,
  dropout: float | None = None,
  dtype: Any = "float32",
  axis_name: str | None = None,
) -> nn.Module:
  """Builds an architecture by name.

  The module maps float images [B, H, W, C] to logits [B, K], float32 or wider:
  `module.apply(variables, x, train=False)`, or in training
  `module.apply(variables, x, train=True, dropout_keys=keys,
  mutable=["batch_stats"])` with one typed key for each example, [B].

  Args:
    arch: a name in `ARCHITECTURES`.
    num_classes: number of classes, at least 1.
    dropout: rate of every dropout, [0, 1); None is the architecture's own.
      Those that have none get one before their last layer; 0 switches off.
    dtype: compute type. Parameters and batch statistics are float32, or wider
      if this is.
    axis_name: name of the mapped device axis that BatchNorm averages over.

  Returns:
    The Flax module.

  Raises:
    UserError: an unknown architecture or a rate out of range.
  """
  choose("architecture", arch, ARCHITECTURES)
  if dropout is not None:
    BELOW_1.check("dropout", dropout)
  AT_LEAST_1.check("num_classes", num_classes)
  row = ARCHITECTURES[arch]
  builder = row.builder
  if isinstance(builder, str):
    builder = pkgutil.resolve_name(builder)
  return builder(num_classes, dropout, dtype, axis_name, **row.arguments)

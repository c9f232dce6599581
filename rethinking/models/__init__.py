"""The architectures, behind one registry."""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax.numpy as jnp
from flax import linen as nn

from rethinking.models import alexnet, digits, inception, linear, mlp, seed
from rethinking.models import wide_resnet as resnet

_BUILDERS: Mapping[str, tuple[Callable[..., nn.Module], str]] = {
  "seed_cifar_cnn": (
    seed.SeedCifarCNN,
    "eight 3x3 convolutions with BatchNorm and dropout, for 32x32x3",
  ),
  "seed_mnist_cnn": (
    seed.SeedMnistCNN,
    "two convolutions and a dense layer with dropout, for 28x28x1",
  ),
  "inception": (
    inception.SmallInception,
    "small Inception, for 28x28x3",
  ),
  "inception_no_bn": (
    functools.partial(inception.SmallInception, batch_norm=False),
    "small Inception without BatchNorm, for 28x28x3",
  ),
  "alexnet": (
    alexnet.SmallAlexNet,
    "small AlexNet with local response normalisation, for 28x28x3",
  ),
  "mlp_1x512": (
    functools.partial(mlp.MLP, widths=(512,)),
    "one hidden layer of 512, for any size",
  ),
  "mlp_3x512": (
    functools.partial(mlp.MLP, widths=(512, 512, 512)),
    "three hidden layers of 512, for any size",
  ),
  "wide_resnet_28_1": (
    resnet.WideResNet,
    "residual network of 28 layers, 16 to 64 channels, for 32x32x3",
  ),
  "digits_cnn": (
    digits.DigitsCNN,
    "two 3x3 convolutions and a dense layer, for 8x8x1",
  ),
}

ARCHITECTURES: Mapping[str, str] = MappingProxyType(
  {name: description for name, (_, description) in _BUILDERS.items()}
)

# Those without convolutions.
DENSE = ("mlp_1x512", "mlp_3x512")


def create(
  arch: str,
  num_classes: int = 10,
  dropout: float | None = None,
  dtype: linear.DTypeLike = jnp.float32,
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
    ValueError: an unknown architecture or a rate out of range.
  """
  if arch not in _BUILDERS:
    raise ValueError(
      f"Unknown architecture {arch!r}; choose one of {sorted(_BUILDERS)}."
    )
  if dropout is not None and not 0 <= dropout < 1:
    raise ValueError(
      f"Dropout rate {dropout!r} is out of range; choose one in [0, 1)."
    )
  if num_classes < 1:
    raise ValueError(
      f"Number of classes {num_classes!r} is out of range; choose 1 or more."
    )
  builder, _ = _BUILDERS[arch]
  return builder(
    num_classes=num_classes, dropout=dropout, dtype=dtype, axis_name=axis_name
  )

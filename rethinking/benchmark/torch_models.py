"""The same architectures in PyTorch, for the comparison only."""

import torch
from torch import nn
from torch.nn import functional


def mlp(hidden):
  layers = [nn.Flatten()]
  for _ in range(hidden):
    layers += [nn.LazyLinear(512), nn.ReLU()]
  return nn.Sequential(*layers, nn.Linear(512, 10))


class SamePool(nn.Module):
  """3x3 max pooling with stride 2, padded as TensorFlow pads."""

  def forward(self, x):
    pads = []
    for size in (x.shape[3], x.shape[2]):
      total = max((-(-size // 2) - 1) * 2 + 3 - size, 0)
      pads += [total // 2, total - total // 2]
    x = functional.pad(x, pads, value=float("-inf"))
    return functional.max_pool2d(x, 3, 2)


def alexnet():
  layers = []
  for _ in range(2):
    layers += [
      nn.LazyConv2d(64, 5, padding=2),
      nn.ReLU(),
      SamePool(),
      nn.LocalResponseNorm(9, alpha=0.001, beta=0.75, k=1.0),
    ]
  layers += [nn.Flatten(), nn.LazyLinear(384), nn.ReLU()]
  layers += [nn.Linear(384, 192), nn.ReLU(), nn.Linear(192, 10)]
  return nn.Sequential(*layers)


def keras_cifar_cnn():
  layers = []
  for width, rate in zip((32, 64, 128, 256), (0.2, 0.3, 0.4, 0.5), strict=True):
    for _ in range(2):
      layers += [
        nn.LazyConv2d(width, 3, padding=1),
        nn.ReLU(),
        nn.BatchNorm2d(width, eps=1e-3, momentum=0.01),
      ]
    layers += [nn.MaxPool2d(2), nn.Dropout(rate)]
  return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(10))


class ConvModule(nn.Module):
  """Convolution, BatchNorm without scale and offset, ReLU."""

  def __init__(self, features, kernel_size, stride, batch_norm):
    super().__init__()
    # Stride 2 pads at the end, as TensorFlow does at even sizes.
    self.pad = stride == 2
    padding = 0 if self.pad else kernel_size // 2
    self.conv = nn.LazyConv2d(features, kernel_size, stride, padding)
    self.norm = (
      nn.BatchNorm2d(features, affine=False) if batch_norm else nn.Identity()
    )

  def forward(self, x):
    if self.pad:
      x = functional.pad(x, (0, 1, 0, 1))
    return functional.relu(self.norm(self.conv(x)))


class Branches(nn.Module):
  """Two branches, concatenated over channels."""

  def __init__(self, first, second):
    super().__init__()
    self.first, self.second = first, second

  def forward(self, x):
    return torch.cat((self.first(x), self.second(x)), 1)


def inception(batch_norm=True):
  layers = [ConvModule(96, 3, 1, batch_norm)]
  plan = [(32, 32), (32, 48), 80, (112, 48), (96, 64), (80, 80), (48, 96)]
  for widths in [*plan, 96, (176, 160), (176, 160)]:
    if isinstance(widths, int):
      first, second = ConvModule(widths, 3, 2, batch_norm), SamePool()
    else:
      first, second = (
        ConvModule(width, size, 1, batch_norm)
        for width, size in zip(widths, (1, 3), strict=True)
      )
    layers.append(Branches(first, second))
  return nn.Sequential(
    *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(10)
  )


class Residual(nn.Module):
  """A pre-activation block of two 3x3 convolutions."""

  def __init__(self, width, stride):
    super().__init__()
    self.norm0, self.norm1 = nn.LazyBatchNorm2d(), nn.BatchNorm2d(width)
    self.conv0 = nn.LazyConv2d(width, 3, stride, 1, bias=False)
    self.conv1 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
    self.shortcut = None
    if stride > 1:
      self.shortcut = nn.LazyConv2d(width, 1, stride, bias=False)

  def forward(self, x):
    y = functional.relu(self.norm0(x))
    shortcut = x if self.shortcut is None else self.shortcut(y)
    y = self.conv0(y)
    return shortcut + self.conv1(functional.relu(self.norm1(y)))


def wide_resnet():
  layers = [nn.LazyConv2d(16, 3, 1, 1, bias=False)]
  for width in (16, 32, 64):
    for index in range(4):
      layers.append(Residual(width, 2 if index == 0 and width > 16 else 1))
  layers += [nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
  return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 10))


BUILDERS = {
  "mlp_1x512": lambda: mlp(1),
  "mlp_3x512": lambda: mlp(3),
  "keras_cifar_cnn": keras_cifar_cnn,
  "alexnet": alexnet,
  "inception": inception,
  "inception_no_bn": lambda: inception(batch_norm=False),
  "wide_resnet_28_1": wide_resnet,
}


def create(arch, shape):
  """Returns a model for images of a shape, [H, W, C]."""
  height, width, channels = shape
  model = BUILDERS[arch]().eval()
  # The first images give the lazy layers their sizes.
  model(torch.zeros(1, channels, height, width))
  return model

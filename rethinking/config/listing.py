"""What there is to choose from, as `--help` lists it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from rethinking.config import fields, grammar

# Until an architecture has a row that can be read without Flax.
_ARCHITECTURES = {
  "seed_cifar_cnn": (
    "eight 3x3 convolutions with BatchNorm and dropout, for 32x32x3"
  ),
  "seed_mnist_cnn": (
    "two convolutions and a dense layer with dropout, for 28x28x1"
  ),
  "inception": "small Inception, for 28x28x3",
  "inception_no_bn": "small Inception without BatchNorm, for 28x28x3",
  "alexnet": "small AlexNet with local response normalisation, for 28x28x3",
  "mlp_1x512": "one hidden layer of 512, for any size",
  "mlp_3x512": "three hidden layers of 512, for any size",
  "wide_resnet_28_1": (
    "residual network of 28 layers, 16 to 64 channels, for 32x32x3"
  ),
  "digits_cnn": "two 3x3 convolutions and a dense layer, for 8x8x1",
}


def text(experiments: Mapping[str, str]) -> str:
  """Lists experiments, variants, architectures, data sets and fields.

  Args:
    experiments: sentences by name.
  """
  # NumPy comes with it.
  from rethinking.data import prepared

  variants = {
    name: ", ".join(f"{k}={v}" for k, v in sets.items()) or "nothing changed"
    for name, sets in grammar.VARIANTS.items()
  }
  data = {
    name: f"{'x'.join(map(str, spec.shape))}, {spec.num_classes} classes"
    for name, spec in prepared.SPECS.items()
  }
  parts = [
    _section("Experiments (a variant sets its own)", experiments),
    _section("Variants (a config file may have more; it says which)", variants),
    _section("Architectures", _ARCHITECTURES),
    _section("Data sets", {"digits": "8x8x1, 10 classes, no download"} | data),
    "Fields (FIELD=VALUE after the variant, or --config.FIELD=VALUE):",
  ]
  for role, title in fields.ROLES.items():
    rows = {_assigned(r): r.sentence for r in fields.TABLE if r.role == role}
    parts.append(_section(title, rows))
  return "\n\n".join(parts)


def _assigned(row: fields.Field) -> str:
  """A field with its default, as on the command line."""
  value = row.initial
  if value is None or isinstance(value, bool):
    value = str(value).lower()
  return f"{row.name}={'' if value == {} else value}"


def _section(title: str, sentences: Mapping[str, str]) -> str:
  width = max(24, *(len(name) + 2 for name in sentences))
  lines = [
    textwrap.fill(
      sentence,
      80,
      initial_indent=f"  {name:{width}}",
      subsequent_indent=" " * (width + 2),
    )
    for name, sentence in sentences.items()
  ]
  return "\n".join([f"{title}:", *lines])

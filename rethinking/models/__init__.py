"""The architectures, behind one registry.

  registry    one row an architecture; `create` builds it
  classifier  what all of them repeat: types, dropout, the head
  layers      convolution, dense layer, normalisation, dropout
  alexnet, digits, inception, keras, mlp, wide_resnet: a family each

A new one is a file with its layers and a row; one of your own is a class and a
`register`, see configs/EXTENDING.md.

May import: ops, storage, runtime, corruptions.
"""

from rethinking.models.registry import (
  ARCHITECTURES,
  Architecture,
  create,
  register,
)

__all__ = ["ARCHITECTURES", "Architecture", "create", "register"]

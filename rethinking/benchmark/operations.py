"""Floating-point operations of a model, counted from its shapes."""

import functools
import math

import jax
import jax.numpy as jnp

from rethinking import models
from rethinking.corruptions.keys import root_key


def per_image(arch: str, shape: tuple[int, int, int]) -> dict[str, int]:
  """Counts a model's products and sums in convolutions and dense layers.

  A multiplication and an addition are two operations. The backward pass of a
  layer takes two products of the forward one's size, but for the first layer,
  whose input needs no gradient. Products with the zeros of padding count, as
  is usual; a convolution counts as the plain one where a CPU takes others
  (ops.convolution). Everything else (normalisation, pooling, the
  optimiser) is left out: it is bound by memory.

  Args:
    arch: a name of models.ARCHITECTURES.
    shape: [H, W, C] of an image.

  Returns:
    `forward` and `training` (forward and backward), operations an image.
  """
  module = models.create(arch)
  init, apply = (
    functools.partial(f, train=False) for f in (module.init, module.apply)
  )
  x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
  variables = jax.eval_shape(init, root_key(0), x)
  found = _products(jax.make_jaxpr(apply)(variables, x).jaxpr)
  forward = sum(found)
  return {"forward": forward, "training": 3 * forward - found[0]}


def _products(jaxpr) -> list[int]:
  """Operations of each product in a program, in order."""
  found = []
  for equation in jaxpr.eqns:
    outputs = math.prod(equation.outvars[0].aval.shape)
    if equation.primitive.name == "dot_general":
      (contracted, _), _ = equation.params["dimension_numbers"]
      shape = equation.invars[0].aval.shape
      # Of higher rank is local response normalisation's band of ones, no layer.
      if len(shape) == 2:
        found.append(2 * outputs * math.prod(shape[i] for i in contracted))
    elif equation.primitive.name == "conv_general_dilated":
      kernel = equation.invars[1].aval.shape
      layout = equation.params["dimension_numbers"].rhs_spec
      inputs = math.prod(kernel) // kernel[layout[0]]
      found.append(2 * outputs * inputs)
    for value in equation.params.values():
      inner = getattr(value, "jaxpr", None)
      if inner is not None:
        found += _products(getattr(inner, "jaxpr", inner))
    # Of what depends on the platform the last is what most of them run.
    for branch in equation.params.get("branches", ())[-1:]:
      found += _products(branch.jaxpr)
  return found

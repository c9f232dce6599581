"""Which platform takes which form: the only file that names platforms."""

import functools
from collections.abc import Callable
from typing import Any

import jax

# XLA's own max pooling gradient adds in no fixed order on a GPU.
CPU_AND_GPU = ("cpu", "cuda", "rocm")


def choose(
  *operands: jax.Array,
  fast: Callable[..., Any],
  plain: Callable[..., Any],
  on: tuple[str, ...] = ("cpu",),
  **static: Any,
) -> Any:
  """Returns `fast(*operands)` on the platforms `on`, elsewhere `plain`'s.

  Args:
    operands: arrays.
    fast: a form of the plain one; results have the same shapes and types.
    plain: the reference.
    on: JAX's names of platforms.
    **static: further arguments of both forms.
  """
  fast, plain = (functools.partial(form, **static) for form in (fast, plain))
  return jax.lax.platform_dependent(
    *operands, default=plain, **dict.fromkeys(on, fast)
  )


def materialized(x: Any) -> Any:
  """Returns `x`; on a CPU, as arrays in memory that their users share.

  Without it XLA computes what is cheap again in each operation that reads it;
  accelerators fuse better than this does. It needs a flag of
  rethinking.runtime.xla_flags; without, only the speed is another.

  Args:
    x: an array, or a tree of arrays none of which is read before all are there.
  """
  return choose(x, fast=jax.lax.optimization_barrier, plain=lambda x: x)

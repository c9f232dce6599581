"""What the machine is, and how fast it could be."""

import datetime
import functools
import platform
from typing import Any

import jax
import jax.numpy as jnp

from rethinking.benchmark import timing
from rethinking.runtime import backend


def describe() -> dict[str, Any]:
  """Returns hardware, versions and flags, JSON-able."""
  return {
    **backend.describe(jax.local_devices()),
    "system": platform.platform(),
    "date": datetime.date.today().isoformat(),
  }


def limits(dtype: str, rounds: int) -> dict[str, dict[str, Any]]:
  """Measures the best that any program could do here.

  Args:
    dtype: of the product.
    rounds: measurements of each.

  Returns:
    `matmul_flops_per_second` of a product of square matrices, 2,048 wide on a
    CPU and 8,192 elsewhere, and `copy_bytes_per_second`, read and written, of
    256 MiB.
  """
  side = 2048 if jax.default_backend() == "cpu" else 8192
  square = jnp.ones((side, side), dtype)
  values = jnp.ones((2**26,))
  product = functools.partial(jax.jit(jnp.matmul), square, square)
  copy = functools.partial(jax.jit(lambda x: x + 1), values)
  calls = {
    "matmul_flops_per_second": lambda: product().block_until_ready(),
    "copy_bytes_per_second": lambda: copy().block_until_ready(),
  }
  taken = timing.calls(calls, rounds, 0.5).values()
  # What a call does.
  amounts = (2 * side**3, 2 * values.nbytes)
  return dict(zip(calls, map(timing.rates, taken, amounts), strict=True))

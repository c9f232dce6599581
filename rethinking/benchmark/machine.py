"""What the machine is, and how fast it could be."""

from __future__ import annotations

import datetime
import platform
from typing import Any

import jax
import jax.numpy as jnp

from rethinking import runtime
from rethinking.benchmark import timing


def describe() -> dict[str, Any]:
  """Returns hardware, versions and flags, JSON-able."""
  return {
    **runtime.describe(jax.local_devices()),
    "system": platform.platform(),
    "date": datetime.date.today().isoformat(),
  }


def limits(
  dtype: str, rounds: int, seconds: float
) -> dict[str, dict[str, Any]]:
  """Measures the best that any program could do here.

  Args:
    dtype: of the product.
    rounds: measurements of each.
    seconds: roughly how long one takes.

  Returns:
    `matmul_flops_per_second` of a product of square matrices, 2,048 wide on a
    CPU and 8,192 elsewhere, and `copy_bytes_per_second`, read and written, of
    256 MiB.
  """
  side = 2048 if jax.default_backend() == "cpu" else 8192
  square = jnp.ones((side, side), dtype)
  values = jnp.ones((2**26,))
  product = jax.jit(jnp.matmul)
  copy = jax.jit(lambda x: x + 1)
  contenders = {
    "matmul": lambda: product(square, square).block_until_ready(),
    "copy": lambda: copy(values).block_until_ready(),
  }
  taken = timing.interleaved(
    {name: timing.repeated(work) for name, work in contenders.items()},
    rounds,
    seconds,
  )
  return {
    "matmul_flops_per_second": timing.summary(
      [2 * side**3 / t for t in taken["matmul"]["all"]]
    ),
    "copy_bytes_per_second": timing.summary(
      [2 * values.nbytes / t for t in taken["copy"]["all"]]
    ),
  }

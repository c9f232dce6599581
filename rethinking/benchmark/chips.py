"""Accelerators that programs are compiled for without one at hand."""

import importlib.resources
from typing import Any, NamedTuple

from rethinking.runtime.allowed import choose


class Chip(NamedTuple):
  """A kind of accelerator, as its maker describes it.

  Attributes:
    platform: JAX's name.
    topology: the smallest with four of them, in the form that JAX reads.
    memory: bytes.
    flops: bfloat16 products a second, without sparsity.
    bandwidth: bytes a second, to and from memory.
    hertz: of the clock that XLA's estimates count; None: it makes none.
    accelerator_type: by which a TPU's library is told what it is.
    packages: one of which brings the compiler.
    extra: of this project, with one of them.
  """

  platform: str
  topology: str
  memory: float
  flops: float
  bandwidth: float
  hertz: float | None
  accelerator_type: str
  packages: tuple[str, ...]
  extra: str


_TPU = (("libtpu",), "tpu")
_GPU = (("jax_cuda12_plugin", "jax_cuda13_plugin"), "cuda")

# Google Cloud's pages on each TPU version; NVIDIA's data sheet of the H100 SXM.
# Clocks: Austin et al. (2025), How to scale your model, chapter 2.
CHIPS = {
  "v4": Chip("tpu", "2x2x1", 32 * 2**30, 275e12, 1.2e12, 1.05e9, "v4-8", *_TPU),
  "v5e": Chip(
    "tpu", "2x2", 16 * 2**30, 197e12, 0.82e12, 1.5e9, "v5litepod-4", *_TPU
  ),
  "v5p": Chip(
    "tpu", "2x2x1", 95 * 2**30, 459e12, 2.77e12, 1.75e9, "v5p-8", *_TPU
  ),
  "v6e": Chip(
    "tpu", "2x2", 32 * 2**30, 918e12, 1.64e12, 1.75e9, "v6e-4", *_TPU
  ),
  "h100": Chip("cuda", "", 80 * 2**30, 989e12, 3.35e12, None, "", *_GPU),
}


def parse(text: str) -> tuple[str, str]:
  """Returns the name and the shape of "v5e:2x2"; the name alone will do.

  Args:
    text: as given.

  Raises:
    UserError: for an unknown chip.
  """
  name, _, shape = text.partition(":")
  choose("chip", name, CHIPS)
  return name, shape or CHIPS[name].topology


def environment(name: str) -> dict[str, str]:
  """Returns what a process must be given before it imports JAX.

  Args:
    name: of `CHIPS`.
  """
  if CHIPS[name].platform != "tpu":
    return {"JAX_PLATFORMS": "cpu"}
  return {
    "JAX_PLATFORMS": "cpu",
    # Or the library waits for a machine that describes itself.
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": CHIPS[name].accelerator_type,
    "TPU_WORKER_HOSTNAMES": "localhost",
  }


def devices(name: str, shape: str, count: int) -> tuple[Any, ...]:
  """Returns described devices, which compile and compute nothing.

  Args:
    name: of `CHIPS`.
    shape: of a topology with at least `count` of them.
    count: how many.
  """
  from jax.experimental import topologies

  if CHIPS[name].platform == "tpu":
    described = topologies.get_topology_desc(f"{name}:{shape}", "tpu")
  else:
    text = importlib.resources.files(__package__) / f"{name}.txtpb"
    described = topologies.get_topology_desc(
      name,
      "cuda",
      target_config=text.read_text(),
      topology=f"1 x 1 x {count}",
    )
  return tuple(described.devices[:count])

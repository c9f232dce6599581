"""Training steps and evaluation of each model, beside PyTorch's."""

import contextlib
import importlib.util
from typing import Any

import jax

from rethinking import models
from rethinking.benchmark import jax_steps, operations, subprocesses, timing


def measure(
  arch: str, batch_size: int, dtype: str, rounds: int, seconds: float
) -> dict[str, Any]:
  """Times one model.

  Args:
    arch: a name of models.ARCHITECTURES.
    batch_size: examples a training step.
    dtype: compute type, of PyTorch's products too.
    rounds: measurements of each contender.
    seconds: roughly how long one takes.

  Returns:
    `operations` an image, `training` and `evaluation`: contender -> summary of
    images per second; `training_ratio` and `evaluation_ratio`, the project's
    median over that of the better PyTorch contender, None without PyTorch; and
    `failed`: contender -> why it is left out.
  """
  shape = models.ARCHITECTURES[arch].image
  pairs = {"jax": jax_steps.contenders(arch, shape, batch_size, dtype=dtype)}
  result: dict[str, Any] = {
    "operations": operations.per_image(arch, shape),
    "failed": {},
  }
  sizes = {"training": batch_size, "evaluation": jax_steps.EXAMPLES}
  with contextlib.ExitStack() as processes:
    for kind in _torch_kinds(arch):
      pair = processes.enter_context(
        subprocesses.functions(
          "rethinking.benchmark.torch_steps",
          "contender",
          (arch, shape, batch_size, dtype, kind),
        )
      )
      try:
        pair[0](1)
      # Such as torch.compile where there is no C compiler.
      except RuntimeError as error:
        result["failed"][f"torch_{kind}"] = str(error).partition("\n")[0]
      else:
        pairs[f"torch_{kind}"] = pair
    for index, (kind, images) in enumerate(sizes.items()):
      works = {name: pair[index] for name, pair in pairs.items()}
      taken = timing.interleaved(works, rounds, seconds)
      found = {name: timing.rates(x, images) for name, x in taken.items()}
      ours, *others = (rates["median"] for rates in found.values())
      result[kind] = found
      result[f"{kind}_ratio"] = ours / max(others) if others else None
  return result


def _torch_kinds(arch: str) -> tuple[str, ...]:
  """PyTorch's ways to train this model on what JAX has here, if any."""
  if importlib.util.find_spec("torch") is None:
    return ()
  import torch

  from rethinking.benchmark import torch_models, torch_steps

  if jax.default_backend() != "cpu" and not torch.cuda.is_available():
    return ()
  return torch_steps.kinds() if arch in torch_models.BUILDERS else ()

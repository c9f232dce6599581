"""PyTorch's training step on the same machine: its layouts, and compiled."""

import os
from collections.abc import Callable

import torch
from torch.nn import functional

from rethinking.benchmark import torch_models

LAYOUTS = {
  "nchw": torch.contiguous_format,
  "channels_last": torch.channels_last,
}


def kinds() -> tuple[str, ...]:
  """Returns the ways of PyTorch that are measured here.

  Eager in both layouts; on a GPU also `compiled`: channels_last, the model
  through `torch.compile`.
  """
  return (*LAYOUTS, "compiled") if torch.cuda.is_available() else (*LAYOUTS,)


def contender(
  arch: str, shape: tuple[int, int, int], batch_size: int, dtype: str, kind: str
) -> tuple[Callable[[int], None], Callable[[int], None]]:
  """Returns functions that train for, and evaluate, a number of batches.

  On the GPU where PyTorch has one, else with as many threads as cores. The
  batch lies ready there as floats, which spares PyTorch the work that the
  project's step does on it. Adam, parameters in float32.

  Args:
    arch: a name of torch_models.BUILDERS.
    shape: [H, W, C] of an image.
    batch_size: examples.
    dtype: float32, or bfloat16 by PyTorch's autocast.
    kind: one of `kinds()`.
  """
  torch.set_num_threads(os.cpu_count() or 1)
  torch.manual_seed(0)
  # As XLA does on a GPU: float32 products may round their operands to TF32.
  torch.set_float32_matmul_precision("high")
  device = "cuda" if torch.cuda.is_available() else "cpu"
  layout = LAYOUTS.get(kind, torch.channels_last)
  height, width, channels = shape
  images = {
    size: torch.randn(size, channels, height, width, device=device).to(
      memory_format=layout
    )
    for size in (batch_size, 1024)
  }
  labels = torch.randint(0, 10, (batch_size,), device=device)
  model = torch_models.create(arch, shape).to(device, memory_format=layout)
  optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
  forward = torch.compile(model) if kind == "compiled" else model

  def logits(images):
    with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
      return forward(images)

  def steps(count: int) -> None:
    model.train()
    for _ in range(count):
      optimizer.zero_grad(set_to_none=True)
      loss = functional.cross_entropy(logits(images[batch_size]), labels)
      loss.backward()
      optimizer.step()
    # Waits for the device.
    loss.item()

  def evaluations(count: int) -> None:
    model.eval()
    with torch.inference_mode():
      for _ in range(4 * count):
        logits(images[1024]).argmax(1).sum().item()

  return steps, evaluations

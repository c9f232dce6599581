"""PyTorch's training step, eager, in both memory layouts."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch.nn import functional

from rethinking.benchmark import torch_models

LAYOUTS = {
  "nchw": torch.contiguous_format,
  "channels_last": torch.channels_last,
}


def contender(
  arch: str, shape: tuple[int, int, int], batch_size: int, layout: str
) -> tuple[Callable[[int], None], Callable[[int], None]]:
  """Returns functions that train for, and evaluate, a number of batches.

  The batch lies ready as floats, which spares PyTorch the work that the
  project's step does on it. Adam, float32, as many threads as cores.

  Args:
    arch: a name of torch_models.BUILDERS.
    shape: [H, W, C] of an image.
    batch_size: examples.
    layout: a name of LAYOUTS.
  """
  torch.set_num_threads(os.cpu_count() or 1)
  torch.manual_seed(0)
  height, width, channels = shape
  images = {
    size: torch.randn(size, channels, height, width).to(
      memory_format=LAYOUTS[layout]
    )
    for size in (batch_size, 1024)
  }
  labels = torch.randint(0, 10, (batch_size,))
  model = torch_models.BUILDERS[arch](shape).to(memory_format=LAYOUTS[layout])
  optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

  def steps(count: int) -> None:
    model.train()
    for _ in range(count):
      optimizer.zero_grad(set_to_none=True)
      loss = functional.cross_entropy(model(images[batch_size]), labels)
      loss.backward()
      optimizer.step()
    loss.item()

  def evaluations(count: int) -> None:
    model.eval()
    with torch.inference_mode():
      for _ in range(4 * count):
        model(images[1024]).argmax(1).sum().item()

  return steps, evaluations

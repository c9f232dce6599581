"""Whole epochs with data, evaluation and logging, beside a plain loop."""

from __future__ import annotations

import importlib.util
import tempfile
from typing import Any

from rethinking import data, train
from rethinking.benchmark import parts, timing

ARCH = "mlp_1x512"


def measure(rounds: int) -> dict[str, Any]:
  """Images a second through whole epochs of MLP 1x512.

  The project's run loads, trains, evaluates both sets and writes its files;
  PyTorch's is a `DataLoader` that converts each image, as reproductions of
  the paper write it, with two workers, evaluation after each epoch and a
  printed line. Both start-ups are taken off: a long run less a short one.

  Args:
    rounds: measurements of each.
  """
  short, long = 1, 3

  def ours(epochs: int) -> None:
    config = parts.run_config(ARCH, epochs)
    with tempfile.TemporaryDirectory() as workdir:
      train.run(config, workdir, quiet=True)

  contenders = {"jax": ours}
  name = parts.dataset()
  sets = {split: data.load(name, split) for split in ("train", "test")}
  if importlib.util.find_spec("torch") is not None:
    from rethinking.benchmark import torch_epochs

    contenders["torch"] = lambda epochs: torch_epochs.run(sets, epochs)
  count = len(sets["train"].ids)
  result: dict[str, Any] = {"dataset": name, "arch": ARCH}
  seconds = {who: {"short": [], "long": []} for who in contenders}
  for _ in range(rounds):
    for who, work in contenders.items():
      for length, epochs in (("short", short), ("long", long)):
        # Both lengths warm up once, outside the clock.
        if not seconds[who][length]:
          work(epochs)
        seconds[who][length].append(timing.once(work, epochs))
  for who, found in seconds.items():
    pairs = zip(found["long"], found["short"], strict=True)
    result[who] = timing.summary(
      [(long - short) * count / (b - a) for b, a in pairs]
    )
  if "torch" in contenders:
    result["ratio"] = result["jax"]["median"] / result["torch"]["median"]
  return result

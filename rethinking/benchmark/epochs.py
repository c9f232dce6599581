"""Whole epochs with data, evaluation and logging, beside a plain loop."""

from __future__ import annotations

import importlib.util
import tempfile
from typing import Any

from rethinking import data, train
from rethinking.benchmark import jax_steps, parts, timing

ARCH = "mlp_1x512"
_SHORT, _LONG = 1, 3
# Bare steps in a measurement.
_STEPS = 200


def measure(rounds: int) -> dict[str, Any]:
  """Images a second through whole epochs of MLP 1x512.

  The project's run loads, trains, evaluates both sets and writes its files;
  PyTorch's is a `DataLoader` that converts each image, as reproductions of
  the paper write it, with two workers, evaluation after each epoch and a
  printed line. Both start-ups are taken off: a long run less a short one.

  Args:
    rounds: measurements of each.

  Returns:
    Summaries of `jax` and `torch`, and their `ratio`; `steps`, what the run
    reports of its training alone, `bare_step`, the same step on random images
    with nothing around it, and `share_of_bare_step`.
  """
  reported = []

  def ours(epochs: int) -> None:
    with tempfile.TemporaryDirectory() as workdir:
      found = train.run(parts.run_config(ARCH, epochs), workdir, quiet=True)
    if epochs == _LONG:
      reported.append(found["images_per_second"])

  contenders = {"jax": ours}
  name = parts.dataset()
  sets = {split: data.load(name, split) for split in ("train", "test")}
  if importlib.util.find_spec("torch") is not None:
    from rethinking.benchmark import torch_epochs

    contenders["torch"] = lambda epochs: torch_epochs.run(sets, epochs)
  config = parts.run_config(ARCH, _LONG)
  bare_step, _ = jax_steps.contenders(
    ARCH,
    sets["train"].images.shape[1:],
    config.batch_size,
    crop=config.crop,
  )
  # All warm up once, outside the clock.
  bare_step(1)
  for work in contenders.values():
    work(_SHORT)
    work(_LONG)
  reported.clear()
  count = len(sets["train"].ids)
  rates = {who: [] for who in (*contenders, "bare_step")}
  for _ in range(rounds):
    for who, work in contenders.items():
      short = timing.once(work, _SHORT)
      long = timing.once(work, _LONG)
      rates[who].append((_LONG - _SHORT) * count / (long - short))
    taken = timing.once(bare_step, _STEPS)
    rates["bare_step"].append(_STEPS * config.batch_size / taken)
  found = {who: timing.summary(values) for who, values in rates.items()}
  found["steps"] = timing.summary(reported)
  result: dict[str, Any] = {"dataset": name, "arch": ARCH, **found}
  if "torch" in contenders:
    result["ratio"] = found["jax"]["median"] / found["torch"]["median"]
  result["share_of_bare_step"] = (
    found["steps"]["median"] / found["bare_step"]["median"]
  )
  return result

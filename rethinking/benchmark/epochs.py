"""Whole epochs with data, evaluation and logging, beside a plain loop."""

import contextlib
import importlib.util
import tempfile
from typing import Any

from rethinking import data
from rethinking.benchmark import jax_steps, runs, subprocesses, timing
from rethinking.training import run as train

ARCH = "mlp_1x512"
# Images between a short run's end and a long one's: enough to be timed.
_IMAGES = 30_000
# Of a measurement of bare steps, about.
_SECONDS = 2.0


def measure(rounds: int) -> dict[str, Any]:
  """Images per second through whole epochs of MLP 1x512.

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
  name = runs.dataset()
  sets = {split: data.load(name, split) for split in ("train", "test")}
  count = len(sets["train"].ids)
  more = max(2, _IMAGES // count)
  short, long = 1, 1 + more
  reported = []

  def ours(epochs: int) -> None:
    with tempfile.TemporaryDirectory() as workdir:
      found = train.run(runs.run_config(ARCH, epochs), workdir, quiet=True)
    if epochs == long:
      reported.append(found["images_per_second"])

  config = runs.run_config(ARCH, long)
  bare_step, _ = jax_steps.contenders(
    ARCH, sets["train"].images.shape[1:], config.batch_size, crop=config.crop
  )
  contenders = {"jax": ours}
  with contextlib.ExitStack() as processes:
    if importlib.util.find_spec("torch") is not None:
      [contenders["torch"]] = processes.enter_context(
        subprocesses.functions(
          "rethinking.benchmark.torch_epochs", "contenders", (sets,)
        )
      )
    # All warm up once, outside the clock.
    bare_step(1)
    steps = max(100, round(100 * _SECONDS / timing.once(bare_step, 100)))
    for work in contenders.values():
      work(short)
      work(long)
    reported.clear()
    rates = {who: [] for who in (*contenders, "bare_step")}
    for _ in range(rounds):
      for who, work in contenders.items():
        seconds = timing.once(work, long) - timing.once(work, short)
        rates[who].append(more * count / seconds)
      taken = timing.once(bare_step, steps)
      rates["bare_step"].append(steps * config.batch_size / taken)
  found = {who: timing.summary(values) for who, values in rates.items()}
  found["steps"] = timing.summary(reported)
  result: dict[str, Any] = {"dataset": name, "arch": ARCH, **found}
  if "torch" in contenders:
    result["ratio"] = found["jax"]["median"] / found["torch"]["median"]
  result["share_of_bare_step"] = (
    found["steps"]["median"] / found["bare_step"]["median"]
  )
  return result

"""A lower bound of a learner's empirical Rademacher complexity.

  python -m rethinking.main --config=configs/mnist.py:rademacher

  R_n(H) = E_sigma sup_{h in H} (1/n) sum_i sigma_i h(x_i),  sigma_i = +-1

The supremum is out of reach; a trained h is one member of H, so its mean
correlation with the signs is a lower bound in expectation: for every sigma,
`corr(sigma, h_trained) <= sup_h corr(sigma, h)`. h is the sign of the
difference of two trained logits, hence `corr = 2 accuracy - 1`. Initially it
is near 0; at 1 the learner shatters the sample and R_n is 1 itself.

Reference: Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 1.2; Bartlett,
Mendelson (2002), definition 2.
"""

import functools
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.stats
from etils import epath
from ml_collections import ConfigDict

from rethinking import models
from rethinking.runtime.errors import UserError
from rethinking.storage import tables
from rethinking.theory import folder, pictures
from rethinking.theory import task as task_lib
from rethinking.training import step as step_lib
from rethinking.training import task as problem
from rethinking.training.order import Order

_COLUMNS = {
  "n": ("n", "{:,d}"),
  "step": ("steps", "{:,d}"),
  "correlation": ("mean correlation (lower bound)", "{:.3f}"),
  "low": ("interval from", "{:.3f}"),
  "high": ("to", "{:.3f}"),
}
# Steps a dispatch where the model may run in a loop.
_CHUNK = 100
_EVAL_ROWS = 1000


def run(
  config: ConfigDict, workdir: str | pathlib.Path, *, quiet: bool = False
) -> dict[str, Any]:
  """Trains a learner on random signs, for each n and several draws.

  Leaves config.json, table.csv, table.md, rademacher.png and .svg, and
  summary.json in `workdir`. Pixel corruptions apply; labels are not used.

  Args:
    config: from `rethinking.theory.config.rademacher`.
    workdir: a folder, made if it is not there.
    quiet: print nothing.

  Returns:
    What `summary.json` holds: the last step of the largest n, every n and step
    in `estimates`. There is no test accuracy: signs have none but 1/2.

  Raises:
    UserError: for a config that cannot be run.
  """
  return folder.run_once(config, workdir, _prepare, _run, quiet=quiet)


def _prepare(config: ConfigDict) -> problem.Problem:
  task = task_lib.load(config)
  most, total = max(config.sizes), len(task.train.ids)
  if most > total:
    raise UserError(
      f"sizes asks for {most} examples, but there are {total}; give at most"
      " that."
    )
  return task


def _run(
  config: ConfigDict,
  workdir: epath.Path,
  task: problem.Problem,
  say: folder.Say,
) -> dict[str, Any]:
  """Trains, correlates and draws; returns the summary."""
  rows = []
  for n in sorted(config.sizes):
    start = time.monotonic()
    signs = draw_signs(config.seed, config.draws, n)
    data = step_lib.Data(*(part[:n] for part in task.train))
    for step, found in correlations(config, data, signs).items():
      mean, low, high = interval(found, config.confidence)
      rows.append(
        {
          "n": n,
          "step": step,
          "correlation": mean,
          "low": low,
          "high": high,
          "draws": found.tolist(),
        }
      )
    say(
      f"n = {n}: correlation {rows[-1]['correlation']:.3f} after"
      f" {rows[-1]['step']} steps, {time.monotonic() - start:.1f} s."
    )
  last = rows[-1]
  summary = {
    "train_accuracy": (1 + last["correlation"]) / 2,
    "test_accuracy": None,
    **{k: last[k] for k in ("n", "step", "correlation", "low", "high")},
    "is_lower_bound": True,
    "confidence": config.confidence,
    "num_draws": config.draws,
    "arch": config.arch,
    "data_source": task.source,
    "estimates": rows,
  }
  tables.write(workdir, rows, _COLUMNS)
  if config.plots:
    title = (
      f"{config.dataset} {config.arch}: lower bound of the Rademacher"
      f" complexity, {config.draws} draws"
    )
    pictures.rademacher(rows, workdir, title)
  return summary


def draw_signs(seed: int, draws: int, n: int) -> np.ndarray:
  """Independent fair signs; those of a smaller n are a prefix.

  Args:
    seed: in [0, 2**32).
    draws: number of rows.
    n: signs a row.

  Returns:
    int32 `[draws, n]` of -1 and 1.
  """
  key = jax.random.fold_in(jax.random.key(seed, impl=step_lib.KEYS), 7)

  def one(draw: int, position: jax.Array) -> jax.Array:
    base = jax.random.fold_in(key, draw)
    return jax.random.bits(jax.random.fold_in(base, position), (), "uint8") & 1

  over = jax.vmap(jax.vmap(one, (None, 0)), (0, None))
  bits = jax.jit(over)(jnp.arange(draws), jnp.arange(n))
  return 2 * np.asarray(bits, np.int32) - 1


def interval(
  values: np.ndarray, confidence: float
) -> tuple[float, float, float]:
  """Mean over draws with Student's t interval, cut to [-1, 1].

  mean +- t_{(1 + confidence) / 2, R - 1} s / sqrt(R), for R draws of sample
  standard deviation s. Signs and initial weights vary between draws; the
  sample of examples does not.

  Args:
    values: one correlation per draw, `[R]`, R >= 2.
    confidence: in (0, 1).

  Returns:
    Mean, lower and upper end.
  """
  mean = float(np.mean(values))
  scale = float(np.std(values, ddof=1)) / np.sqrt(len(values))
  half = float(scipy.stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * scale
  return mean, max(mean - half, -1.0), min(mean + half, 1.0)


def correlations(
  config: ConfigDict, data: step_lib.Data, signs: np.ndarray
) -> dict[int, np.ndarray]:
  """Trains one learner per draw and correlates it with its signs.

  Args:
    config: resolved.
    data: images `[n, H, W, C]` and ids `[n]`; its labels are not read.
    signs: `[R, n]`, -1 or 1.

  Returns:
    For each of the config's eval_steps, ascending, `(1/n) sum_i sigma_i h(x_i)`
    of each draw, `[R]`.
  """
  # The CPU runs convolutions inside loops, or with a batch of weights, more
  # than ten times slower; products of matrices not.
  together = config.vectorise
  if together is None:
    together = models.ARCHITECTURES[config.arch].dense
  if together:
    return _train(config, data, signs)
  parts = [
    _train(config, data, signs[k : k + 1], first=k) for k in range(len(signs))
  ]
  return {step: np.concatenate([p[step] for p in parts]) for step in parts[0]}


def _train(
  config: ConfigDict, data: step_lib.Data, signs: np.ndarray, first: int = 0
) -> dict[int, np.ndarray]:
  """Trains the draws of all rows of `signs` in one vmapped program."""
  draws, n = signs.shape
  size = min(config.batch_size, n)
  looped = models.ARCHITECTURES[config.arch].dense
  program = _program(config.arch, config.dropout, config.learning_rate, looped)
  shape = data.images.shape[1:]
  # Draw k has the same weights and masks whether trained alone or with others.
  keys = {
    name: jnp.stack(
      [
        jax.random.fold_in(step_lib.root(config.seed, name), k)
        for k in range(first, first + draws)
      ]
    )
    for name in ("init", "noise")
  }
  state = program["init"](keys["init"], shape)
  labels = jnp.asarray((signs + 1) // 2)
  images, ids = jnp.asarray(data.images), jnp.asarray(data.ids)
  most = _CHUNK if looped else 1
  order = Order(config.seed, n, size, most)
  read = sorted(set(config.eval_steps))
  found = {}
  at = 0
  for target in read:
    while at < target:
      steps = min(most, target - at)
      batches = order.batches(at, steps)
      state = program["steps"](
        state, images, labels, ids, batches, keys["noise"]
      )
      at += steps
    predicted = np.concatenate(
      [
        jax.device_get(
          program["predict"](state, images[rows], labels[:, rows], ids[rows])
        )
        for rows in (slice(k, k + _EVAL_ROWS) for k in range(0, n, _EVAL_ROWS))
      ],
      1,
    )
    found[target] = np.mean(signs * (2 * predicted - 1), 1)
  return found


@functools.lru_cache(maxsize=4)
def _program(
  arch: str, dropout: float | None, learning_rate: float, looped: bool
) -> dict[str, Any]:
  """Compiled init, steps and predictions over a leading axis of draws."""
  module = models.create(arch, num_classes=2, dropout=dropout)
  optimizer = optax.adam(learning_rate)
  step = step_lib.make_train_step(module, optimizer, crop=0)
  evaluate = step_lib.make_eval_step(module, crop=0)

  def init(keys, shape):
    one = functools.partial(step_lib.init_state, module, optimizer, shape=shape)
    return jax.vmap(one)(keys)

  def steps(state, images, labels, ids, batches, noise):
    def one(state, labels, key):
      data = step_lib.Data(images, labels, ids)
      if looped:
        return jax.lax.scan(
          lambda s, batch: (step(s, data, batch, key)[0], None), state, batches
        )[0]
      return step(state, data, jax.tree.map(lambda x: x[0], batches), key)[0]

    return _over_draws(one)(state, labels, noise)

  def predict(state, images, labels, ids):
    def one(state, labels):
      data = step_lib.Data(images, labels, ids)
      return evaluate(state, data, jnp.arange(len(ids)))[1]

    return _over_draws(one)(state, labels)

  return {
    "init": jax.jit(init, static_argnums=1),
    "steps": jax.jit(steps, donate_argnums=0),
    "predict": jax.jit(predict),
  }


def _over_draws(function):
  """vmap, but a single draw keeps its convolutions ordinary ones."""

  def mapped(*trees):
    if len(jax.tree.leaves(trees[0])[0]) > 1:
      return jax.vmap(function)(*trees)
    out = function(*jax.tree.map(lambda x: x[0], trees))
    return jax.tree.map(lambda x: x[None], out)

  return mapped

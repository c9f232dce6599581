"""Theorem 1's network built for chosen labels, beside a trained MLP.

  python -m rethinking.main --config=configs/mnist.py:expressivity

Shows capacity without generalisation: 2n + d weights fit every label, true or
random, and know nothing about the test set.

Reference: Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 4.
"""

import functools
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rethinking import config as training_config
from rethinking.config import experiments
from rethinking.corruptions.keys import root_key
from rethinking.storage import files, plots, tables
from rethinking.theory import cholesky, folder, pictures, theorem
from rethinking.theory import task as task_lib
from rethinking.training import run as train
from rethinking.training.examples import Task

_COLUMNS = {
  "network": ("network", "{}"),
  "weights": ("weights", "{:,d}"),
  "train_accuracy_percent": ("train accuracy %", "{:.2f}"),
  "test_accuracy_percent": ("test accuracy %", "{:.2f}"),
  "seconds": ("seconds", "{:.1f}"),
}


def run(
  config: ConfigDict, workdir: str | pathlib.Path, *, quiet: bool = False
) -> dict[str, Any]:
  """Builds the network for the given labels and trains the MLP on the same.

  Works in float64, scoped to the construction. Leaves config.json, table.csv,
  table.md, theorem.png and .svg, the MLP's own run in `mlp/`, and, last,
  summary.json in `workdir`.

  Args:
    config: from `rethinking.theory.config.expressivity`.
    workdir: a folder, made if it is not there.
    quiet: print nothing.

  Returns:
    What `summary.json` holds; its accuracies are the constructed network's.

  Raises:
    UserError: for a config that cannot be run, and for repeated images with
      different labels, which no function fits.
  """
  experiments.check(config, "expressivity")
  experiment = functools.partial(_run, quiet=quiet)
  return folder.run_once(config, workdir, _prepare, experiment, quiet=quiet)


def _prepare(config: ConfigDict) -> tuple[Task, np.ndarray]:
  """The task, and the rows of the first copy of each image."""
  task = task_lib.load(config)
  train = task.train
  return task, task_lib.distinct(train.images, [train.labels], train.ids)


def _run(
  config: ConfigDict,
  workdir: epath.Path,
  prepared: tuple[Task, np.ndarray],
  say: folder.Say,
  quiet: bool,
) -> dict[str, Any]:
  """Builds, trains and compares; returns the summary."""
  task, rows = prepared
  files.write_json(workdir / "corruption.json", task.report)

  built, curve = _construct(config, task, rows)
  mlp = train.run(_mlp_config(config), workdir / "mlp", quiet=quiet)
  compared = [
    {
      "network": network,
      "weights": found[weights],
      "train_accuracy_percent": 100 * found["train_accuracy"],
      "test_accuracy_percent": 100 * found["test_accuracy"],
      "seconds": found[seconds],
    }
    for network, found, weights, seconds in (
      ("theorem 1", built, "weights", "construction_seconds"),
      (f"{config.arch}, trained", mlp, "num_parameters", "wall_seconds"),
    )
  ]
  tables.write(workdir, compared, _COLUMNS)
  if config.plots:
    title = f"{config.dataset}: the network of Theorem 1, n = {len(rows):,}"
    with plots.drawing("theorem.png"):
      pictures.theorem(*curve, workdir, title)
  say(tables.formatted(compared, _COLUMNS).rstrip())
  return {
    **built,
    "flip_rate": float(task.report["flip_rate"]),
    "repeats_left_out": len(task.train.ids) - len(rows),
    "mlp_train_accuracy": mlp["train_accuracy"],
    "mlp_test_accuracy": mlp["test_accuracy"],
    "mlp_weights": mlp["num_parameters"],
    "data_source": task.source,
  }


def _mlp_config(config: ConfigDict) -> ConfigDict:
  c = training_config.default()
  # Its own are what it is, and the examples that one dispatch evaluates.
  own = {"experiment": c.experiment, "eval_batch_size": c.eval_batch_size}
  c.update({name: config[name] for name in c if name in config} | own)
  c.variant = f"{config.variant}_mlp"
  c.crop = 0
  c.eval_epochs = max(1, config.epochs // 10)
  c.tensorboard = False
  return c


def _construct(config, task, rows):
  """The network, its numbers, and its function along the projection."""
  splits = task.train, task.test
  train, test = (s.images.reshape(len(s.ids), -1) for s in splits)
  labels = np.asarray(task.train.labels)[rows]
  key = root_key(config.seed)
  with jax.enable_x64(True):
    # The largest array in float64, so it is made once.
    x = jnp.asarray(train[rows] / 255.0)
    start = time.monotonic()
    variables = jax.block_until_ready(theorem.construct(key, x, labels))
    seconds = time.monotonic() - start
    size, classes = config.eval_batch_size, task.num_classes
    train_outputs = _outputs(variables, x, size)
    test_outputs = _outputs(variables, test / 255.0, size)
    train_class = np.asarray(theorem.classify(train_outputs, classes))
    test_class = np.asarray(theorem.classify(test_outputs, classes))
    z = np.asarray(jnp.matmul(x, variables["params"]["a"]))
    order = np.argsort(z)
    curve = _curve(variables, z[order])
    largest = float(jnp.abs(variables["params"]["w"]).max())
  built = {
    "n": len(rows),
    "dimension": x.shape[1],
    "weights": theorem.count(variables),
    "expected_weights": 2 * len(rows) + x.shape[1],
    "train_accuracy": float(np.mean(train_class == labels)),
    "test_accuracy": float(np.mean(test_class == task.test.labels)),
    "largest_train_error": float(np.abs(train_outputs - labels).max()),
    "median_abs_test_output": float(np.median(np.abs(test_outputs))),
    "largest_abs_weight": largest,
    "construction_seconds": seconds,
  }
  return built, (*curve, z[order], labels[order])


def _outputs(variables, inputs, size) -> np.ndarray:
  """The network's outputs, computed for `size` examples at a time."""
  evaluate = jax.jit(theorem.apply)
  parts = [
    evaluate(variables, jnp.asarray(inputs[rows]))
    for rows in cholesky.spans(len(inputs), size)
  ]
  return np.concatenate(parts)


def _curve(variables, samples) -> tuple[np.ndarray, np.ndarray]:
  """The function on a grid of the whole range and one of its middle.

  As a function of z the network is that of d = 1 with a = 1.
  """
  near = samples[pictures.close_up(samples)]
  whole = np.linspace(samples[0], samples[-1], 1500)
  close = np.linspace(near[0], near[-1], 500)
  z = np.unique(np.concatenate([whole, close, near]))
  along = {"params": {**variables["params"], "a": jnp.ones(1)}}
  return z, _outputs(along, z[:, None], 256)

"""Memorisation and generalisation under corrupted data, in JAX.

The rooms; each may import those further down, and none of its own group:

  main         the command: flags, an experiment, its report
  export       the command that writes a corrupted data set

  sweeps       many runs of one config
  theory       kernel fits, Theorem 1, Rademacher complexity
  benchmark    how fast it is, beside PyTorch
  exports      a corrupted data set as files

  report       figures, tables and claims from what runs left

  training     one run: task, step, loop, summary

  label_issues which labels look wrong, and how sure that is

  memorization who trains on what in an ensemble, and what that says

  config       every field, its variants and checks

  data         datasets as arrays, and augmentation

  models       the architectures

  ops          how a convolution, a pool, a batch norm is computed

  storage      files, checkpoints, locks, events

  runtime      devices, processes, signals, the console

  corruptions  the library: labels and pixels; imports nothing of these

The ideas that hold it together: corruption is a pure function of (key, example
id, level) and happens in the step, so that levels and seeds share a program;
the step is written once and knows no devices; a run is a group of one; a run is
its config, and a workdir of another config is refused, naming what differs.

`run(config, workdir)` does what a config describes, as `main` does:

  import sys
  import rethinking
  sys.path.append("configs")
  import digits
  summary = rethinking.run(digits.get_config("random_labels"), "runs/demo")
  print(summary["train_accuracy"], summary["test_accuracy"])
"""

import importlib
import os
import re
import signal
import sys
from typing import Any

__version__ = "0.1.0"


def load(workdir: str | os.PathLike) -> Any:
  """Returns the trained model of a run, `rethinking.training.trained.Trained`.

  model = rethinking.load("runs/demo")
  model.predict(images)  # uint8 [N, H, W, C] to probabilities [N, K].

  Args:
    workdir: of a finished run, or of a sweep's run with `keep_params`.

  Raises:
    UserError: where there is no model.
  """
  # As in `run`.
  from rethinking.training import trained

  return trained.load(workdir)


def run(config, workdir: str | os.PathLike, *, train=None, test=None) -> Any:
  """Does what a config describes, as the command does.

  Args:
    config: from a config file or `rethinking.config.default`.
    workdir: folder for everything it leaves.
    train: a `rethinking.data.Dataset` to train on instead of the config's, such
      as `Dataset.from_arrays` makes; with `test`.
    test: likewise.

  Returns:
    What the experiment's own `run` returns: of a training run its summary.

  Raises:
    UserError: for an unknown experiment, or what the experiment refuses.
  """
  # Imported when asked for: JAX takes a second.
  from rethinking.config import experiments

  module = importlib.import_module(experiments.chosen(config).module)
  if train is None and test is None:
    return _run(module, config, workdir)
  from rethinking.data import own

  with own.holding(train, test) as name:
    return _run(module, own.config_of(config, name), workdir)


def _run(module: Any, config: Any, workdir: str | os.PathLike) -> Any:
  """Runs an experiment, and leaves the page of its workdir."""
  from rethinking.report import page
  from rethinking.runtime import processes

  done = module.run(config, workdir)
  if processes.is_first():
    page.write(workdir)
  return done


def stop_imports(number: int, frame: Any) -> None:
  """Ends a command by a signal before `runtime.cli.call` says what it means."""
  del number, frame
  try:
    os.write(2, b"Stopped before it began; nothing was changed.\n")
  finally:
    os._exit(75)


def _is_command() -> bool:
  """Whether `python -m` looks for a command of this package, to run it next."""
  if sys.argv[:1] != ["-m"]:
    return False
  wanted = sys.orig_argv[-len(sys.argv)].removeprefix("-m")
  return re.fullmatch(r"rethinking\.\w+", wanted) is not None


# The command's imports take a second. `runtime.cli.call` has the end of this.
if _is_command():
  for _number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is not signal.SIG_IGN:
      signal.signal(_number, stop_imports)

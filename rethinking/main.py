"""Does what a config describes: a training run on corrupted data, or a sweep.

  python -m rethinking.main --config=configs/digits.py:random_labels
  python -m rethinking.main --config=configs/cifar.py:partial_labels,p=0.4 \\
      --workdir=DIR --config.seed=3

In several processes (TPU VM, Slurm, Kubernetes: found by JAX; or by hand),
the same command in each:

  python -m rethinking.main --multihost [--coordinator=HOST:PORT \\
      --process_count=N --process_id=I] --config=... --workdir=SHARED_FOLDER

On a cluster, each share of a sweep by a command of its own, any number at once
and on any machine; the last one to end draws (more: bash launch.sh --help):

  python -m rethinking.main --shard=I/N --config=... --workdir=SHARED_FOLDER

The same command with the same workdir continues what was interrupted.
Exit codes: 0 finished, 1 failed, 2 refused input, 75 stopped and resumable.
"""

import contextlib
import datetime
import os
import pathlib
import sys
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from rethinking import run
from rethinking.config import experiments, listing, overrides, records
from rethinking.runtime import cli
from rethinking.runtime.errors import Diverged, Stopped, UserError

_WORKDIR = flags.DEFINE_string(
  "workdir",
  None,
  "Folder for everything the run leaves; a dated one under runs/ if not given.",
)

_PRED_PROBS = flags.DEFINE_string(
  "pred_probs",
  None,
  "An .npy of held-out class probabilities [N, K] in ascending order of id, or "
  "an .npz with pred_probs and ids: trains nothing, and ranks the labels that "
  "the config trains on by them, as the variant label_issues does.",
)

_SHARD = flags.DEFINE_string(
  "shard",
  None,
  "I/N: makes the I-th, from 0, of N shares of a sweep's runs; auto: which one "
  "a Slurm array or a TPU's worker says.",
)
_PLAN = flags.DEFINE_boolean(
  "plan", False, "With --shard: lists what each share makes, and runs nothing."
)

_MULTIHOST = flags.DEFINE_boolean(
  "multihost",
  False,
  "This is one of several processes that make the same run, each with its own "
  "devices; start the same command in all of them.",
)
_COORDINATOR = flags.DEFINE_string(
  "coordinator",
  None,
  "HOST:PORT of process 0; with --multihost, where JAX finds no cluster.",
)
_PROCESS_COUNT = flags.DEFINE_integer(
  "process_count", None, "How many processes; with --coordinator."
)
_PROCESS_ID = flags.DEFINE_integer(
  "process_id", None, "This process's number, from 0; with --coordinator."
)


def main(config: ConfigDict) -> int:
  """Runs what the config's `experiment` names; returns the exit code."""
  # Imported here: --help and a mistyped config should not wait for JAX.
  import jax

  from rethinking.runtime import processes, signals
  from rethinking.training import parallel

  records.rename(config)
  overrides.check(config, cli.overridden())
  experiment = experiments.chosen(config)
  given = _WORKDIR.value
  if given == "":
    raise UserError("--workdir must be a folder, got ''; try to leave it out.")
  place = (_COORDINATOR.value, _PROCESS_COUNT.value, _PROCESS_ID.value)
  processes.check(_MULTIHOST.value, *place)
  if _MULTIHOST.value and not experiment.shared:
    raise UserError(
      f"--multihost must be left out of {config.experiment!r}, which runs in "
      "one process, got it; try without."
    )
  if _MULTIHOST.value and given is None:
    raise UserError(
      "--multihost must have a --workdir that all processes share, got none; "
      "try --workdir=DIR."
    )
  if _PLAN.value and _SHARD.value is None:
    raise UserError(
      "--plan must be with --shard, got it alone; try --shard=0/8 --plan."
    )
  share = None if _SHARD.value is None else _share(config)
  if _PLAN.value:
    from rethinking.sweeps import sharing

    print(sharing.plan(config, share.count))
    return cli.FINISHED
  if share is not None and given is None:
    raise UserError(
      "--shard must have a --workdir that all shares use, got none; try "
      "--workdir=DIR."
    )
  workdir = _dated_folder(config) if given is None else given
  try:
    if _MULTIHOST.value:
      with signals.on_signal(_end_waiting):
        processes.start(*place)
        parallel.connect()
    if share is not None:
      from rethinking.sweeps import sharing

      sharing.run(config, workdir, share)
    elif _PRED_PROBS.value is None:
      run(config, workdir)
    else:
      from rethinking.report import page
      from rethinking.sweeps import predictions

      predictions.rank(config, workdir, _PRED_PROBS.value)
      page.write(workdir)
  except UserError:
    if given is None:
      with contextlib.suppress(OSError):
        os.removedirs(workdir)
    # All refuse the same; one says it.
    if processes.is_first():
      raise
    return cli.REFUSED
  except (Stopped, Diverged) as error:
    signals.ignore()
    resumable = isinstance(error, Stopped)
    if processes.is_first():
      print(error if resumable else f"error: {error}", file=sys.stderr)
    return cli.STOPPED if resumable else cli.FAILED
  except KeyboardInterrupt:
    signals.ignore()
    print(_kept(workdir), file=sys.stderr)
    if processes.several():
      processes.exit_now(cli.STOPPED)
    return cli.STOPPED
  except OSError as error:
    if not processes.several():
      raise
    print(f"error: {error}", file=sys.stderr)
    processes.exit_now(cli.FAILED)
  except jax.errors.JaxRuntimeError as error:
    if not processes.several():
      raise
    print(f"error: {processes.describe_failure(error)}", file=sys.stderr)
    processes.exit_now(cli.FAILED)
  return cli.FINISHED


def _share(config: ConfigDict) -> Any:
  """The share that --shard names, which it says where it was read."""
  from rethinking.sweeps import shares

  experiments.check(config, "sweep")
  for flag, given in (
    ("--multihost", _MULTIHOST.value),
    ("--pred_probs", _PRED_PROBS.value is not None),
  ):
    if given:
      raise UserError(
        f"--shard must be without {flag}, got both; try one of them."
      )
  share, source = shares.parse(_SHARD.value, os.environ)
  print(f"Share {share}, by {source}.")
  return share


def _dated_folder(config: ConfigDict) -> pathlib.Path:
  """Makes a folder of this command's own."""
  now = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
  name = f"{now}_{config.dataset}_{config.variant}"
  folder, number = pathlib.Path("runs", name), 1
  while True:
    try:
      folder.mkdir(parents=True)
    except FileExistsError:
      # Another command began in the same second.
      number += 1
      folder = folder.with_name(f"{name}_{number}")
    else:
      print(f"workdir: {folder}")
      return folder


def _kept(workdir: str | pathlib.Path) -> str:
  """What a workdir holds after a signal that came when none could be saved."""
  from rethinking.storage import checksums, files

  folder = files.workdir(workdir)
  if (folder / "summary.json").exists():
    return f"Stopped after the end; everything is in {workdir}."
  saves = ["checkpoints/*", "cells/*/checkpoints/*", "groups/*/*"]
  saves += [f"shares/*/{save}" for save in saves[1:]]
  kept = [f"{save}/{checksums.NAME}" for save in saves]
  if any(
    any(folder.glob(x)) for x in [*kept, "cells/*/summary.json", "rows/*"]
  ):
    return (
      f"Stopped; the same command with --workdir={workdir} continues from what "
      "was saved last."
    )
  return "Stopped before anything was saved; the same command begins anew."


def _end_waiting() -> None:
  """Ends a process that waits for the others."""
  from rethinking.runtime import processes

  print(
    "Stopped before all processes were there; the same command in each of "
    "them continues.",
    file=sys.stderr,
  )
  processes.exit_now(cli.STOPPED)


if __name__ == "__main__":
  cli.run(main, more=listing.text)

"""Trains on corrupted data: one run or a sweep, as its config describes it.

  python -m rethinking.main --config=configs/digits.py:random_labels
  python -m rethinking.main --config=configs/cifar.py:partial_labels,p=0.4 \\
      --workdir=DIR --config.seed=3

The same command with the same workdir continues what was interrupted.
Exit codes: 0 finished, 1 failed, 2 refused input, 75 stopped and resumable.
"""

import datetime
import pathlib
import sys

from absl import flags
from ml_collections import ConfigDict

from rethinking import cli
from rethinking.errors import UserError

_WORKDIR = flags.DEFINE_string(
  "workdir",
  None,
  "Folder for everything the run leaves; a dated one under runs/ if not given.",
)


def main(config: ConfigDict) -> int:
  """Runs what the config's `experiment` names; returns the exit code."""
  # Imported here: --help and a mistyped config should not wait for JAX.
  from rethinking import sweep, train
  from rethinking.theory import expressivity, kernel, rademacher

  runs = {
    "train": train.run,
    "sweep": sweep.run,
    "kernel": kernel.run,
    "expressivity": expressivity.run,
    "rademacher": rademacher.run,
  }

  if config.experiment not in runs:
    raise UserError(
      f"Unknown experiment {config.experiment!r}; choose one of {sorted(runs)}."
    )
  workdir = _WORKDIR.value
  if workdir is None:
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    workdir = str(
      pathlib.Path("runs") / f"{now}_{config.dataset}_{config.variant}"
    )
    print(f"workdir: {workdir}")
  try:
    runs[config.experiment](config, workdir)
  except (train.Diverged, OSError) as error:
    print(f"error: {error}", file=sys.stderr)
    return cli.FAILED
  except train.Stopped as error:
    print(error, file=sys.stderr)
    return cli.STOPPED
  return cli.FINISHED


if __name__ == "__main__":
  cli.run(main)

"""The experiments, a row each; what one needs is imported when it runs."""

from typing import NamedTuple

from ml_collections import ConfigDict

from rethinking.runtime.errors import UserError


class Experiment(NamedTuple):
  """What a config can ask for.

  Attributes:
    sentence: what it is.
    module: whose `run(config, workdir)` does it.
    shared: several processes can share its work.
  """

  sentence: str
  module: str
  shared: bool = False


EXPERIMENTS = {
  "train": Experiment("One run.", "rethinking.training.run", shared=True),
  "sweep": Experiment(
    "A grid of runs, with figures and tables.",
    "rethinking.sweeps.run",
    shared=True,
  ),
  "kernel": Experiment(
    "Minimum-norm kernel fits of given labels.", "rethinking.theory.kernel"
  ),
  "expressivity": Experiment(
    "Theorem 1's network beside an MLP.", "rethinking.theory.expressivity"
  ),
  "rademacher": Experiment(
    "Bounds of Rademacher complexity.", "rethinking.theory.rademacher"
  ),
}


def chosen(config: ConfigDict) -> Experiment:
  """Returns the row of what a config asks for.

  Args:
    config: of any experiment, resolved or not.

  Raises:
    UserError: for an unknown one.
  """
  name = config.get("experiment")
  if name not in EXPERIMENTS:
    raise UserError(
      f"Unknown experiment {name!r}; choose one of {sorted(EXPERIMENTS)}."
    )
  return EXPERIMENTS[name]

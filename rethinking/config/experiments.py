"""The experiments, a row each; what one needs is imported when it runs."""

from typing import NamedTuple

from ml_collections import ConfigDict

from rethinking.runtime.allowed import choose
from rethinking.runtime.errors import UserError


class Experiment(NamedTuple):
  """What a config can ask for.

  Attributes:
    sentence: what it is.
    module: whose `run(config, workdir)` does it.
    shared: several processes can share its work.
    config: "module:function" from its name and a data set's to its config,
      where that is not a training run's: a variant of every config file.
  """

  sentence: str
  module: str
  shared: bool = False
  config: str = ""


_THEORY = "rethinking.theory"
_CONFIG = f"{_THEORY}.config:create"

# fmt: off
EXPERIMENTS = {
  "train": Experiment("One run.", "rethinking.training.run", shared=True),
  "sweep": Experiment("A grid of runs, with figures and tables.",
                      "rethinking.sweeps.run", shared=True),
  "kernel": Experiment("Minimum-norm kernel fits of given labels.",
                       f"{_THEORY}.kernel", config=_CONFIG),
  "expressivity": Experiment("Theorem 1's network beside an MLP.",
                             f"{_THEORY}.expressivity", config=_CONFIG),
  "rademacher": Experiment("Bounds of Rademacher complexity.",
                           f"{_THEORY}.rademacher", config=_CONFIG),
}
# fmt: on


def chosen(config: ConfigDict) -> Experiment:
  """Returns the row of what a config asks for.

  Args:
    config: of any experiment, resolved or not.

  Raises:
    UserError: for an unknown one, or what is no config.
  """
  if not isinstance(config, ConfigDict):
    raise UserError(
      f"config must be a ConfigDict, got a {type(config).__name__}; try "
      "rethinking.config.default(), then its update(...)."
    )
  name = config.get("experiment")
  choose("experiment", name, EXPERIMENTS)
  return EXPERIMENTS[name]


def check(config: ConfigDict, *names: str) -> None:
  """Refuses a config of another experiment, by which it would mean less.

  Args:
    config: of any experiment, resolved or not.
    *names: of the experiments that are done here.

  Raises:
    UserError: naming what the config is of.
  """
  chosen(config)
  if config.experiment not in names:
    raise UserError(
      f"experiment must be {' or '.join(names)} here, got "
      f"{config.experiment}; try another variant of the config file, or "
      "rethinking.run, which does what any config describes."
    )

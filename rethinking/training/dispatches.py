"""Where the dispatches of a run begin and end."""

import jax
from ml_collections import ConfigDict

from rethinking import models
from rethinking.training import optim


def platform_steps(config: ConfigDict) -> int | None:
  """Returns the most steps of a dispatch where the config leaves them open.

  None, a whole epoch, on accelerators, where the host would be waited for. On
  a CPU one of a network with convolutions, which are slow inside a loop, and as
  many as 4,096 examples take of others: a signal is heard after a dispatch.
  configs/results/benchmark.md has the timings.

  Args:
    config: resolved.
  """
  if jax.default_backend() != "cpu":
    return None
  dense = models.ARCHITECTURES[config.arch].dense
  return max(1, 4096 // config.batch_size) if dense else 1


class Dispatches:
  """The steps after which the host may stop, evaluate or save.

  They are absolute: multiples of `chunk_steps`, the config's or the platform's,
  or the ends of epochs where the platform takes those whole. So a run resumed
  at one of them dispatches what an uninterrupted one does.

  Args:
    config: resolved.
    num_examples: examples per epoch.

  Attributes:
    most: the steps that a dispatch takes at most.
  """

  def __init__(self, config: ConfigDict, num_examples: int):
    self._chunk = config.chunk_steps or platform_steps(config)
    self._sizes = (num_examples, config.batch_size)
    # Evaluations end dispatches too.
    span = optim.epoch_end(min(config.eval_epochs, config.epochs), *self._sizes)
    self.most = min(self._chunk or optim.epoch_end(1, *self._sizes), span)

  def end(self, step: int) -> int:
    """Returns the first step after `step` at which a dispatch may end.

    Args:
      step: from 0.
    """
    if self._chunk:
      return step - step % self._chunk + self._chunk
    num_examples, batch_size = self._sizes
    epoch = step * batch_size // num_examples
    return optim.epoch_end(epoch + 1, num_examples, batch_size)

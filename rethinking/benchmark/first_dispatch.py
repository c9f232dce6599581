"""Trains digits for an epoch; prints first when the first dispatch ended.

python -m rethinking.benchmark.first_dispatch WORKDIR
"""

import sys
import time

from rethinking import config
from rethinking.runtime.console import Console
from rethinking.training import run as train


class Watch(Console):
  """Prints the time, in seconds, after each dispatch.

  A run waits for its first one, which compiles.
  """

  def step(self, step: int, images_per_second: float | None = None) -> None:
    if step:
      print(time.time())


if __name__ == "__main__":
  chosen = config.default()
  chosen.update(dataset="digits", arch="digits_cnn", crop=0, epochs=1)
  chosen.update(plots=False, tensorboard=False)
  train.run(chosen, sys.argv[1], quiet=True, console=Watch(0, "", quiet=True))

"""Trains digits for an epoch; prints when the first dispatch had ended.

python -m rethinking.benchmark.first_dispatch WORKDIR
"""

from __future__ import annotations

import sys
import time

from rethinking import config, train
from rethinking.console import Console


class Watch(Console):
  """Prints the time of day, in seconds, at the first step."""

  def __init__(self):
    super().__init__(0, "", quiet=True)
    self._seen = False

  def step(self, step: int, images_per_second: float | None = None) -> None:
    # A run waits for the dispatch that compiles before it says so.
    if step and not self._seen:
      self._seen = True
      print(time.time())


if __name__ == "__main__":
  chosen = config.default()
  chosen.update(dataset="digits", arch="digits_cnn", crop=0, epochs=1)
  chosen.update(plots=False, tensorboard=False)
  train.run(chosen, sys.argv[1], quiet=True, console=Watch())

"""The main command, of which one share can be hit at its first checkpoint.

HIT is SIGKILL:I, which the I-th share of a Slurm array sends itself, or WAIT:I,
where it makes the file HIT_LOG and waits for a signal. Once requeued it is not.
"""

import os
import pathlib
import signal

from rethinking import main
from rethinking.runtime import cli
from rethinking.training import loop


def hit(how: str) -> None:
  """Makes the first save of this process the last thing that it does."""
  save = loop.Loop.save

  def saved(self, **which):
    loop.Loop.save = save
    save(self, **which)
    if how == "SIGKILL":
      os.kill(os.getpid(), signal.SIGKILL)
    pathlib.Path(os.environ["HIT_LOG"]).touch()
    signal.pause()

  loop.Loop.save = saved


if __name__ == "__main__":
  how, _, share = os.environ.get("HIT", "").partition(":")
  # Slurm sets it from the second time on.
  if "SLURM_RESTART_COUNT" not in os.environ and (
    share and share == os.environ["SLURM_ARRAY_TASK_ID"]
  ):
    hit(how)
  cli.run(main.main)

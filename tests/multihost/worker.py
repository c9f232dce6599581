"""The main command, watched: what it writes, and a signal at a given step."""

import os
import signal
import sys
import time

from rethinking import cli, loop, main


def watch(root: str, log: str) -> None:
  """Notes each path below `root` that Python changes."""

  def hook(event, arguments):
    if event == "open":
      path, mode, flags = arguments
      changes = (
        any(c in mode for c in "wax+")
        if isinstance(mode, str)
        else flags & (os.O_WRONLY | os.O_RDWR)
      )
    else:
      path = arguments[0] if arguments else None
      changes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir")
    if changes and isinstance(path, str | os.PathLike):
      path = os.fspath(path)
      if path.startswith(root):
        with open(log, "a") as file:
          file.write(f"{event} {path}\n")

  sys.addaudithook(hook)


def hit(number: int, cell: str, at: int) -> None:
  """Sends this process a signal after the evaluation of step `at`."""
  whole = loop.Loop.evaluate

  def evaluate(self, step, *args):
    whole(self, step, *args)
    if step == at and cell in str(self.workdir):
      os.kill(os.getpid(), number)
      # All wait for this process meanwhile, so JAX can tell them.
      time.sleep(3)

  loop.Loop.evaluate = evaluate


if __name__ == "__main__":
  watch(os.environ["WATCHED"], os.environ["WATCH_LOG"])
  if "HIT" in os.environ:
    name, cell_name, step_name = os.environ["HIT"].split(":")
    hit(signal.Signals[name], cell_name, int(step_name))
  cli.run(main.main)

"""Main commands in processes of their own that start without delay.

A server imports the package once and is forked for each command, one at a
time. Run as a script this file is the server: for a request, a line of JSON,
it prints the number of the process, and its exit code when it has ended.
"""

import importlib
import itertools
import json
import os
import pathlib
import resource
import select
import subprocess
import sys
import time

from rethinking import export, main
from rethinking.report import __main__ as report
from rethinking.runtime import cli

_ROOT = str(pathlib.Path(__file__).resolve().parents[2])


class Server:
  """Starts commands; one runs at a time."""

  def __init__(self, cache: os.PathLike):
    self._process = subprocess.Popen(
      [sys.executable, __file__],
      # The package beside these tests, whichever is installed.
      env=os.environ
      | {"XDG_CACHE_HOME": os.fspath(cache), "PYTHONPATH": _ROOT},
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      bufsize=0,
    )

  def start(
    self,
    flags: list[str],
    log: os.PathLike,
    file_size: int | None = None,
    clock_jumps: tuple[int, ...] = (),
    module: str = "main",
    memory: int | None = None,
  ) -> "Child":
    """Starts a command; its output goes to `log`.

    Args:
      flags: of the command.
      log: a file, replaced.
      file_size: bytes that no file may grow past, as on a full disk.
      clock_jumps: seconds by which the clock is wrong, at one look after
        another, again and again.
      module: main, export or report.
      memory: bytes that the command may take.
    """
    request = json.dumps(
      [flags, os.fspath(log), file_size, clock_jumps, module, memory]
    )
    self._process.stdin.write(f"{request}\n".encode())
    return Child(self._process.stdout)

  def close(self) -> None:
    self._process.kill()
    self._process.communicate()


class Child:
  """A running command."""

  def __init__(self, replies):
    self._replies = replies
    self.pid = int(replies.readline())
    self.code: int | None = None

  def wait(self, seconds: float) -> int | None:
    """Its exit code, or minus the signal; None if it is still running."""
    if self.code is None and select.select([self._replies], [], [], seconds)[0]:
      self.code = int(self._replies.readline())
    return self.code


def run(
  flags: list[str],
  log: str,
  file_size: int | None,
  clock_jumps: list[int],
  module: str,
  memory: int | None,
) -> None:
  """What the child does, up to its exit code."""
  file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
  os.dup2(file, 1)
  os.dup2(file, 2)
  if file_size is not None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, hard))
  if clock_jumps:
    right, jumps = time.time, itertools.cycle(clock_jumps)
    time.time = lambda: right() + next(jumps)
  if memory is not None:
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (memory, hard))
  sys.argv = [f"rethinking.{module}", *flags]
  if module == "report":
    cli.call(report.main, "stopped")
  cli.run({"main": main, "export": export}[module].main)


if __name__ == "__main__":
  # What commands import late, and slowly.
  for name in (
    "matplotlib.figure",
    "rethinking.sweeps.run",
    "rethinking.theory.kernel",
    "sklearn.datasets",
    "tensorboardX.proto.event_pb2",
  ):
    importlib.import_module(name)
  for line in sys.stdin.buffer:
    pid = os.fork()
    if not pid:
      run(*json.loads(line))
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)

"""The main command in a process of its own that starts without delay."""

import multiprocessing
import os
import resource
import sys

# Imported once; each child is forked from a server that has them.
_PRELOAD = [
  "matplotlib.figure",
  "rethinking.main",
  "rethinking.sweep",
  "rethinking.theory.kernel",
  "sklearn.datasets",
]


def start(
  flags: list[str], log: os.PathLike, cache: os.PathLike, file_size: int = -1
) -> multiprocessing.Process:
  """Starts the command; its output goes to `log`.

  Args:
    flags: of rethinking.main.
    log: a file, replaced.
    cache: XDG_CACHE_HOME.
    file_size: bytes no file may grow past, as on a full disk; -1: no limit.
  """
  context = multiprocessing.get_context("forkserver")
  context.set_forkserver_preload(_PRELOAD)
  child = context.Process(
    target=run, args=(flags, os.fspath(log), os.fspath(cache), file_size)
  )
  child.start()
  return child


def run(flags: list[str], log: str, cache: str, file_size: int) -> None:
  """What the child does, up to its exit code."""
  file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
  os.dup2(file, 1)
  os.dup2(file, 2)
  os.environ["XDG_CACHE_HOME"] = cache
  if file_size >= 0:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, hard))

  from rethinking import cli, main

  sys.argv = ["rethinking.main", *flags]
  cli.run(main.main)

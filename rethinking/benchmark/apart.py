"""PyTorch's side of the benchmark, in a process of its own.

What the project sets for JAX, such as how the process keeps memory, must not
reach PyTorch, nor must its data loaders fork a process in which JAX runs.
The new process imports the command's module, so that must set nothing at its
import.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any


class Apart:
  """Functions of a module, called in another process.

  Args:
    module: name of the module, imported there.
    make: name of a function in it that returns the functions to call, each of
      one count.
    arguments: of `make`, picklable.
  """

  def __init__(self, module: str, make: str, arguments: Sequence[Any]):
    self._process = concurrent.futures.ProcessPoolExecutor(
      1, multiprocessing.get_context("spawn")
    )
    self._process.submit(_start, module, make, tuple(arguments)).result()

  def work(self, index: int) -> Callable[[int], None]:
    """Returns one of the functions, as a call that waits for its end.

    Args:
      index: its place among those that `make` returns.
    """

    def call(count: int) -> None:
      self._process.submit(_call, index, count).result()

    return call

  def __enter__(self) -> Apart:
    return self

  def __exit__(self, *_) -> None:
    """Ends the process."""
    self._process.shutdown()


_made: Sequence[Callable[[int], None]] = ()


def _start(module, make, arguments):
  global _made
  _made = getattr(importlib.import_module(module), make)(*arguments)


def _call(index, count):
  _made[index](count)

"""Work in processes of their own, such as PyTorch's side of the benchmark.

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


def _pool() -> concurrent.futures.ProcessPoolExecutor:
  return concurrent.futures.ProcessPoolExecutor(
    1, multiprocessing.get_context("spawn")
  )


def call(function: Callable[[], Any]) -> Any:
  """Returns what a function returns in a fresh process.

  Args:
    function: of a module, picklable; so must its result be.
  """
  with _pool() as pool:
    return pool.submit(function).result()


class Subprocess:
  """Functions of a module, called in another process.

  Args:
    module: name of the module, imported there.
    make: name of a function in it that returns the functions to call, each of
      one count.
    arguments: of `make`, picklable.
  """

  def __init__(self, module: str, make: str, arguments: Sequence[Any]):
    self._pool = _pool()
    self._pool.submit(_start, module, make, tuple(arguments)).result()

  def work(self, index: int) -> Callable[[int], None]:
    """Returns one of the functions, as a call that waits for its end.

    Args:
      index: its place among those that `make` returns.
    """
    return lambda count: self._pool.submit(_call, index, count).result()

  def __enter__(self) -> Subprocess:
    return self

  def __exit__(self, *_) -> None:
    """Ends the process."""
    self._pool.shutdown()


_made: Sequence[Callable[[int], None]] = ()


def _start(module, make, arguments):
  global _made
  _made = getattr(importlib.import_module(module), make)(*arguments)


def _call(index, count):
  _made[index](count)

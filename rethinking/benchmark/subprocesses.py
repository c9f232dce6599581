"""Work in processes of their own, such as PyTorch's side of the benchmark.

What the project sets for JAX, such as how the process keeps memory, must not
reach PyTorch, nor must its data loaders fork a process in which JAX runs.
The new process imports the command's module, so that must set nothing at its
import.
"""

import concurrent.futures
import contextlib
import functools
import importlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from typing import Any


def pool() -> concurrent.futures.ProcessPoolExecutor:
  """Returns an executor of one fresh process."""
  return concurrent.futures.ProcessPoolExecutor(
    1, multiprocessing.get_context("spawn")
  )


def call(function: Callable[[], Any]) -> Any:
  """Returns what a function returns in a fresh process.

  Args:
    function: of a module, picklable; so must its result be.
  """
  with pool() as executor:
    return executor.submit(function).result()


@contextlib.contextmanager
def functions(
  module: str, make: str, arguments: Sequence[Any]
) -> Iterator[list[Callable[[int], None]]]:
  """Has functions of a module in another process, which ends with the context.

  Args:
    module: name of the module, imported there.
    make: name of a function in it that returns the functions to call, each of
      one count.
    arguments: of `make`, picklable.

  Yields:
    As many functions, each of which calls one there and waits for its end.
  """
  with pool() as executor:

    def call(index: int, count: int) -> None:
      executor.submit(_call, index, count).result()

    made = executor.submit(_start, module, make, arguments).result()
    yield [functools.partial(call, index) for index in range(made)]


_made: Sequence[Callable[[int], None]] = ()


def _start(module, make, arguments):
  global _made
  _made = getattr(importlib.import_module(module), make)(*arguments)
  return len(_made)


def _call(index, count):
  _made[index](count)

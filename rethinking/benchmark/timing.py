"""Times that can be compared: contenders take turns."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def summary(values: Sequence[float]) -> dict[str, Any]:
  """Returns `median`, `low`, `high` and `all` of some measurements.

  Args:
    values: at least one.
  """
  values = list(values)
  return {
    "median": statistics.median(values),
    "low": min(values),
    "high": max(values),
    "all": values,
  }


def rates(found: Mapping[str, Any], amount: float) -> dict[str, Any]:
  """Returns a summary of rates from one of seconds.

  Args:
    found: summary of seconds.
    amount: what is done in each.
  """
  return summary([amount / seconds for seconds in found["all"]])


def interleaved(
  contenders: Mapping[str, Callable[[int], None]], rounds: int, seconds: float
) -> dict[str, dict[str, Any]]:
  """Times contenders in turns, so that the machine's drift hits all alike.

  Args:
    contenders: name -> function of a count that does the work that many times
      and returns when it is done.
    rounds: measurements of each.
    seconds: roughly how long one measurement takes.

  Returns:
    Name -> summary of the seconds that doing the work once takes.
  """
  counts = {}
  for name, work in contenders.items():
    # Twice: the first compiles, fills caches and finds algorithms.
    work(1)
    counts[name] = max(1, round(seconds / once(work, 1)))
  taken: dict[str, list[float]] = {name: [] for name in contenders}
  for _ in range(rounds):
    for name, work in contenders.items():
      taken[name].append(once(work, counts[name]) / counts[name])
  return {name: summary(values) for name, values in taken.items()}


def repeated(function: Callable[[], Any]) -> Callable[[int], None]:
  """Returns what calls a function a number of times.

  Args:
    function: returns when its work is done.
  """

  def work(count: int) -> None:
    for _ in range(count):
      function()

  return work


def calls(
  functions: Mapping[str, Callable[[], Any]], rounds: int, seconds: float = 0
) -> dict[str, dict[str, Any]]:
  """As `interleaved`, of functions that do the work once.

  Args:
    functions: by name.
    rounds: measurements of each.
    seconds: roughly how long one measurement takes.
  """
  contenders = {name: repeated(f) for name, f in functions.items()}
  return interleaved(contenders, rounds, seconds)


def once(work: Callable[[int], None], count: int) -> float:
  """Returns the seconds that `work(count)` takes.

  Args:
    work: does something `count` times and returns when it is done.
    count: how often.
  """
  began = time.perf_counter()
  work(count)
  return time.perf_counter() - began

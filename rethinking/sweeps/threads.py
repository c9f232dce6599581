"""Runs side by side in one process, where one alone leaves cores idle.

A step of a small network keeps one CPU core busy, not two. Each
run has a thread, and within it is the run that the main job makes, to the bit.
"""

import concurrent.futures
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from rethinking.runtime import signals


def run(
  cells: Mapping[str, ConfigDict],
  number: int,
  one: Callable[[str], Mapping[str, Any]],
  finish: Callable[[str, Mapping[str, Any]], None],
) -> None:
  """Makes runs, up to `number` at a time, in the order given.

  Args:
    cells: resolved configs by name.
    number: at least 1; with 1 there are no threads.
    one: makes the run of a name; with several it is called in a thread.
    finish: called in this thread with a name and what `one` returned, as soon
      as it has.

  Raises:
    Whatever `one` raises first, once those beside it have saved and ended.
  """
  if number == 1:
    for name in cells:
      finish(name, one(name))
    return
  names = iter(cells)
  running: dict[concurrent.futures.Future, str] = {}
  with (
    signals.deferred() as stop,
    concurrent.futures.ThreadPoolExecutor(number) as pool,
  ):
    try:
      while True:
        for name in itertools.islice(names, number - len(running)):
          running[pool.submit(one, name)] = name
        if not running:
          return
        done, _ = concurrent.futures.wait(
          running, return_when=concurrent.futures.FIRST_COMPLETED
        )
        for future in done:
          finish(running.pop(future), future.result())
    except BaseException:
      stop.set()
      raise

"""Runs side by side in one process, where one alone leaves cores idle.

A step of a small network keeps one CPU core busy, not two. Each
run has a thread, and within it is the run that the main job makes, to the bit.
"""

import concurrent.futures
import itertools
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from rethinking.runtime import processes, signals
from rethinking.sweeps import groups
from rethinking.training import placement

# Examples a step times parameters, up to which two runs side by side were
# measured to end before two one after another (digits_cnn at batch 64: 2e7).
_SMALL_STEP = 30_000_000
# Threads take turns in Python, which is a sixth of such a step.
_MOST = 4


def width(config: ConfigDict, at_once: int | None) -> int:
  """Returns how many runs like this one go side by side; 1: one at a time.

  Args:
    config: resolved.
    at_once: how many runs the user asks for in one program; None: no wish.
  """
  devices = placement.all_devices()
  # Several devices meet in a step, which two threads at a time could block;
  # processes stop at a step that they agree on, one run at a time; and only the
  # main thread hears of signals, which it tells the others.
  if len(devices) > 1 or processes.started() or at_once is not None:
    return 1
  if threading.current_thread() is not threading.main_thread():
    return 1
  if devices[0].platform != "cpu":
    return 1
  if config.batch_size * groups.parameters(config) > _SMALL_STEP:
    return 1
  return min(_cores(), _MOST)


def _cores() -> int:
  """Those that this process may use, where the system tells."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


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

"""Signals that let a run save before it ends."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from rethinking import processes

# The event of the main thread's outermost `deferred`.
_asked: list[threading.Event] = []


@contextlib.contextmanager
def deferred() -> Iterator[threading.Event]:
  """An event that SIGTERM or Ctrl-C sets, instead of ending the process.

  Within it, in this thread or others, it is the same event: what a run was
  asked at its very end is known to the sweep that it belongs to.
  """
  if _asked:
    yield _asked[-1]
    return
  if processes.started():
    with processes.preemption() as stop:
      yield stop
    return
  stop = threading.Event()
  if threading.current_thread() is not threading.main_thread():
    yield stop
    return

  def ask(number, frame):
    del frame
    if stop.is_set() and number == signal.SIGINT:
      raise KeyboardInterrupt
    stop.set()

  old = {s: signal.signal(s, ask) for s in (signal.SIGTERM, signal.SIGINT)}
  _asked.append(stop)
  try:
    yield stop
  finally:
    _asked.remove(stop)
    for number, handler in old.items():
      signal.signal(number, handler)

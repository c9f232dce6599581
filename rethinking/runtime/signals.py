"""Signals that let a run save before it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import types
from collections.abc import Callable, Iterator

from rethinking.runtime import processes

# The event of the main thread's outermost `deferred`.
_asked: list[threading.Event] = []
# Set by a signal outside one.
_early = threading.Event()


def end_at_once() -> None:
  """Lets SIGTERM end this process as Ctrl-C does, by KeyboardInterrupt.

  A callback of JAX swallows what is raised in it: the signal is noted too, for
  the next `heard`, `deferred` or `end_if_asked`.
  """

  def end(number: int, frame: types.FrameType | None) -> None:
    del number, frame
    _early.set()
    raise KeyboardInterrupt

  _early.clear()
  signal.signal(signal.SIGTERM, end)
  # A shell's background jobs ignore it.
  if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end)


def end_if_asked() -> None:
  """Ends what saves nothing, where a signal was swallowed before.

  Raises:
    KeyboardInterrupt: as the signal did.
  """
  if _early.is_set():
    raise KeyboardInterrupt


@contextlib.contextmanager
def heard(end: Callable[[], None]) -> Iterator[None]:
  """Hears SIGTERM and Ctrl-C while JAX waits, where no handler would run.

  Args:
    end: called in another thread, or at once for a signal noted before; ends
      the process.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  read, write = os.pipe()
  os.set_blocking(write, False)

  def listen() -> None:
    while number := os.read(read, 1):
      if number[0] in (signal.SIGTERM, signal.SIGINT):
        end()

  thread = threading.Thread(target=listen, daemon=True)
  thread.start()
  # Python writes a signal's number there whatever the main thread does.
  old = signal.set_wakeup_fd(write)
  try:
    if _early.is_set():
      end()
    yield
  finally:
    signal.set_wakeup_fd(old)
    os.close(write)
    thread.join()
    os.close(read)


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
      if _early.is_set():
        # JAX tells all processes of it; once is enough.
        _early.clear()
        os.kill(os.getpid(), signal.SIGTERM)
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
  if _early.is_set():
    stop.set()
  try:
    yield stop
  finally:
    _asked.remove(stop)
    for number, handler in old.items():
      signal.signal(number, handler)

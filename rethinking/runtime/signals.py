"""Signals that let a run save before it ends."""

import _thread
import contextlib
import itertools
import os
import signal
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

from rethinking.runtime import processes

# A job's end, Ctrl-C, and a terminal that hangs up.
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

# The event of the main thread's outermost `deferred`.
_asked: list[threading.Event] = []
# Set by a signal outside one.
_early = threading.Event()


class Ended(KeyboardInterrupt):
  """One of `ENDING` came.

  A class of its own: Python's own, raised where code is made from text, as for
  a dataclass, would later end the process by SIGINT instead of its exit code.
  """


def swallowed(shown: Callable[[Any], None], unraisable: Any) -> None:
  """Raises anew, soon, what a callback let no further, as `gc` does of JAX's.

  Args:
    shown: the hook for anything else.
    unraisable: what `sys.unraisablehook` is given.
  """
  if not isinstance(unraisable.exc_value, Ended):
    shown(unraisable)
  elif not processes.started():
    # Elsewhere SIGTERM is JAX's, and `_early` is looked at.
    _thread.start_new_thread(_again, ())


def _again() -> None:
  # Once the hook has returned, which it would end.
  time.sleep(0.05)
  _thread.interrupt_main(signal.SIGTERM)


def end_at_once() -> None:
  """Lets each of `ENDING` end this process by `Ended`.

  Those that it ignores stay so: a shell's background jobs ignore Ctrl-C, and
  what nohup starts a terminal that hangs up. A callback of JAX swallows what is
  raised in it: the signal is recorded too, for the next `on_signal`, `deferred`
  or `end_if_asked`.
  """
  _early.clear()
  for number in ENDING:
    if signal.getsignal(number) is not signal.SIG_IGN:
      signal.signal(number, _end)


def _end(number: int, frame: types.FrameType | None) -> None:
  del number, frame
  _early.set()
  raise Ended


def ignore() -> None:
  """Lets no signal change what a command says at its end, or its exit code."""
  if processes.started():
    # JAX may wait for the others, and has SIGTERM.
    return
  for number in ENDING:
    if signal.getsignal(number) is _end:
      signal.signal(number, signal.SIG_IGN)


def end_if_asked() -> None:
  """Ends a command that saves nothing, if a signal was swallowed before.

  Raises:
    Ended: as the signal did.
  """
  if _early.is_set():
    raise Ended


@contextlib.contextmanager
def on_signal(end: Callable[[], None]) -> Iterator[None]:
  """Handles `ENDING` while JAX waits and no handler would run.

  Args:
    end: called in another thread, or at once for a signal recorded before;
      ends the process.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  read, write = os.pipe()
  os.set_blocking(write, False)

  def listen() -> None:
    while number := os.read(read, 1):
      if number[0] in ENDING:
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


class _Agreed(threading.Event):
  """Whether all processes are to stop, the same answer in all of them."""

  # JAX agrees on a call, not on a time: the calls of all processes are
  # numbered one after another, through all the runs of a sweep.
  _calls = itertools.count(1)

  def set(self) -> None:
    super().set()
    # JAX's own handler notifies all processes.
    os.kill(os.getpid(), signal.SIGTERM)

  def is_set(self) -> bool:
    from jax.experimental import multihost_utils

    return multihost_utils.reached_preemption_sync_point(next(self._calls))


@contextlib.contextmanager
def deferred() -> Iterator[threading.Event]:
  """An event that each of `ENDING` sets, instead of ending the process.

  A second Ctrl-C ends it at once. Within it, in this thread or others, it is
  the same event: a signal at the very end of a run stops its sweep too. In a
  job of several processes a signal to any of them sets it in all after the
  same step; every process must call `is_set` equally often.
  """
  if _asked:
    yield _asked[-1]
    return
  several = processes.started()
  stop = _Agreed() if several else threading.Event()
  if threading.current_thread() is not threading.main_thread():
    yield stop
    return

  def ask(number, frame):
    del frame
    # Whether this process was asked before, whatever all have agreed on.
    if threading.Event.is_set(stop) and number == signal.SIGINT:
      raise Ended
    stop.set()

  # With several processes SIGTERM is JAX's.
  numbers = [x for x in ENDING if not (several and x == signal.SIGTERM)]
  if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    numbers.remove(signal.SIGHUP)
  old = {number: signal.signal(number, ask) for number in numbers}
  _asked.append(stop)
  if _early.is_set():
    stop.set()
    if several:
      # All processes are notified; once is enough.
      _early.clear()
  try:
    yield stop
  finally:
    _asked.remove(stop)
    for number, handler in old.items():
      signal.signal(number, handler)

"""What a command prints never ends it."""

import atexit
import contextlib
import os
import pathlib
import sys
from typing import Any, TextIO

_NOWHERE = pathlib.Path(os.devnull)
_NAMES = {"stdout": "standard output", "stderr": "standard error"}


def protect() -> None:
  """Lets this process go on where what it prints cannot be written.

  That is where a pipe's reader has ended, a disk is full, or the stream was
  closed before the command began. It is said once, where it can be.
  """
  for name in _NAMES:
    stream = getattr(sys, name)
    if stream is None:
      stream = _NOWHERE.open("w")
    if hasattr(stream, "reconfigure"):
      # A locale may lack a character.
      stream.reconfigure(errors="backslashreplace")
    if not isinstance(stream, _Output):
      setattr(sys, name, _Output(stream, _NAMES[name]))
  # Python's own last flush would end with code 120.
  atexit.register(_flush)


def _flush() -> None:
  sys.stdout.flush()
  sys.stderr.flush()


class _Output:
  """A stream that is dropped at the first error."""

  def __init__(self, stream: TextIO, name: str):
    self._stream, self._name = stream, name

  def __getattr__(self, name: str) -> Any:
    return getattr(self._stream, name)

  def write(self, text: str) -> int:
    try:
      return self._stream.write(text)
    except (OSError, ValueError) as error:
      self._drop(error)
      return len(text)

  def flush(self) -> None:
    try:
      self._stream.flush()
    except (OSError, ValueError) as error:
      self._drop(error)

  def _drop(self, error: Exception) -> None:
    # What is left in its buffer must not fail again, at the latest at exit.
    self._stream, lost = _NOWHERE.open("w"), self._stream
    # It may be no stream of the system, or closed.
    with contextlib.suppress(OSError, ValueError):
      os.dup2(self._stream.fileno(), lost.fileno())
    reason = getattr(error, "strerror", None) or error
    print(
      f"warning: {self._name} cannot be written ({reason}); going on without.",
      file=sys.stderr,
    )

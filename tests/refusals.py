"""Acts that are to be refused, and nothing that hangs."""

import contextlib
import signal

import pytest


@contextlib.contextmanager
def alarm(seconds):
  """Ends what hangs."""

  def ring(number, frame):
    raise TimeoutError(f"nothing after {seconds} s")

  old = signal.signal(signal.SIGALRM, ring)
  signal.alarm(seconds)
  try:
    yield
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


def refused(act, *words):
  """Asserts that an act is refused in one line that has all the words."""
  with alarm(60), pytest.raises(ValueError) as caught:
    act()
  line = str(caught.value)
  assert "\n" not in line
  for word in words:
    assert word in line, line

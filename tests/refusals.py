"""Acts that are to be refused, a disk that is full, nothing that hangs."""

import contextlib
import resource
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


@contextlib.contextmanager
def full_disk_of(size):
  """No file grows past so many bytes."""
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def refused(act, *words):
  """Asserts that an act is refused in one line that has all the words."""
  with alarm(60), pytest.raises(ValueError) as caught:
    act()
  line = str(caught.value)
  assert "\n" not in line
  for word in words:
    assert word in line, line

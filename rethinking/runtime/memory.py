"""What memory there is, and what was used."""

import math
import pathlib
import re
import resource
import sys


def available_bytes() -> float:
  """Memory that can still be taken: the machine's, within its cgroup's limit.

  Returns:
    Bytes; infinity on a system that reports neither.
  """
  free = _kernel_says("/proc/meminfo", "MemAvailable")
  group = _limit("memory.max", math.inf) - _limit("memory.current", 0)
  return group if free is None else min(free, group)


def peak_bytes() -> int:
  """The largest resident size of this process so far.

  Returns:
    Bytes, since the start of the process: earlier work counts too.
  """
  # What getrusage says began with the process that started this one.
  peak = _kernel_says("/proc/self/status", "VmHWM")
  if peak is None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024
  return peak


def _limit(name: str, otherwise: float) -> float:
  """What the cgroup says of itself, bytes."""
  try:
    return float((pathlib.Path("/sys/fs/cgroup") / name).read_text())
  except (OSError, ValueError):
    return otherwise


def _kernel_says(path: str, name: str) -> int | None:
  """Bytes in the line `NAME: COUNT kB` of a file; None without one."""
  try:
    text = pathlib.Path(path).read_text()
  except OSError:
    return None
  found = re.search(rf"^{name}:\s*(\d+) kB$", text, re.MULTILINE)
  return int(found[1]) * 1024 if found else None

"""What memory there is and what the process has used."""

import pathlib
import resource
import sys


def _number(path: str) -> float:
  try:
    return float(pathlib.Path(path).read_text())
  except (OSError, ValueError):
    return float("inf")


def available_bytes() -> float:
  """Memory that can still be taken: the machine's, within its cgroup's limit.

  Returns:
    Bytes; infinity on a system that tells neither.
  """
  free = float("inf")
  meminfo = pathlib.Path("/proc/meminfo")
  if meminfo.exists():
    for line in meminfo.read_text().splitlines():
      if line.startswith("MemAvailable:"):
        free = float(line.split()[1]) * 1024
  group = pathlib.Path("/sys/fs/cgroup")
  limit = _number(str(group / "memory.max"))
  used = _number(str(group / "memory.current"))
  return min(free, limit - used if limit < float("inf") else limit)


def peak_bytes() -> int:
  """The largest resident size of this process so far.

  Returns:
    Bytes, since the start of the process: earlier work counts too.
  """
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak if sys.platform == "darwin" else peak * 1024

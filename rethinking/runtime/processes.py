"""One job in several processes: which one writes, what all agree on.

Every process runs the same program on the same data and takes its part of each
batch. Only the first one writes, prints, draws and holds the lock; what only
it can read, such as a workdir, it sends to the others.
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from rethinking.runtime.errors import UserError

# JAX ends every process when one has been silent for so long.
HEARTBEAT_SECONDS = 60

# Texts are sent in blocks of this size.
_MESSAGE_BYTES = 4096


def check(
  multihost: bool, coordinator: str | None, count: int | None, index: int | None
) -> None:
  """Refuses flags that don't go together.

  Args:
    multihost: whether the job runs in several processes.
    coordinator: HOST:PORT of the first process.
    count: how many processes.
    index: this one's number, from 0.

  Raises:
    UserError: for them.
  """
  flags = ("--coordinator", "--process_count", "--process_id")
  given = dict(zip(flags, (coordinator, count, index), strict=True))
  named = [name for name, value in given.items() if value is not None]
  missing = [name for name in given if name not in named]
  if named and not multihost:
    raise UserError(
      f"{named[0]} must be with --multihost, got it alone; try both."
    )
  if not named:
    return
  if missing:
    raise UserError(
      f"{', '.join(given)} must be given together, got none of "
      f"{' and '.join(missing)}; try all, or none where JAX finds the cluster."
    )
  if not re.fullmatch(r".*[^:]:\d{1,5}", coordinator):
    raise UserError(
      f"--coordinator must be HOST:PORT of process 0, got {coordinator!r}; try "
      "the same in every process."
    )
  if count < 1 or not 0 <= index < count:
    raise UserError(
      f"--process_id must be in 0..process_count - 1, got {index} of {count}; "
      "try each number once."
    )


def start(
  coordinator: str | None, count: int | None, index: int | None
) -> None:
  """Joins the other processes of the job; returns when all have joined.

  Call it before anything that starts JAX's devices. From then on SIGTERM is
  JAX's: it is a notice for all processes (see `signals.deferred`).

  Args:
    coordinator: HOST:PORT of the first process; None, with the others: found
      by JAX (TPU, Slurm, Open MPI, Kubernetes).
    count: how many processes.
    index: this one's number, from 0.

  Raises:
    UserError: JAX finds no cluster.
    ConnectionError: the others are not reached.
  """
  import jax

  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  try:
    jax.distributed.initialize(
      coordinator, count, index, heartbeat_timeout_seconds=HEARTBEAT_SECONDS
    )
  except ValueError as error:
    raise UserError(
      "--multihost must be in a cluster (a TPU VM, Slurm, Open MPI or "
      "Kubernetes), got none; try --coordinator=HOST:PORT --process_count=N "
      "--process_id=I, or no --multihost on a single machine."
    ) from error
  except RuntimeError as error:
    raise ConnectionError(
      f"Could not join the other processes: {_first_line(error)}; start all of "
      "them, with the same --coordinator."
    ) from error


def started() -> bool:
  """Whether this process is one of a --multihost job."""
  # Without importing JAX, for which a report need not wait.
  distributed = getattr(sys.modules.get("jax"), "distributed", None)
  # It may be half imported.
  return distributed is not None and distributed.is_initialized()


def several() -> bool:
  """Whether there are other processes."""
  return started() and sys.modules["jax"].process_count() > 1


def is_first() -> bool:
  """Whether this process writes, prints and draws."""
  return not several() or sys.modules["jax"].process_index() == 0


def on_first(function: Callable[[], Any]) -> Any:
  """Calls a function in the first process; all get its result.

  Every process must call it.

  Args:
    function: returns what JSON can hold, or raises UserError.

  Returns:
    Its result, in every process.

  Raises:
    UserError: what it raised, in every process.
  """
  if not several():
    return function()
  message = {}
  if is_first():
    try:
      message = {"result": function()}
    except UserError as error:
      message = {"refused": str(error)}
  message = json.loads(_broadcast(json.dumps(message).encode()))
  if "refused" in message:
    raise UserError(message["refused"])
  return message["result"]


@contextlib.contextmanager
def reraise_everywhere() -> Iterator[None]:
  """Raises a UserError of one process in all of them.

  Every process must enter it; without it, the others would wait for the one
  that ended.

  Raises:
    UserError: with the number of the process that raised it.
  """
  if not several():
    yield
    return
  refused = ""
  try:
    yield
  except UserError as error:
    refused = str(error)
  from jax.experimental import multihost_utils

  # NumPy's byte strings are cut at this size, and padded to it.
  kind = f"S{_MESSAGE_BYTES}"
  message = np.array([refused.encode()], kind).view(np.uint8)
  gathered = np.asarray(multihost_utils.process_allgather(message))
  for index, text in enumerate(gathered.view(kind).ravel()):
    if text:
      raise UserError(f"Process {index}: {text.decode(errors='replace')}")


def _broadcast(data: bytes) -> bytes:
  """The first process's bytes, in every process."""
  from jax.experimental import multihost_utils

  share = multihost_utils.broadcast_one_to_all
  size = int(share(np.int32(len(data))))
  # Whole blocks, so that few sizes are compiled.
  padded = np.zeros(-(-size // _MESSAGE_BYTES) * _MESSAGE_BYTES, np.uint8)
  if is_first():
    padded[:size] = np.frombuffer(data, np.uint8)
  return np.asarray(share(padded)).tobytes()[:size]


def describe_failure(error: Exception) -> str:
  """Returns a line about an error of JAX in a job of several processes.

  Args:
    error: what JAX raised.
  """
  import jax

  return (
    f"Process {jax.process_index()} cannot go on: {_first_line(error)}. If "
    "another process has ended, start all again: the same command continues "
    "from the last checkpoint."
  )


def exit_now(code: int) -> NoReturn:
  """Ends this process at once; the others of its job then end too.

  An ordinary exit would wait for what JAX computes, and synchronise with the
  others first, which may be waiting for this one in a collective.

  Args:
    code: the exit code.
  """
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)


def _first_line(error: Exception) -> str:
  return (str(error).splitlines() or [type(error).__name__])[0].strip()

"""One job in several processes: who writes, what all know, when all stop.

Every process runs the same program on the same data and takes its part of each
batch. Only the first one writes, prints, draws and holds the lock; what it
alone can tell, such as what a workdir holds, it tells the others.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from rethinking.runtime.errors import UserError

# JAX ends every process when one has been silent for so long.
HEARTBEAT_SECONDS = 60

# What fits is told in one message, longer texts in two.
_MESSAGE_BYTES = 4096

_NO_CLUSTER = (
  "--multihost found no cluster (a TPU VM, Slurm, Open MPI or Kubernetes); "
  "give --coordinator=HOST:PORT --process_count=N --process_id=I, or leave "
  "--multihost out on a single machine."
)


def check(
  multihost: bool,
  coordinator: str | None,
  count: int | None,
  index: int | None,
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
  given = {
    "--coordinator": coordinator,
    "--process_count": count,
    "--process_id": index,
  }
  named = [name for name, value in given.items() if value is not None]
  missing = [name for name in given if name not in named]
  if not multihost:
    if named:
      raise UserError(f"{named[0]} goes with --multihost; give that too.")
    return
  if not named:
    return
  if missing:
    raise UserError(
      f"{named[0]} is given but not {' and '.join(missing)}; give all of "
      f"{', '.join(given)}, or none where JAX can find the cluster."
    )
  if not re.fullmatch(r".*[^:]:\d{1,5}", coordinator):
    raise UserError(
      f"--coordinator is {coordinator!r}; give HOST:PORT of process 0, the "
      "same in every process."
    )
  if count < 1 or not 0 <= index < count:
    raise UserError(
      f"--process_id is {index} of --process_count {count}; give 0 to "
      "process_count - 1, each number once."
    )


def start(
  coordinator: str | None, count: int | None, index: int | None
) -> None:
  """Joins the other processes of the job; returns when all are there.

  Call it before anything that starts JAX's devices. From then on SIGTERM is
  JAX's: it is a notice for all processes (see `preemption`).

  Args:
    coordinator: HOST:PORT of the first process; None, with the others: found
      by JAX (TPU, Slurm, Open MPI, Kubernetes).
    count: how many processes.
    index: this one's number, from 0.

  Raises:
    UserError: where JAX finds no cluster.
    ConnectionError: where the others are not reached.
  """
  import jax

  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  try:
    jax.distributed.initialize(
      coordinator,
      count,
      index,
      heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
    )
  except ValueError as error:
    raise UserError(_NO_CLUSTER) from error
  except RuntimeError as error:
    raise ConnectionError(
      f"Could not join the other processes: {_first_line(error)}; start all of "
      "them, with the same --coordinator."
    ) from error


def started() -> bool:
  """Whether this process is one of a --multihost job."""
  # Nothing was, before JAX was imported, for which a report need not wait.
  jax = sys.modules.get("jax")
  return jax is not None and jax.distributed.is_initialized()


def several() -> bool:
  """Whether there are other processes."""
  return started() and sys.modules["jax"].process_count() > 1


def is_first() -> bool:
  """Whether this process writes, prints and draws."""
  return not several() or sys.modules["jax"].process_index() == 0


def first(function: Callable[[], Any]) -> Any:
  """Calls a function in the first process; all get its result.

  Every process must come here.

  Args:
    function: returns what JSON can hold, or raises UserError.

  Returns:
    Its result, in every process.

  Raises:
    UserError: what it raised, in every process.
  """
  if not several():
    return function()
  told = {}
  if is_first():
    try:
      told = {"result": function()}
    except UserError as error:
      told = {"refused": str(error)}
  told = json.loads(_broadcast(json.dumps(told).encode()))
  if "refused" in told:
    raise UserError(told["refused"])
  return told["result"]


@contextlib.contextmanager
def together() -> Iterator[None]:
  """Makes what one process refuses refused by all.

  Every process must come here; without it, the others would wait for the one
  that ended.

  Raises:
    UserError: with the number of the process that met it.
  """
  refused = b""
  try:
    yield
  except UserError as error:
    if not several():
      raise
    refused = str(error).encode()
  if not several():
    return
  from jax.experimental import multihost_utils

  message = np.zeros(_MESSAGE_BYTES, np.uint8)
  refused = refused[:_MESSAGE_BYTES]
  message[: len(refused)] = np.frombuffer(refused, np.uint8)
  for index, row in enumerate(multihost_utils.process_allgather(message)):
    text = row.tobytes().rstrip(b"\0").decode(errors="replace")
    if text:
      raise UserError(f"Process {index}: {text}")


def _broadcast(data: bytes) -> bytes:
  """The first process's bytes, in every process."""
  from jax.experimental import multihost_utils

  head = np.zeros(_MESSAGE_BYTES, np.uint8)
  if is_first():
    size = np.frombuffer(np.uint32(len(data)).tobytes(), np.uint8)
    start_of = np.frombuffer(data[: _MESSAGE_BYTES - 4], np.uint8)
    head[:4], head[4 : 4 + len(start_of)] = size, start_of
  head = np.asarray(multihost_utils.broadcast_one_to_all(head))
  size = int(head[:4].view(np.uint32)[0])
  if size <= _MESSAGE_BYTES - 4:
    return head[4 : 4 + size].tobytes()
  whole = np.zeros(size, np.uint8)
  if is_first():
    whole[:] = np.frombuffer(data, np.uint8)
  return np.asarray(multihost_utils.broadcast_one_to_all(whole)).tobytes()


class _Preemption:
  """Whether all processes are to stop, the same answer in all of them."""

  # JAX agrees on a call, not on a time: the calls of all processes are
  # numbered one after another, through all the runs of a sweep.
  _calls = itertools.count(1)

  def is_set(self) -> bool:
    from jax.experimental import multihost_utils

    return multihost_utils.reached_preemption_sync_point(next(self._calls))


@contextlib.contextmanager
def preemption() -> Iterator[_Preemption]:
  """Asks, between steps, whether all processes are to save and stop.

  SIGTERM to any process makes all stop after the same step; Ctrl-C does what
  SIGTERM does, a second one ends at once.

  Returns:
    An object whose `is_set` every process must call equally often.
  """
  if threading.current_thread() is not threading.main_thread():
    yield _Preemption()
    return
  asked = False

  def ask(number: int, frame: types.FrameType | None) -> None:
    nonlocal asked
    del number, frame
    if asked:
      raise KeyboardInterrupt
    asked = True
    os.kill(os.getpid(), signal.SIGTERM)

  old = signal.signal(signal.SIGINT, ask)
  try:
    yield _Preemption()
  finally:
    signal.signal(signal.SIGINT, old)


def lost(error: Exception) -> str:
  """A line about an error of JAX in the midst of a job of several processes.

  Args:
    error: what JAX raised.
  """
  import jax

  return (
    f"Process {jax.process_index()} cannot go on: {_first_line(error)}. If "
    "another process has ended, start all again: the same command continues "
    "from the last checkpoint."
  )


def leave(code: int) -> NoReturn:
  """Ends this process without waiting for the others; they then end too.

  An ordinary exit would meet the others first, which may be waiting for this
  one in the midst of a step.

  Args:
    code: the exit code.
  """
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)


def _first_line(error: Exception) -> str:
  return (str(error).splitlines() or [type(error).__name__])[0].strip()

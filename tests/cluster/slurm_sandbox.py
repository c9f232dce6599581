"""A Slurm of one machine, with files and ports of its own."""

import contextlib
import os
import pathlib
import re
import secrets
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

TOOLS = (
  "munged",
  "sbatch",
  "scancel",
  "scontrol",
  "sinfo",
  "slurmctld",
  "slurmd",
  "srun",
)
# Nodes have names that resolve: JAX asks the first one for the others.
_CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def wait(until: Callable[[], Any], what: str, seconds: float = 300) -> Any:
  """Returns the first true value of `until`."""
  deadline = time.monotonic() + seconds
  while not (found := until()):
    if time.monotonic() > deadline:
      raise TimeoutError(what)
    time.sleep(0.1)
  return found


def _free_ports(count: int) -> list[int]:
  with contextlib.ExitStack() as stack:
    sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
    for one in sockets:
      one.bind(("127.0.0.1", 0))
    return [one.getsockname()[1] for one in sockets]


class Slurm:
  """A controller and two nodes of two CPUs, from `with` to its end.

  Args:
    folder: for all of its files; empty.
  """

  def __init__(self, folder: pathlib.Path):
    self.folder = folder
    self._daemons: list[subprocess.Popen] = []
    self.env = {
      # Four devices are these tests', not the jobs'.
      **{k: v for k, v in os.environ.items() if k != "XLA_FLAGS"},
      "SLURM_CONF": str(folder / "slurm.conf"),
    }

  def __enter__(self) -> "Slurm":
    try:
      self._start()
    except BaseException:
      self._end_daemons()
      raise
    return self

  def _start(self) -> None:
    munge = self.folder / "munge"
    munge.mkdir(mode=0o755)
    (self.folder / "state").mkdir()
    (munge / "key").touch(mode=0o400)
    (munge / "key").write_bytes(secrets.token_bytes(1024))
    files = ("key-file", "socket", "pid-file", "log-file", "seed-file")
    # By force: others need not enter the folders above.
    self._daemon(
      *("munged", "--foreground", "--force"),
      *(f"--{name}={munge / name.partition('-')[0]}" for name in files),
    )
    wait((munge / "socket").exists, "munged's socket")
    host = socket.gethostname().partition(".")[0]
    (self.folder / "slurm.conf").write_text(
      _CONF.format(folder=self.folder, host=host, ports=_free_ports(3))
    )
    self._daemon("slurmctld", "-D", "-c")
    for name in (host, "localhost"):
      self._daemon("slurmd", "-D", "-N", name)
    wait(self._is_idle, "two idle nodes", 60)

  def _daemon(self, *command: str) -> None:
    with (self.folder / "daemons.log").open("a") as log:
      self._daemons.append(
        subprocess.Popen(command, env=self.env, stdout=log, stderr=log)
      )

  def _is_idle(self) -> bool:
    command = ["sinfo", "--noheader", "--Node", "--format=%t"]
    found = subprocess.run(
      command, env=self.env, capture_output=True, text=True
    )
    return found.stdout.split() == ["idle", "idle"]

  def __exit__(self, *_: object) -> None:
    try:
      self.ask("scancel", "--user=root")
      wait(self._is_idle, "the end of all jobs", 60)
    finally:
      self._end_daemons()

  def _end_daemons(self) -> None:
    for daemon in reversed(self._daemons):
      daemon.terminate()
      daemon.wait(60)

  def ask(self, *command: str | pathlib.Path, **variables: str) -> str:
    """Returns what one of Slurm's commands prints."""
    found = subprocess.run(
      command,
      env={**self.env, **variables},
      stdout=subprocess.PIPE,
      text=True,
      timeout=600,
      check=True,
    )
    return found.stdout.strip()

  def state(self, job: str) -> tuple[str, int]:
    """Returns the state of JOB or JOB_TASK, and how often it was requeued."""
    shown = self.ask("scontrol", "show", "job", "--oneliner", job)
    fields = dict(re.findall(r"(\w+)=(\S+)", shown))
    return fields["JobState"], int(fields["Restarts"])

  def end(self, job: str) -> tuple[str, int]:
    """Waits for the end of a job; returns its state, as `state` does."""
    working = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING")
    wait(lambda: self.state(job)[0] not in working, f"the end of job {job}")
    return self.state(job)

"""One run at a time in a workdir."""

import contextlib
import fcntl
import os
import pathlib
import socket

from etils import epath

from rethinking.runtime import processes
from rethinking.runtime.errors import UserError
from rethinking.storage import files


class Lock:
  """Holds a workdir for this process, from `with` to its end.

  The kernel owns the lock (`flock`), so it dies with its process, however
  that ends, and no time-out is involved. Object stores have no locks: there it
  does nothing. Of a job in several processes the first one holds it for all.

  Args:
    workdir: the folder to hold; made if missing.
  """

  def __init__(self, workdir: epath.PathLike):
    self._workdir = epath.Path(workdir)
    self._path = self._workdir / ".lock"
    self._file: int | None = None

  def __enter__(self) -> "Lock":
    """Takes the lock.

    Raises:
      UserError: another job holds it, or the workdir can't be written, or a
        folder in it is a link.
    """
    processes.on_first(self._hold)
    return self

  def _hold(self) -> None:
    if files.is_local(self._workdir):
      with files.refused("The workdir", self._workdir):
        self._workdir.mkdir(parents=True, exist_ok=True)
        self._check_links()
        self._file = self._take()

  def _check_links(self) -> None:
    for folder, inside, _ in os.walk(self._workdir):
      for name in inside:
        path = pathlib.Path(folder) / name
        if path.is_symlink():
          raise UserError(
            f"The workdir's '{path}' must be a folder, got a link, through "
            "which nothing is written; try a --workdir on its disk."
          )
      # A link in the place of a save is a damaged one, which is left out.
      inside[:] = [name for name in inside if name != "checkpoints"]

  def _take(self) -> int:
    while True:
      file = files.open_own(self._path, os.O_RDWR)
      try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
      except BlockingIOError:
        holder = os.read(file, 200).decode(errors="replace").strip()
        os.close(file)
        raise UserError(
          f"The workdir '{self._workdir}' is in use by"
          f" {holder or 'another process'}; wait for it to end or choose"
          " another --workdir."
        ) from None
      # Its holder removes the file when it ends: a lock on a removed file
      # excludes no other process, so try again with the present one.
      with contextlib.suppress(FileNotFoundError):
        # pathlib takes no descriptor.
        if os.path.samefile(self._path, file):  # noqa: PTH121
          os.ftruncate(file, 0)
          holder = f"process {os.getpid()} on {socket.gethostname()}\n"
          os.write(file, holder.encode())
          return file
      os.close(file)

  def __exit__(self, *_: object) -> None:
    if self._file is not None:
      self._path.unlink(missing_ok=True)
      os.close(self._file)
      self._file = None

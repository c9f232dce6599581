"""What lies on this machine, and where what is kept between runs does."""

import os
import pathlib
import stat


def is_local(path: str | os.PathLike[str]) -> bool:
  """Whether `path` is in this machine's file system.

  Args:
    path: any; it need not exist.

  >>> is_local("runs/a"), is_local("gs://bucket/runs/a")
  (True, False)
  """
  return "://" not in os.fspath(path)


def cache_folder() -> pathlib.Path:
  """Returns `$XDG_CACHE_HOME/rethinking`, else `~/.cache/rethinking`."""
  base = pathlib.Path(os.environ.get("XDG_CACHE_HOME", ""))
  if not base.is_absolute():  # The XDG specification: ignore relative paths.
    # pathlib raises where there is no home.
    base = pathlib.Path(os.path.expanduser("~/.cache"))  # noqa: PTH111
  return base / "rethinking"


def private_folder(name: str) -> pathlib.Path:
  """Makes a folder in the cache; what is read there was written by this user.

  Args:
    name: of the folder, without a slash.

  Raises:
    OSError: it cannot be made, is another user's or others can write in it.
  """
  whole = cache_folder()
  try:
    str(whole).encode()
  except UnicodeEncodeError as error:
    # JAX's writers know no other.
    raise OSError(f"{ascii(str(whole))} must be a name in UTF-8") from error
  whole.parent.mkdir(parents=True, exist_ok=True)
  for folder in (whole, whole / name):
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
      raise PermissionError(
        f"{folder} must be yours, and writable by you alone, got owner "
        f"{status.st_uid} and mode {stat.S_IMODE(status.st_mode):04o}; try "
        f"chmod 700 {folder}, or remove it"
      )
  return folder

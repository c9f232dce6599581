"""Whole or not at all: writes that a crash or a full disk can't tear.

Every path may be local or an object store's (`gs://...`, through etils'
`epath`). Objects can't be appended to or renamed atomically, but a put
replaces one whole, so there every write is a put of the whole file.

Of a job in several processes only the first writes: in the others every write
here does nothing.
"""

import contextlib
import errno
import io
import json
import math
import os
import pathlib
import socket
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
from etils import epath

from rethinking.runtime import processes
from rethinking.runtime.errors import UserError
from rethinking.runtime.paths import is_local


def is_link(path: epath.PathLike) -> bool:
  """Whether `path` is a symbolic link, which no object store has.

  Args:
    path: any; it need not exist.
  """
  return is_local(path) and pathlib.Path(path).is_symlink()


def remove(path: epath.Path) -> None:
  """Removes a folder, or what lies in its place; no link is followed.

  Args:
    path: it need not be there.
  """
  if is_link(path) or not path.is_dir():
    path.unlink(missing_ok=True)
  else:
    path.rmtree(missing_ok=True)


def local(path: epath.PathLike, name: str) -> str:
  """Returns a local path with `~` replaced, as a shell does at its beginning.

  Args:
    path: of this machine.
    name: what to call it.

  Raises:
    UserError: for an empty one, a URL, one of unprintable characters, and one
      that is too long.
  """
  text = _text(path, name)
  if not text:
    raise UserError(f"{name} must be a folder, got ''; try a name such as out.")
  _check_printable(text, name)
  if not is_local(text):
    raise UserError(
      f"{name} must be a path of this machine, got {text!r}; try one here, "
      "perhaps of a copy."
    )
  # pathlib raises for a user that is not there.
  found = os.path.expanduser(text)  # noqa: PTH111
  if found.startswith("~"):
    user = text.partition("/")[0]
    raise UserError(
      f"{name} must be in a home folder that is there, got {text!r}; try "
      f"./{text} where it is called {user}."
    )
  # So may a home folder be named.
  _check_printable(found, name)
  sizes = [len(part) for part in os.fsencode(found).split(b"/")]
  if max(sizes) > 255 or sum(sizes) + len(sizes) > 4096:
    raise UserError(
      f"{name} must be shorter, got '{found[:30]}...' with {max(sizes)} bytes "
      f"of at most 255 in a name, {sum(sizes) + len(sizes) - 1} of at most "
      "4095 in all; try a shorter one."
    )
  return found


def _check_printable(text: str, name: str) -> None:
  if not text.isprintable():
    raise UserError(
      f"{name} must be of printable characters, got {text!r}; try a name such "
      "as out."
    )


def _text(path: epath.PathLike, name: str) -> str:
  if not isinstance(path, str | os.PathLike):
    raise UserError(f"{name} must be a path, got {path!r}; try a string.")
  return os.fspath(path)


def workdir(path: epath.PathLike) -> epath.Path:
  """Returns a workdir's path; call it before any other access.

  Args:
    path: a folder of this machine, or gs://BUCKET/FOLDER.

  Raises:
    UserError: for an empty path, another URL, or gs:// without the extra `gcs`.
  """
  if is_local(_text(path, "workdir")):
    return epath.Path(local(path, "workdir"))
  if not os.fspath(path).startswith("gs://"):
    raise UserError(
      "The workdir must be a local folder or gs://BUCKET/FOLDER, got "
      f"{os.fspath(path)!r}; try a path."
    )
  try:
    import fsspec
    import gcsfs  # noqa: F401
  except ImportError as error:
    raise UserError(
      "The extra gcs must be there for a gs:// workdir, got none; try "
      "pip install 'rethinking[gcs]'."
    ) from error
  # Other processes, and TensorStore in this one, write there too: a cached
  # listing may be out of date.
  fsspec.config.conf.setdefault("gs", {})["use_listings_cache"] = False
  return epath.Path(path)


def replace(path: epath.PathLike, data: bytes) -> None:
  """Makes `path` hold `data`: afterwards it is the old file or the new one.

  Args:
    path: the file; its folder exists.
    data: the whole new content.

  Raises:
    OSError: it could not be written (a full disk); the old file is intact.
  """
  if not processes.is_first():
    return
  path = epath.Path(path)
  if not is_local(path):
    path.write_bytes(data)
    return
  save(path, lambda file: file.write(data))


def save(path: epath.PathLike, write: Callable[[BinaryIO], Any]) -> None:
  """Makes a local file hold what `write` writes, which may be large.

  Args:
    path: the file; its folder exists.
    write: is given a file to write to.

  Raises:
    OSError: it could not be written (a full disk); the old file is intact.
  """
  path = epath.Path(path)
  # Processes of one run, or of one sweep's shares, may write it at a time. In
  # containers all have the same number.
  owner = f"{socket.gethostname()}.{os.getpid()}"
  temporary = path.parent / f".{path.name}.{owner}.tmp"
  try:
    with _named(path):
      # A link of that name is another's file.
      temporary.unlink(missing_ok=True)
      with pathlib.Path(temporary).open("xb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
      # epath's own refuses a link to a folder.
      os.replace(temporary, path)  # noqa: PTH105
  finally:
    with contextlib.suppress(OSError):
      temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _named(path: epath.Path) -> Iterator[None]:
  """Names the file in the errors of its writing; a full disk's don't."""
  try:
    yield
  except OSError as error:
    # NumPy's own, of a full disk, has neither.
    reason = error.strerror or f"written in part, {error}"
    code = error.errno or errno.EIO
    raise OSError(code, reason, os.fspath(path)) from error


@contextlib.contextmanager
def refused(name: str, folder: epath.PathLike) -> Iterator[None]:
  """Refuses a folder where a file in it can't be written, and names the file.

  Args:
    name: what to call the folder.
    folder: of the files.

  Raises:
    UserError: in place of an OSError.
  """
  try:
    yield
  except OSError as error:
    given, file = os.fspath(folder), os.fspath(error.filename or folder)
    at = "" if file == given else f" of '{file}'"
    raise UserError(
      f"{name} must be a folder that you may write to, got '{given}' "
      f"({error.strerror or error}{at}); try another, or make room."
    ) from error


def open_own(path: epath.PathLike, flags: int) -> int:
  """Opens a local file to write to, never what a link of its name leads to.

  Args:
    path: the file, made if missing; its folder exists.
    flags: of `os.open`.

  Returns:
    Its descriptor.

  Raises:
    OSError: it could not be opened, or is a link, a folder, a FIFO or a device.
  """
  own = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
  try:
    number = os.open(path, flags | own, 0o644)
  except OSError as error:
    if error.errno != errno.ELOOP:
      raise
    raise OSError(errno.ELOOP, "a link, not a file", os.fspath(path)) from error
  if not stat.S_ISREG(os.fstat(number).st_mode):
    os.close(number)
    raise OSError(errno.EINVAL, "not a file", os.fspath(path))
  return number


def append(path: epath.PathLike, data: bytes) -> None:
  """Adds `data` at the end of `path`, on disk when it returns.

  Args:
    path: the file, made if missing; its folder exists.
    data: the bytes to add.

  Raises:
    OSError: it could not be written; the file is as it was.
  """
  if not processes.is_first():
    return
  path = epath.Path(path)
  if not is_local(path):
    path.write_bytes((path.read_bytes() if path.exists() else b"") + data)
    return
  # Unbuffered: the data reaches the kernel in one write.
  with _named(path), open(path, "ab", buffering=0, opener=open_own) as file:
    size = file.seek(0, os.SEEK_END)
    try:
      written = file.write(data)
      if written != len(data):
        # The kernel wrote what fitted; the next write names the reason.
        file.write(data[written:])
      os.fsync(file.fileno())
    except OSError:
      file.truncate(size)
      raise


def _plain(value: Any) -> Any:
  """`value` in JSON's own types; what isn't finite becomes null."""
  if hasattr(value, "tolist"):
    value = value.tolist()
  if isinstance(value, float):
    return value if math.isfinite(value) else None
  if isinstance(value, Mapping):
    return {key: _plain(item) for key, item in value.items()}
  if isinstance(value, Sequence) and not isinstance(value, str | bytes):
    return [_plain(item) for item in value]
  return value


def dumps(obj: Any, indent: int | None = None) -> str:
  """JSON text of `obj`, strict: NaN and infinities become null.

  Args:
    obj: nested dicts and sequences of numbers, strings, None, NumPy or JAX
      values.
    indent: spaces a level; None for one line.

  >>> dumps({"loss": float("nan"), "steps": (1, 2)})
  '{"loss": null, "steps": [1, 2]}'
  """
  return json.dumps(
    _plain(obj), indent=indent, allow_nan=False, ensure_ascii=False
  )


def json_bytes(obj: Any) -> bytes:
  """Returns what `write_json` writes.

  Args:
    obj: as `dumps` takes it; keys stay in their order.
  """
  return (dumps(obj, indent=2) + "\n").encode()


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
  """Returns an .npz file, without the time of day: the same bytes every time.

  Args:
    arrays: by name; of no Python objects.
  """
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, "w") as archive:
    for name, values in arrays.items():
      with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
        np.lib.format.write_array(
          member, np.asanyarray(values), allow_pickle=False
        )
  return buffer.getvalue()


def write_json(path: epath.PathLike, obj: Any) -> None:
  """Writes `obj` to `path` as JSON, whole or not at all.

  Args:
    path: the file; its folder exists.
    obj: as `dumps` takes it; keys stay in their order.

  Raises:
    OSError: it could not be written; the old file is intact.
  """
  replace(path, json_bytes(obj))

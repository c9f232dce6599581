"""Downloads and prepares a dataset once, however many processes ask for it."""

import contextlib
import fcntl
import pathlib
import pkgutil
import sys
import threading
from collections.abc import Iterator

from rethinking.data import prepared, registry
from rethinking.runtime.errors import UserError
from rethinking.storage import files

_CONNECT_SECONDS = 5  # For the connection, and again for the first answer.
_PROBE_SECONDS = 10  # Name look-ups have no limit of their own.


def prepare(name: str, root: pathlib.Path) -> pathlib.Path:
  """Downloads and prepares a dataset where that hasn't been done.

  Archives that are already below `root/downloads`, or are in
  `root/downloads/manual` under their own names, aren't downloaded again;
  their checksums hold in any case.

  Args:
    name: a name of `registry.SPECS` with a builder.
    root: the folder of prepared datasets.

  Returns:
    The folder of the prepared version.

  Raises:
    UserError: if it cannot be downloaded, its checksum is wrong, or the
      folder cannot be written.
  """
  folder = prepared.find(name, root)
  if folder is not None:
    return folder
  try:
    root.mkdir(parents=True, exist_ok=True)
    with _lock(name, root):
      # Another process may have finished while this one waited.
      if prepared.find(name, root) is None:
        _download_and_prepare(name, root)
  except (OSError, RuntimeError) as error:  # array_record raises the latter.
    raise UserError(
      f"Cannot prepare {name} in {root} ({_one_line(error)}); make room there,"
      " or name a folder that can be written with data_dir or TFDS_DATA_DIR."
    ) from error
  folder = prepared.find(name, root)
  if folder is None:
    raise UserError(
      f"TFDS prepared {name} elsewhere than in {root / name}; set"
      " TFDS_DATA_DIR to the folder it named."
    )
  return folder


def _download_and_prepare(name: str, root: pathlib.Path) -> None:
  """Runs TFDS's builder, once the archives are known to be reachable."""
  # Imported late: TFDS takes a second, and prepared data doesn't need it.
  import requests
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.download import download_manager

  builder = pkgutil.resolve_name(registry.SPECS[name].builder)
  builder = builder(data_dir=root, file_format="array_record")
  needed = [
    url for url in builder.urls().values() if not _at_hand(builder, url, root)
  ]
  if needed:
    _probe(name, needed[0], root)
  try:
    builder.download_and_prepare(
      download_config=tfds.download.DownloadConfig(
        force_checksums_validation=True, try_download_gcs=False
      )
    )
  except download_manager.NonMatchingChecksumError as error:
    raise UserError(
      f"Cannot prepare {name}: {_one_line(error)}; delete"
      f" {root / 'downloads'} and run again, on another network if need be."
    ) from error
  except (requests.RequestException, tfds.download.DownloadError) as error:
    raise _unreachable(name, needed, root, error) from error


def _one_line(error: Exception) -> str:
  return " ".join(str(error).split())


def _at_hand(builder: object, url: str, root: pathlib.Path) -> bool:
  """Whether TFDS will find the archive without the network."""
  from tensorflow_datasets.core.download import checksums, resource

  downloads = root / "downloads"
  infos = checksums.get_all_url_infos() | (builder.url_infos or {})
  known = infos.get(url)
  if known is None:
    return False
  if known.filename and (downloads / "manual" / known.filename).exists():
    return True
  file = resource.get_dl_fname(url, known.checksum)
  return any(downloads.rglob(f"{file}.INFO"))


def _probe(name: str, url: str, root: pathlib.Path) -> None:
  """Fails soon where the network is closed; TFDS alone retries for minutes."""
  import requests

  answers: list[object] = [f"no answer in {_PROBE_SECONDS} s"]

  def ask() -> None:
    try:
      with requests.get(url, stream=True, timeout=_CONNECT_SECONDS) as answer:
        answers.append(f"HTTP status {answer.status_code}")
    except requests.RequestException as error:
      answers.append(error)

  asking = threading.Thread(target=ask, daemon=True)
  asking.start()
  asking.join(_PROBE_SECONDS)
  if answers[-1] != "HTTP status 200":
    raise _unreachable(name, [url], root, answers[-1])


def _unreachable(
  name: str, urls: list[str], root: pathlib.Path, reason: object
) -> UserError:
  return UserError(
    f"Cannot download {name}: tried {', '.join(urls)} ({reason})."
    f" Prepared data is looked for in {root / name}. Offline: run"
    f" `python -m rethinking.data {name} --data_dir=DIR` on a machine with a"
    " network, copy DIR here and set TFDS_DATA_DIR=DIR."
  )


@contextlib.contextmanager
def _lock(name: str, root: pathlib.Path) -> Iterator[None]:
  """Excludes other processes that prepare this dataset."""
  path = root / f".{name}.lock"
  # pathlib takes no opener.
  with open(path, "w", opener=files.open_own) as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      print(
        f"Another process is preparing {name} in {root}; waiting for it.",
        file=sys.stderr,
        flush=True,
      )
      fcntl.flock(file, fcntl.LOCK_EX)
    yield

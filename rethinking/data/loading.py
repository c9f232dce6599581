"""One call that returns a whole split."""

import concurrent.futures
import hashlib
import os
import pkgutil
from typing import Any

from rethinking.data import cache as cache_lib
from rethinking.data import preparation, prepared, records, registry
from rethinking.data.arrays import Arrays
from rethinking.data.dataset import Dataset
from rethinking.runtime.allowed import choose


def load(
  name: str,
  split: str,
  *,
  data_dir: str | os.PathLike[str] | None = None,
  cache: bool = True,
  own: Any = None,
) -> Dataset:
  """Returns a split of a dataset; downloads and prepares it where needed.

  Args:
    name: one of `registry.NAMES`.
    split: "train" or "test".
    data_dir: local folder of prepared TFDS datasets. None: `TFDS_DATA_DIR`,
      else TFDS's default, `~/tensorflow_datasets`.
    cache: whether to keep the decoded arrays in the user's cache folder
      (`$XDG_CACHE_HOME/rethinking`, else `~/.cache/rethinking`) and to use
      them when they belong to the same source.
    own: an `own.Own`: where the data of the set "own" are.

  Returns:
    The split as a `Dataset`.

  Raises:
    UserError: if the name or split is unknown, the prepared data is damaged
      or unreadable, or it is absent and cannot be downloaded.
  """
  choose("dataset", name, registry.NAMES)
  choose("split", split, ("train", "test"))
  if name == "own":
    return registry.of_own("pair")(own, data_dir, cache)[split == "test"]
  spec = registry.SPECS[name]
  if spec.reader:
    images, labels, ids, identity = pkgutil.resolve_name(spec.reader)(split)
    class_names = tuple(map(str, range(spec.num_classes)))
  else:
    folder = preparation.prepare(name, prepared.root(data_dir))
    source = prepared.describe(name, split, folder)
    class_names = source.class_names
    arrays, digest = _read(source, cache)
    images, labels, ids, encoding = arrays
    identity = (
      f"{name}/{source.version} {split} ({encoding} images) sha256:{digest}"
    )
  return Dataset(
    name, split, images, labels, ids, len(class_names), class_names, identity
  )


def _read(source: prepared.Source, cache: bool) -> tuple[Arrays, str]:
  """A prepared split, from its cache where it can be, and its SHA-256."""
  place = hashlib.sha256(os.fsencode(source.folder)).hexdigest()
  key = f"{source.name}-{source.version}-{source.split}-{place[:16]}"
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    # The source and its cache are read whole, side by side.
    pending = pool.submit(prepared.fingerprint, source)
    arrays = cache_lib.load(key, pending.result) if cache else None
    fingerprint = pending.result()
  if arrays is None:
    arrays = records.read(source)
    if cache:
      cache_lib.store(key, fingerprint, arrays)
  return arrays, fingerprint

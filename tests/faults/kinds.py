"""Each kind of folder that is read back: how it is made, and what it says."""

import importlib.util
import pathlib
import pkgutil
import re
import warnings

import damage
import numpy as np
import pytest

from rethinking import corruptions, data, report
from rethinking.data import cache, preparation, registry
from rethinking.data.arrays import Arrays
from rethinking.exports import verify, write
from rethinking.runtime.errors import UserError
from rethinking.storage import checkpoint
from rethinking.sweeps import run as sweep
from rethinking.training import metrics
from rethinking.training import run as train

_STATE = {"w": np.arange(500.0), "n": np.int32(3)}


class Kind:
  """A kind of folder.

  Args:
    count: cases of it.
    make: writes one; or the kind whose folder it is, too.
    read: of a folder, returns what was written into it.
    files: a pattern of the names of those to damage.
  """

  def __init__(self, count, make, read, files=".*"):
    self.count, self.make, self.read, self._names = count, make, read, files

  def files(self, folder):
    """Its files, relative to it."""
    return [
      str(path.relative_to(folder))
      for path in sorted(folder.rglob("*"))
      if path.is_file()
      and path.stat().st_size
      and re.fullmatch(self._names, str(path.relative_to(folder)))
    ]


def _run_again(folder):
  return metrics.without_clock(train.run(damage.run(), folder, quiet=True))


def _resumed(again):
  """Reads what an unfinished call left, and goes on with it."""

  def read(folder):
    (folder / "summary.json").unlink(missing_ok=True)
    return again(folder)

  return read


def _sweep_again(folder):
  found = sweep.run(damage.sweep(), folder, quiet=True)
  report.draw(folder)
  return {key: found[key] for key in ("cells", "finished", "censored")}


def _arrays():
  draw = np.random.default_rng(0)
  images = draw.integers(0, 256, (9, 4, 4, 1), np.uint8)
  return Arrays(
    images, np.arange(9, dtype=np.int32), np.arange(9, dtype=np.uint32), "PNG"
  )


def _cached(folder):
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("XDG_CACHE_HOME", str(folder))
    found = cache.load("k", lambda: "5" * 64)
    if found is None:
      cache.store("k", "5" * 64, _arrays())
      found = cache.load("k", lambda: "5" * 64) or _arrays()
  return [x.tolist() for x in found[:3]]


def _store(folder):
  folder.mkdir(mode=0o700)
  _cached(folder)


def _save(folder):
  saver = checkpoint.Checkpointer(folder)
  for step in (10, 20):
    saver.save(step, _STATE, {"a": 1})


def _restore(folder):
  found = checkpoint.Checkpointer(folder).restore(_STATE)
  if found is None:
    return None
  for warning in found.warnings:
    warnings.warn(warning, stacklevel=1)
  assert found.step == 20 or found.warnings
  return found.extra, found.state["w"].tolist(), found.state["n"].item()


def _human(folder):
  folder.mkdir()
  given = np.arange(64) % 10
  np.savez(folder / "human.npz", worse_label=given, clean_label=given)


def _read_human(folder):
  noise = corruptions.Corruption.create(
    "human", path=str(folder / "human.npz"), array="worse_label"
  )
  ids = np.arange(64)
  found = corruptions.apply(
    [noise], seed=0, labels=ids % 10, ids=ids, num_classes=10
  )
  return found.labels.tolist()


def _verify(folder):
  found = verify.verify(damage.noisy(), folder)
  assert all("\n" not in line for line in found)
  if found:
    raise UserError("; ".join(found))
  return "the same"


def _load(folder):
  found = data.load("cifar10", "train", data_dir=folder, cache=False)
  return found.images.tolist(), found.labels.tolist(), found.ids.tolist()


def _train(folder):
  train.run(damage.run(), folder, quiet=True)


def _sweep(folder):
  sweep.run(damage.sweep(), folder, quiet=True)


def _export(folder):
  write.write(damage.noisy(), folder)


def _prepare(folder):
  """Prepares a small stand-in for CIFAR-10."""
  place = folder.with_name("served")
  path = pathlib.Path(__file__).parents[1] / "data" / "conftest.py"
  spec = importlib.util.spec_from_file_location("served", path)
  served = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(served)
  shape, classes, write_archives = served._MAKERS["cifar10"]
  place.mkdir()
  names = write_archives(place, served._arrays(shape, classes))
  builder = pkgutil.resolve_name(registry.SPECS["cifar10"].builder)
  with served._serve(place) as server:
    base = f"http://127.0.0.1:{server.server_port}/"
    urls = {key: base + name for key, name in names.items()}
    one = served.Served("cifar10", place, urls, {}, [])
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(builder, "urls", lambda self: dict(urls))
      patch.setattr(builder, "url_infos", one.url_infos())
      preparation.prepare("cifar10", folder)


KINDS = {
  "run": Kind(50, _train, _run_again, r"[^/]*\.jsonl?"),
  "resumed run": Kind(
    20, "run", _resumed(_run_again), r"(metrics|co).*|checkpoints/.*"
  ),
  "sweep": Kind(20, _sweep, _sweep_again, r"[^/]*\.jsonl?"),
  "resumed sweep": Kind(
    10, "sweep", _resumed(_sweep_again), r"(results|con).*|cells/[^/]*/[^/]*"
  ),
  "cache": Kind(50, _store, _cached, r".*\.(npy|json)"),
  "checkpoint": Kind(50, _save, _restore),
  "human": Kind(19, _human, _read_human),
  "export": Kind(50, _export, _verify),
  "prepared": Kind(50, _prepare, _load, "cifar10/.*"),
}

"""What is written works on object stores, which can't append or rename."""

import contextlib
import io
import json
import pathlib
import shutil
import sys
import types

import fsspec
import jax
import numpy as np
import pytest
from etils import epath
from jax.experimental.compilation_cache import compilation_cache
from ml_collections import ConfigDict
from orbax.checkpoint._src.path import gcs_utils

from rethinking import config as config_lib
from rethinking import report
from rethinking.runtime import backend, processes, signals
from rethinking.runtime.errors import Stopped, UserError
from rethinking.storage import files, jsonl
from rethinking.storage.events import Events
from rethinking.storage.lock import Lock
from rethinking.sweeps import run as sweep
from rethinking.sweeps import shares, sharing
from rethinking.training import loop, metrics
from rethinking.training import run as train

RUN = "gs://bucket/run"


class Put(io.BytesIO):
  """An object on its way: it is there, whole, once it is closed."""

  def __init__(self, path):
    super().__init__()
    self.path = path

  def close(self):
    if not self.closed:
      self.path.parent.mkdir(parents=True, exist_ok=True)
      self.path.write_bytes(self.getvalue())
    super().close()


class Objects(fsspec.AbstractFileSystem):
  """An object store: whole objects are put, got and removed.

  It has no folders, only names with slashes in them. The objects lie in a
  folder of this machine, where TensorStore, which carries a checkpoint's
  arrays, reads and writes them by itself.
  """

  protocol = ("gs", "gcs")
  cachable = False

  def __init__(self, root, **options):
    super().__init__(**options)
    self.root = root

  def names(self):
    return sorted(
      str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()
    )

  def ls(self, path, detail=True, **kwargs):
    path = self._strip_protocol(path)
    names = self.names()
    found = {}
    for name in names:
      if name == path:
        size = (self.root / name).stat().st_size
        found[name] = {"name": name, "size": size, "type": "file"}
      elif name.startswith(f"{path}/"):
        child = f"{path}/{name.removeprefix(f'{path}/').partition('/')[0]}"
        kind = "file" if child in names else "directory"
        size = (self.root / child).stat().st_size if kind == "file" else 0
        found[child] = {"name": child, "size": size, "type": kind}
    if not found:
      raise FileNotFoundError(path)
    return list(found.values()) if detail else list(found)

  def _open(self, path, mode="rb", **kwargs):
    file = self.root / path
    if mode == "wb":
      return Put(file)
    if mode != "rb":
      raise NotImplementedError(f"objects can't be opened with {mode}")
    if not file.is_file():
      raise FileNotFoundError(path)
    return io.BytesIO(file.read_bytes())

  def rm_file(self, path):
    file = self.root / self._strip_protocol(path)
    if file.is_dir():
      # What is left of a folder once its objects are gone.
      shutil.rmtree(file)
    else:
      file.unlink()

  def mv(self, *args, **kwargs):
    raise NotImplementedError("objects can't be renamed")

  cp_file = mv


@pytest.fixture(autouse=True)
def objects(monkeypatch, tmp_path):
  """The object store, empty at first."""
  monkeypatch.setattr(fsspec.config, "conf", {})
  store = Objects(tmp_path / "objects")
  monkeypatch.setattr(
    epath.backend._FileSystemSpecBackend,
    "_get_filesystem",
    lambda backend, name: store,
  )

  def tensorstore(path):
    folder = store.root / path.removeprefix("gs://")
    return {"driver": "file", "path": f"{folder}/"}

  # Of the extra gcs, which this store stands for.
  monkeypatch.setitem(sys.modules, "gcsfs", types.ModuleType("gcsfs"))
  monkeypatch.setattr(gcs_utils, "get_kvstore_for_gcs", tensorstore)
  # Asks the store itself, through Google's own client.
  monkeypatch.setattr(
    gcs_utils, "is_hierarchical_namespace_enabled", lambda path: False
  )
  return store


def test_the_stand_in_forbids_append_and_rename():
  path = epath.Path(RUN) / "a"
  path.write_bytes(b"1")
  with pytest.raises(NotImplementedError), path.open("ab"):
    pass
  with pytest.raises(NotImplementedError):
    path.replace(epath.Path(RUN) / "b")


def test_files_are_put_whole(objects):
  path = epath.Path(RUN) / "a"
  files.append(path, b"1")
  files.append(path, b"2")
  assert path.read_bytes() == b"12"
  files.replace(path, b"3")
  assert path.read_bytes() == b"3"
  assert objects.names() == ["bucket/run/a"]


def test_json():
  files.write_json(f"{RUN}/a.json", {"a": 1})
  assert epath.Path(f"{RUN}/a.json").read_text() == '{\n  "a": 1\n}\n'


def test_json_lines():
  path = f"{RUN}/metrics.jsonl"
  lines = jsonl.JsonLines(path)
  for step in range(3):
    lines.append({"step": step})
    assert jsonl.JsonLines(path).rows() == [
      {"step": i} for i in range(step + 1)
    ]
  lines.truncate(lambda row: row["step"] < 2)
  assert lines.rows() == [{"step": 0}, {"step": 1}]
  lines.path.write_bytes(lines.path.read_bytes() + b'{"st')
  lines = jsonl.JsonLines(path)
  assert lines.rows() == [{"step": 0}, {"step": 1}]
  assert len(lines.warnings) == 1


def test_tensorboard_events(objects, tmp_path):
  local = tmp_path / "local"
  for folder in (RUN, local):
    events = Events(folder)
    for step in range(3):
      events.append(step, {"loss": 0.5})
    events = Events(folder, last_step=1)
    events.append(2, {"loss": 0.5})
  (name,) = [path.name for path in local.iterdir()]
  assert objects.names() == [f"bucket/run/{name}"]
  # Times differ, nothing else.
  there = epath.Path(RUN) / name
  assert len(there.read_bytes()) == len((local / name).read_bytes())


def test_there_is_no_lock(objects):
  with Lock(RUN), Lock(RUN):
    assert not objects.names()


def config(**fields):
  c = config_lib.default()
  c.update(
    dataset="digits",
    arch="mlp_1x512",
    variant="partial_labels",
    label_noise="uniform",
    p=0.4,
    subset=256,
    batch_size=64,
    epochs=3,
    checkpoint_epochs=1,
    compilation_cache=False,
  )
  c.update(fields)
  return c


def plain(path):
  """Rows of JSON without what depends on the clock."""
  return [
    metrics.without_clock(json.loads(line))
    for line in epath.Path(path).read_text().splitlines()
  ]


def test_a_run_is_written_stopped_and_continued(objects, tmp_path, monkeypatch):
  c = config(per_example=True, chunk_steps=1)
  local = tmp_path / "local"
  train.run(c, local, quiet=True)
  deferred = signals.deferred
  asked = iter([False] * 6 + [True])
  stop = types.SimpleNamespace(is_set=lambda: next(asked))
  monkeypatch.setattr(signals, "deferred", lambda: contextlib.nullcontext(stop))
  with pytest.raises(Stopped, match="at step 7"):
    train.run(c, RUN, quiet=True)
  monkeypatch.setattr(signals, "deferred", deferred)
  # What a kill in the midst of a save leaves.
  (objects.root / "bucket/run/checkpoints/7/sha256.json").unlink()
  train.run(c, RUN, quiet=True)
  assert plain(f"{RUN}/metrics.jsonl") == plain(local / "metrics.jsonl")
  made = {p.relative_to(local).parts[0] for p in local.rglob("*")}
  names = [
    pathlib.PurePath(n).relative_to("bucket/run").parts[0]
    for n in objects.names()
  ]
  assert set(names) == made
  assert names.count("checkpoints") > 10
  assert train.run(c, RUN, quiet=True)["steps"] == 12


def two_runs(runs_at_once):
  c = config(
    experiment="sweep",
    variant="figure1",
    label_noise=None,
    p=0.0,
    runs_at_once=runs_at_once,
    tensorboard=False,
    plots=False,
  )
  c.grids = ConfigDict({"g": {"variant": ("partial_labels",), "p": (0.2, 0.5)}})
  return c


def test_two_shares_leave_what_one_process_leaves(
  objects, tmp_path, monkeypatch
):
  c, local = two_runs(1), tmp_path / "local"
  sweep.run(c, local, quiet=True)
  assert sharing.run(c, RUN, shares.Share(1, 2), quiet=True) is None
  assert not any(name.endswith("table.md") for name in objects.names())
  save, saved = loop.Loop.save, []

  def cut(self, **how):
    save(self, **how)
    saved.append(self.saved)
    if len(saved) == 1:
      raise InterruptedError

  # Killed in the midst of its run, it goes on from the checkpoint.
  monkeypatch.setattr(loop.Loop, "save", cut)
  with pytest.raises(InterruptedError):
    sharing.run(c, RUN, shares.Share(0, 2), quiet=True)
  assert sharing.run(c, RUN, shares.Share(0, 2), quiet=True)["finished"] == 2
  assert len(saved) == 3, saved
  assert plain(f"{RUN}/results.jsonl") == plain(local / "results.jsonl")
  left = {name.split("/")[2] for name in objects.names()}
  own = {"index.html", "cells.json", "rows"}
  assert left - own == {path.name for path in local.iterdir()} - {".lock"}


def test_runs_that_train_together_and_their_figures(objects):
  summary = sweep.run(two_runs(2), RUN, quiet=True)
  assert summary["finished"] == 2
  names = objects.names()
  assert not any(name.startswith("bucket/run/groups/") for name in names)
  drawn = [n for n in names if n.endswith((".png", ".svg", ".md", ".csv"))]
  assert len(drawn) > 5
  for name in drawn:
    (objects.root / name).unlink()
  report.draw(epath.Path(RUN))
  assert objects.names() == names


def test_other_places_and_a_missing_extra_are_refused(monkeypatch):
  with pytest.raises(UserError, match="must be a local folder or gs://"):
    train.run(config(), "s3://bucket/run", quiet=True)
  monkeypatch.setitem(sys.modules, "gcsfs", None)
  with pytest.raises(UserError, match=r"extra gcs must .*; try pip install"):
    train.run(config(), RUN, quiet=True)


def test_listings_are_not_remembered():
  files.workdir(RUN)
  options = fsspec.config.apply_config(Objects, {}, fsspec.config.conf)
  assert options == {"use_listings_cache": False}


def test_programs_that_processes_share_are_objects(
  objects, monkeypatch, tmp_path
):
  """As in a job of several; XLA's own cache for GPUs knows no buckets."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  monkeypatch.setattr(processes, "several", lambda: True)
  monkeypatch.setattr(processes, "on_first", lambda function: function())
  names = ("compilation_cache_dir", "persistent_cache_enable_xla_caches")
  names = [f"jax_{name}" for name in names]
  least = "jax_persistent_cache_min_compile_time_secs"
  kept = {name: getattr(jax.config, name) for name in (*names, least)}
  own = [f"{tmp_path}/rethinking/xla", "all"]

  def now():
    return [getattr(jax.config, name) for name in names]

  try:
    jax.config.update(least, 0)
    for name, value in zip(names, own, strict=True):
      jax.config.update(name, value)
    with backend.shared_programs(epath.Path(RUN) / "programs"):
      # As a sweep's runs do.
      with backend.shared_programs(epath.Path(RUN) / "cells/a/programs"):
        assert now() == [f"{RUN}/programs", "none"]
        jax.jit(lambda x: x * 3 + 1)(np.arange(7.0))
      assert now() == [f"{RUN}/programs", "none"]
    assert now() == own
    [name] = objects.names()
    assert name.startswith("bucket/run/programs/jit")
  finally:
    for name, value in kept.items():
      jax.config.update(name, value)
    compilation_cache.reset_cache()

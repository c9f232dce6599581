"""What is written works on object stores, which can't append or rename."""

import pytest
from etils import epath
from fsspec.implementations import memory

from rethinking import files, writers

RUN = "gs://bucket/run"


class Objects(memory.MemoryFileSystem):
  """An object store in memory: whole objects are put, got and removed."""

  protocol = ("gs", "gcs")
  store = {}
  pseudo_dirs = [""]
  cachable = False

  @classmethod
  def _strip_protocol(cls, path):
    path = path.removeprefix("gs://").strip("/")
    return "/" + path if path else ""

  def _open(self, path, mode="rb", **kwargs):
    if mode not in ("rb", "wb"):
      raise NotImplementedError(f"objects can't be opened with {mode}")
    return super()._open(path, mode, **kwargs)

  def mv(self, *args, **kwargs):
    raise NotImplementedError("objects can't be renamed")


@pytest.fixture(autouse=True)
def objects(monkeypatch):
  """The objects by name, empty at first."""
  monkeypatch.setattr(
    epath.backend._FileSystemSpecBackend,
    "_get_filesystem",
    lambda backend, name: Objects(),
  )
  Objects.store.clear()
  Objects.pseudo_dirs[:] = [""]
  return Objects.store


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
  assert list(objects) == ["/bucket/run/a"]


def test_json():
  writers.write_json(f"{RUN}/a.json", {"a": 1})
  assert epath.Path(f"{RUN}/a.json").read_text() == '{\n  "a": 1\n}\n'


def test_json_lines():
  path = f"{RUN}/metrics.jsonl"
  lines = writers.JsonLines(path)
  for step in range(3):
    lines.append({"step": step})
    assert writers.JsonLines(path).rows() == [
      {"step": i} for i in range(step + 1)
    ]
  lines.truncate(lambda row: row["step"] < 2)
  assert lines.rows() == [{"step": 0}, {"step": 1}]
  lines.path.write_bytes(lines.path.read_bytes() + b'{"st')
  lines = writers.JsonLines(path)
  assert lines.rows() == [{"step": 0}, {"step": 1}]
  assert len(lines.warnings) == 1


def test_tensorboard_events(objects, tmp_path):
  for folder in (RUN, tmp_path):
    events = writers.Events(folder)
    for step in range(3):
      events.append(step, {"loss": 0.5})
    events = writers.Events(folder, last_step=1)
    events.append(2, {"loss": 0.5})
  (name,) = [path.name for path in tmp_path.iterdir()]
  assert list(objects) == [f"/bucket/run/{name}"]
  # Times differ, nothing else.
  there = epath.Path(RUN) / name
  assert len(there.read_bytes()) == len((tmp_path / name).read_bytes())


def test_there_is_no_lock(objects):
  with writers.Lock(RUN), writers.Lock(RUN):
    assert not objects

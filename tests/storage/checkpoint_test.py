import errno
import json
import resource
import shutil
import signal
import socket
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from rethinking.runtime.errors import UserError
from rethinking.storage import checkpoint


def state_of(step, size=20):
  """A small state that depends on the step."""
  params = {"dense": {"kernel": jnp.full((size, 3), step, jnp.float32)}}
  return {
    "params": params,
    "batch_stats": {},
    "opt_state": optax.adam(1e-3).init(params),
    "step": jnp.int32(step),
  }


def same(a, b):
  """Whether two trees have the same structure, dtypes and bits."""
  pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  return jax.tree.structure(a) == jax.tree.structure(b) and all(
    np.asarray(x).dtype == np.asarray(y).dtype
    and np.shape(x) == np.shape(y)
    and np.asarray(x).tobytes() == np.asarray(y).tobytes()
    for x, y in pairs
  )


@pytest.fixture
def folder(tmp_path):
  """Intact checkpoints of steps 10 and 20."""
  checkpoints = checkpoint.Checkpointer(tmp_path / "checkpoints")
  for step in (10, 20):
    checkpoints.save(step, state_of(step), {"step": step})
  return tmp_path / "checkpoints"


def restore(folder):
  return checkpoint.Checkpointer(folder).restore(state_of(0))


def files_of(folder):
  return sorted(path for path in folder.rglob("*") if path.is_file())


def test_every_bit_comes_back(tmp_path):
  rng = np.random.default_rng(0)
  state = {
    "float32": rng.integers(0, 2**32, (7, 3), np.uint32).view(np.float32),
    "float64": np.array([np.nan, -0.0, 5e-324, np.inf]),
    "bfloat16": rng.integers(0, 2**16, 9, np.uint16).view(ml_dtypes.bfloat16),
    "on the device": jnp.arange(6.0).reshape(2, 3),
    "int64": np.array(-(2**62)),
    "bool": np.array([True, False]),
    "no elements": jnp.zeros((0, 4)),
    "none": None,
    "python": (3, 0.1, True),
    "a.b": {"c/d": jnp.uint8(7)},
    "optimiser": optax.adam(1e-3).init({"a": jnp.ones((2, 2))}),
  }
  extra = {"rng": [1, None, "ü"], "x": 0.1}
  checkpoint.Checkpointer(tmp_path).save(5, state, extra)
  found = checkpoint.Checkpointer(tmp_path).restore(state)
  assert found.step == 5
  assert found.extra == extra
  assert found.warnings == ()
  assert same(found.state, state)
  assert type(found.state["python"][0]) is int
  assert type(found.state["on the device"]) is np.ndarray


def test_restores_into_shapes_alone(folder):
  like = jax.eval_shape(lambda: state_of(0))
  found = checkpoint.Checkpointer(folder).restore(like)
  assert same(found.state, state_of(20))


def test_an_array_over_several_devices_is_saved_whole(tmp_path):
  mesh = jax.make_mesh((4,), ("x",))
  value = jnp.arange(8.0)
  sharded = jax.device_put(value, NamedSharding(mesh, PartitionSpec("x")))
  checkpoints = checkpoint.Checkpointer(tmp_path)
  checkpoints.save(1, {"a": sharded}, {})
  assert same(checkpoints.restore({"a": value}).state, {"a": value})


def test_an_empty_folder_has_none(tmp_path):
  assert restore(tmp_path / "new") is None


def test_the_newest_are_kept(folder):
  checkpoints = checkpoint.Checkpointer(folder, keep=3)
  for step in (30, 40, 50):
    checkpoints.save(step, state_of(step), {})
  assert sorted(int(p.name) for p in folder.iterdir()) == [30, 40, 50]
  with pytest.raises(ValueError, match="at least 2"):
    checkpoint.Checkpointer(folder, keep=1)


def flip(data):
  middle = len(data) // 2
  return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
  "change",
  [flip, lambda data: data[:-1], lambda data: b"", None],
  ids=["bit flipped", "truncated", "zero length", "missing"],
)
def test_damage_to_any_file_is_named_and_the_one_before_is_used(
  folder, change, capfd
):
  names = [path.relative_to(folder / "20") for path in files_of(folder / "20")]
  assert len(names) > 5
  for name in names:
    path = folder / "20" / name
    data = path.read_bytes()
    if change is None:
      path.unlink()
    elif data != change(data):
      path.write_bytes(change(data))
    else:
      continue
    found = restore(folder)
    path.write_bytes(data)
    assert (found.step, found.extra) == (10, {"step": 10}), name
    assert same(found.state, state_of(10))
    (warning,) = found.warnings
    assert "step 20" in warning
    if change is None and str(name) == "sha256.json":
      assert "was not finished" in warning
    elif str(name) != "sha256.json" or change is not flip:
      # A flipped bit in a sum accuses the file that it is of.
      assert str(name) in warning
  assert restore(folder).step == 20
  # Nothing on the terminal but what the caller prints.
  assert capfd.readouterr() == ("", "")


def test_only_damaged_ones_are_refused(folder):
  for step in ("10", "20"):
    (folder / step / "state" / "manifest.ocdbt").write_bytes(b"")
  with pytest.raises(UserError, match=r"No checkpoint .*steps \[10, 20\]"):
    restore(folder)


def test_only_unfinished_ones_are_none(folder):
  for step in ("10", "20"):
    (folder / step / "sha256.json").unlink()
  assert restore(folder) is None


def test_a_run_that_went_back_saves_the_same_steps_again(folder):
  (folder / "20" / "state" / "manifest.ocdbt").write_bytes(b"")
  checkpoints = checkpoint.Checkpointer(folder)
  assert checkpoints.restore(state_of(0)).step == 10
  checkpoints.save(15, state_of(15), {})
  assert sorted(int(p.name) for p in folder.iterdir()) == [10, 15]
  checkpoints.save(20, state_of(20), {})
  assert restore(folder).step == 20
  assert restore(folder).warnings == ()


def test_a_damaged_one_is_not_counted_among_those_kept(folder):
  (folder / "20" / "state" / "manifest.ocdbt").write_bytes(b"")
  checkpoints = checkpoint.Checkpointer(folder)
  assert checkpoints.restore(state_of(0)).step == 10
  checkpoints.save(30, state_of(30), {})
  assert sorted(int(p.name) for p in folder.iterdir()) == [10, 30]


def test_a_step_can_be_saved_twice(folder):
  checkpoints = checkpoint.Checkpointer(folder)
  checkpoints.save(20, state_of(21), {"again": True})
  found = restore(folder)
  assert found.extra == {"again": True}
  assert same(found.state, state_of(21))


def test_a_checkpoint_of_other_arrays_is_refused(folder):
  with pytest.raises(UserError) as caught:
    checkpoint.Checkpointer(folder).restore(state_of(0, size=21))
  text = str(caught.value)
  assert "\n" not in text
  assert "3 differ" in text
  assert "['kernel']" in text
  assert "[20, 3]" in text
  assert "[21, 3]" in text


# A hook can't be removed, so one stands for all tests.
_watch = None


def _hook(event, arguments):
  if _watch is not None and event.partition(".")[0] in (
    "open",
    "os",
    "shutil",
  ):
    _watch()


sys.addaudithook(_hook)


def test_a_crash_at_any_moment_of_a_save_loses_nothing(folder, tmp_path):
  # A copy taken at an operation is what a kill -9 at that moment leaves.
  copies = []
  busy = False

  def copy():
    nonlocal busy
    if busy:
      return
    busy = True
    target = tmp_path / f"copy_{len(copies)}"
    try:
      shutil.copytree(folder, target)
      copies.append(target)
    except (shutil.Error, FileNotFoundError):
      # Another thread moved a file meanwhile; the next moment will do.
      shutil.rmtree(target, ignore_errors=True)
    busy = False

  checkpoints = checkpoint.Checkpointer(folder)
  global _watch
  _watch = copy
  try:
    checkpoints.save(30, state_of(30), {})
  finally:
    _watch = None
  contents, steps = set(), []
  for moment in copies:
    content = tuple(
      (str(p.relative_to(moment)), p.stat().st_size) for p in files_of(moment)
    )
    if content not in contents:
      contents.add(content)
      found = restore(moment)
      assert same(found.state, state_of(found.step))
      steps.append(found.step)
  assert len(steps) > 10
  assert steps == sorted(steps)
  assert set(steps) == {20, 30}


CRASH = """
import os, signal, sys
import jax.numpy as jnp
from rethinking.storage import checkpoint
def kill(*_):
  os.kill(os.getpid(), signal.SIGKILL)
checkpoints = checkpoint.Checkpointer(sys.argv[1])
checkpoints.save(1, {"a": jnp.ones(3)}, {})
checkpoint.sums.write = kill
checkpoints.save(2, {"a": jnp.zeros(3)}, {})
"""


def test_a_checkpoint_killed_before_its_sums_is_ignored(tmp_path):
  child = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path)])
  assert child.returncode == -signal.SIGKILL
  assert (tmp_path / "2" / "state").is_dir()
  found = checkpoint.Checkpointer(tmp_path).restore({"a": jnp.ones(3)})
  assert found.step == 1
  assert "step 2" in found.warnings[0]


@pytest.fixture
def no_space():
  """No file may grow past 50 kB, as on a disk that is full."""
  handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
  yield
  resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_an_error_in_a_line(folder, no_space, caplog):
  noise = np.random.default_rng(0).bytes(400_000)
  checkpoints = checkpoint.Checkpointer(folder)
  with pytest.raises(checkpoint.SaveError) as caught:
    checkpoints.save(30, {"a": np.frombuffer(noise, np.uint8)}, {})
  text = str(caught.value)
  assert "\n" not in text
  assert text.startswith("Cannot save the checkpoint of step 30")
  assert "File too large" in text
  # Orbax's own account of it, a traceback, is not.
  assert caplog.records == []
  # What was written of it is gone, and the next one can be saved.
  assert sorted(p.name for p in folder.iterdir()) == ["10", "20"]
  assert same(checkpoints.restore(state_of(0)).state, state_of(20))
  checkpoints.save(40, state_of(40), {})
  assert restore(folder).step == 40


def test_a_disk_full_at_the_sums_keeps_the_one_before(folder, monkeypatch):
  def full(folder):
    raise OSError(errno.ENOSPC, "No space left on device")

  checkpoints = checkpoint.Checkpointer(folder)
  monkeypatch.setattr(checkpoint.sums, "write", full)
  with pytest.raises(checkpoint.SaveError, match="No space left"):
    checkpoints.save(30, state_of(30), {})
  assert restore(folder).step == 20


def test_a_folder_that_is_still_written_to_hides_no_reason(
  folder, no_space, monkeypatch
):
  """Orbax's threads may go on for a moment after one of them has failed."""
  checkpoints = checkpoint.Checkpointer(folder)
  noise = np.random.default_rng(0).bytes(400_000)
  tries = []
  whole = type(checkpoints._folder).rmtree

  def rmtree(path, **options):
    tries.append(path.name)
    if len(tries) < 3:
      raise OSError(errno.ENOTEMPTY, "Directory not empty")
    whole(path, **options)

  monkeypatch.setattr(type(checkpoints._folder), "rmtree", rmtree)
  with pytest.raises(checkpoint.SaveError, match="File too large"):
    checkpoints.save(30, {"a": np.frombuffer(noise, np.uint8)}, {})
  assert len(tries) == 3
  assert sorted(p.name for p in folder.iterdir()) == ["10", "20"]


PROCESS = """
import json, pathlib, sys
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec
index, port, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{port}", 2, index)
from rethinking.storage import checkpoint
mesh = jax.make_mesh((4,), ("x",))
def spread(value, *axes):
  sharding = NamedSharding(mesh, PartitionSpec(*axes))
  return jax.make_array_from_callback(
    value.shape, sharding, lambda i: value[i])
state = lambda step: {
  "whole": spread(np.arange(3.0) + step),
  "parts": spread(np.arange(8) + step, "x"),
  "local": np.float32(step),
}
like = {"whole": np.zeros(3, np.float32), "parts": np.zeros(8, np.int32),
        "local": np.float32(0)}
checkpoints = checkpoint.Checkpointer(folder)
seen = [checkpoints.restore(like)]
def look():
  found = checkpoints.restore(like)
  seen.append([found.step, *(found.state[k].tolist() for k in sorted(like))])
for step in (1, 2, 3):
  checkpoints.save(step, state(step), {})
  look()
if index == 0:
  (pathlib.Path(folder) / "3/state/manifest.ocdbt").write_bytes(b"")
look()
checkpoints.save(3, state(3), {})
look()
print(json.dumps(seen))
"""


def test_two_processes_save_and_restore_one_state(tmp_path):
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
  processes = [
    subprocess.Popen(
      [sys.executable, "-c", textwrap.dedent(PROCESS), str(index), str(port)]
      + [str(tmp_path)],
      stdout=subprocess.PIPE,
      text=True,
    )
    for index in range(2)
  ]
  try:
    outputs = [process.communicate(timeout=600)[0] for process in processes]
  finally:
    for process in processes:
      process.kill()
  assert [process.returncode for process in processes] == [0, 0]

  def row(step):
    return [
      step,
      float(step),
      [i + step for i in range(8)],
      [float(i + step) for i in range(3)],
    ]

  for output in outputs:
    assert json.loads(output.splitlines()[-1]) == [
      None,
      *(row(step) for step in (1, 2, 3, 2, 3)),
    ]

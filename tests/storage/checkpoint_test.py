"""What is saved comes back to the bit; faults: see checkpoint_faults_test."""

import json
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
from states import restore, same, saved, state_of

from rethinking.runtime.errors import UserError
from rethinking.storage import checkpoint


@pytest.fixture
def folder(tmp_path):
  return saved(tmp_path / "checkpoints")


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
  checkpoints = checkpoint.Checkpointer(folder)
  for step in (30, 40, 50):
    checkpoints.save(step, state_of(step), {})
  assert sorted(int(p.name) for p in folder.iterdir()) == [40, 50]


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
  assert "got 3 that differ" in text
  assert "['kernel']" in text
  assert "[20, 3]" in text
  assert "[21, 3]" in text


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


def test_a_state_is_read_in_one_transfer(tmp_path, monkeypatch):
  reads, read = [], jax.device_get
  monkeypatch.setattr(jax, "device_get", lambda x: reads.append(x) or read(x))
  state = {"a": jnp.ones(2), "b": jnp.zeros((3, 1)), "c": 0.5}
  checkpoint.Checkpointer(tmp_path).save(1, state, {})
  assert len(reads) == 1

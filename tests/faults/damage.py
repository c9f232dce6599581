"""Ways to damage a file, and small runs whose files can be damaged."""

import os
import shutil

import numpy as np
from ml_collections import ConfigDict

from rethinking import config as config_lib

_HUGE = 2**40  # Bytes, none of them on the disk.


def _fifo(path):
  path.unlink()
  os.mkfifo(path)


def _folder(path):
  path.unlink()
  path.mkdir()


def _link(target):
  def act(path):
    path.unlink()
    path.symlink_to(path.name if target is None else target)

  return act


def _write(data):
  return lambda path: path.write_bytes(data)


def _edited(path):
  """Another digit, as an editor leaves it; else another byte."""
  data = bytearray(path.read_bytes())
  digits = [i for i, byte in enumerate(data) if 48 <= byte < 57]
  at = digits[len(digits) // 2] if digits else len(data) // 2
  data[at] ^= 1
  path.write_bytes(data)


def _truncated(path):
  os.truncate(path, path.stat().st_size // 2)


# What may happen to any file, by name.
DAMAGE = {
  "edited": _edited,
  "truncated": _truncated,
  "empty": _write(b""),
  "garbage": _write(bytes(range(256)) * 8),
  "zeros": _write(bytes(4096)),
  "object": _write(b"{}\n"),
  "list": _write(b"[1, 2]\n"),
  "deep": _write(b"[" * 60_000),
  "number": _write(b'{"a": ' + b"9" * 100_000 + b"}\n"),
  "huge": lambda path: os.truncate(path, _HUGE),
  "FIFO": _fifo,
  "folder": _folder,
  "loop": _link(None),
  "nowhere": _link("/nowhere/at/all"),
  "device": _link("/dev/zero"),
  "gone": lambda path: path.unlink(),
}


def copy(folder, to):
  shutil.rmtree(to, ignore_errors=True)
  return shutil.copytree(folder, to, symlinks=True)


def run(**fields):
  """The config of a small run."""
  c = config_lib.default()
  c.update(
    dataset="digits",
    arch="mlp_1x512",
    subset=64,
    batch_size=64,
    epochs=2,
    checkpoint_epochs=1,
    plots=False,
    tensorboard=False,
    compilation_cache=False,
  )
  c.update(fields)
  return c


def forge(path, **changes):
  """Changes arrays of an .npz file, by functions of what they were."""
  with np.load(path) as kept:
    arrays = dict(kept)
  for name, change in changes.items():
    arrays[name] = change(arrays[name])
  np.savez(path, **arrays)


def sweep(**fields):
  """The config of three small runs."""
  fields = {"runs_at_once": 3, **fields}
  c = run(experiment="sweep", variant="figure1", epochs=1, **fields)
  c.grids = ConfigDict(
    {"g": {"variant": ("partial_labels",), "p": (0.0, 0.5, 1.0)}}
  )
  return c


def noisy():
  """The config of an export."""
  return run(
    variant="partial_labels",
    label_noise="uniform",
    p=0.4,
    pixel_noise="occlusion",
    level=0.2,
  )


def human():
  """The config of a run on human labels."""
  return run(variant="partial_labels", label_noise="human")

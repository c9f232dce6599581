"""JAX's global settings change no draw, or are refused, or are recorded."""

import ast
import contextlib
import hashlib
import json
import pathlib
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rethinking import corruptions
from rethinking.config import fields, resolve
from rethinking.corruptions import keys
from rethinking.data import augment
from rethinking.exports import write
from rethinking.runtime.errors import UserError
from rethinking.sweeps import run as sweep
from rethinking.theory import config as theory_config
from rethinking.theory import kernel, rademacher, random_conv
from rethinking.training import run as train
from rethinking.training import state, subsets, task

_PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "rethinking"
_DRAWS = ("bits", "uniform", "normal", "bernoulli", "randint", "permutation")


@contextlib.contextmanager
def _set(name, value):
  """Sets JAX as an environment variable or a line of a notebook does."""
  before = getattr(jax.config, name)
  jax.config.update(name, value)
  try:
    yield
  finally:
    jax.config.update(name, before)


def _calls(tree):
  for node in ast.walk(tree):
    if isinstance(node, ast.Call):
      yield ast.unparse(node.func), node


def test_every_draw_names_its_dtype():
  found = 0
  for path in _PACKAGE.rglob("*.py"):
    for name, call in _calls(ast.parse(path.read_text())):
      if name in [f"jax.random.{draw}" for draw in _DRAWS]:
        named = len(call.args) > 2 or any(
          k.arg == "dtype" for k in call.keywords
        )
        assert named, f"{path}:{call.lineno}"
        found += 1
      # By way of `root_key`, which no setting changes.
      assert name not in ("jax.random.key", "jax.random.PRNGKey"), path
  assert found >= 8


def _corrupted(names):
  """Digests of corrupted sets."""
  images = (np.arange(20 * 6 * 6 * 3) * 37 % 256).astype(np.uint8)
  about = {
    "seed": 3,
    "labels": np.arange(20) % 10,
    "ids": np.arange(20) * 7,
    "num_classes": 10,
    "images": images.reshape(20, 6, 6, 3),
  }
  own = {"asymmetric": {"map": "mnist"}}
  for name in names:
    row = corruptions.DEFINITIONS[name]
    level = 0.5 if row.has_level else None
    one = corruptions.Corruption.create(name, level, **own.get(name, {}))
    done = corruptions.apply([one], **about).report
    yield done["labels_sha256"], done["images_sha256"]


def _others():
  """What else is drawn: orders, held-out examples, augmentation, filters."""
  root = state.root(5, "order")
  yield jax.random.key_data(root)
  yield jax.jit(state.epoch_order, static_argnums=2)(root, 3, 50)
  config = fields.default()
  config.update(dataset="digits", validation=30, subset=100)
  config.arch = "mlp_1x512"
  config = resolve(config)
  yield from subsets.rows(config, task.dataset(config, "train"))
  own = keys.example_keys(root, np.arange(20))
  images = jnp.linspace(0, 1, 20 * 64, dtype=jnp.float32).reshape(20, 8, 8, 1)
  light = {"brightness": 0.2, "channel_shift": 0.1}
  change = augment.create({"crop": 6, "padding": 1, "flip": True, **light})
  yield jax.jit(jax.vmap(change))(own, images)
  yield rademacher.draw_signs(5, 2, 30)
  pixels = np.asarray(255 * images).astype(np.uint8)
  with mock.patch.object(random_conv, "_PATCHES", 100):
    yield random_conv.random_filters(root, pixels, filters=3, side=4)[1]


def _digest(arrays):
  return [hashlib.sha256(np.asarray(x).tobytes()).hexdigest() for x in arrays]


_CORRUPTIONS = ("uniform", "asymmetric", "random_pixels", "instance")


@pytest.fixture(scope="module")
def drawn():
  return [*_corrupted(_CORRUPTIONS)], _digest(_others())


@pytest.mark.parametrize(
  ("name", "value"),
  [
    ("jax_enable_x64", True),
    ("jax_default_prng_impl", "rbg"),
    ("jax_random_seed_offset", 5),
    ("jax_default_matmul_precision", "bfloat16"),
  ],
)
def test_no_draw_depends_on_a_setting(name, value, drawn):
  with _set(name, value):
    assert [*_corrupted(_CORRUPTIONS)] == drawn[0]
    assert _digest(_others()) == drawn[1]


@pytest.mark.parametrize(
  ("name", "value"),
  [
    ("jax_transfer_guard", "disallow"),
    ("jax_numpy_dtype_promotion", "strict"),
    ("jax_debug_key_reuse", True),
    ("jax_disable_jit", True),
  ],
)
def test_the_library_works_where_jax_is_strict(name, value, drawn):
  with _set(name, value):
    assert [*_corrupted(_CORRUPTIONS[:3])] == drawn[0][:3]


_REFUSED = {
  "jax_threefry_partitionable": False,
  "jax_transfer_guard": "disallow",
  "jax_numpy_dtype_promotion": "strict",
  "jax_disable_jit": True,
  "jax_debug_key_reuse": True,
  "jax_debug_nans": True,
}


def _small(**more):
  config = fields.default()
  config.update(dataset="digits", subset=64, batch_size=32, epochs=1)
  config.update(arch="mlp_1x512", plots=False, tensorboard=False)
  config.compilation_cache = False
  config.update(more)
  return config


def _sweep():
  config = _small(experiment="sweep")
  config.grids = {"g": {"seed": (0,)}}
  return config


_RUNS = {
  "train": lambda folder: train.run(_small(), folder, quiet=True),
  "sweep": lambda folder: sweep.run(_sweep(), folder, quiet=True),
  "kernel": lambda folder: kernel.run(
    theory_config.kernel("digits"), folder, quiet=True
  ),
  "rademacher": lambda folder: rademacher.run(
    theory_config.rademacher("digits"), folder, quiet=True
  ),
  "export": lambda folder: write.write(_small(), folder),
}


@pytest.mark.parametrize("name", _REFUSED)
@pytest.mark.parametrize("entry", _RUNS)
def test_a_run_refuses_what_it_cannot_be_made_with(entry, name, tmp_path):
  with _set(name, _REFUSED[name]):
    with pytest.raises(UserError, match=f"{name} must be ") as caught:
      _RUNS[entry](tmp_path / "w")
  line = str(caught.value)
  assert f"; try without {name.upper()}." in line and "\n" not in line
  assert not [*tmp_path.rglob("*.json*")]


@pytest.mark.parametrize("name", ["init", "order", "noise", "validation"])
def test_no_root_key_has_other_words(name):
  with _set("jax_threefry_partitionable", False):
    for make in (lambda: state.root(0, name), lambda: keys.root_key(0)):
      with pytest.raises(ValueError, match="be on, .* got off, which chang"):
        make()


@pytest.mark.parametrize(
  ("entry", "name", "value"),
  [
    ("train", "jax_enable_x64", True),
    ("train", "jax_default_matmul_precision", "highest"),
    ("sweep", "jax_enable_x64", True),
  ],
)
def test_numbers_of_two_settings_are_never_mixed(entry, name, value, tmp_path):
  run = _RUNS[entry]
  with _set(name, value):
    summary = run(tmp_path / "w")
    assert summary[name] == value
    kept = json.loads((tmp_path / "w" / "summary.json").read_text())
    assert kept[name] == value
    # The same settings find it finished.
    assert run(tmp_path / "w") == kept
  for name_there in (tmp_path / "w").rglob("summary.json"):
    name_there.unlink()
  with pytest.raises(UserError, match=f"another config .{name}: {value!r} -> "):
    run(tmp_path / "w")
  usual = run(tmp_path / "usual")
  assert name in usual and not usual[name]
  with _set(name, value):
    with pytest.raises(UserError, match=f"another config .{name}: None -> "):
      run(tmp_path / "usual")

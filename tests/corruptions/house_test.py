"""The package's public face: what it imports, how it is documented."""

import inspect
import subprocess
import sys

import pytest

from rethinking import corruptions

OPS = [
  "uniform",
  "symmetric",
  "pair_flip",
  "asymmetric",
  "transition",
  "instance",
  "permutation",
  "human",
  "random_shuffle_pixels",
  "random_partial_shuffle",
  "random_gaussian_pixels",
  "random_gaussian_noise",
  "random_occlude",
  "shuffle_pixels",
]


def test_it_imports_little_beside_jax_and_numpy():
  code = (
    "import sys, rethinking.corruptions\n"
    "own = [m for m in sys.modules if m.startswith('rethinking.')]\n"
    "assert all(m.startswith('rethinking.corruptions') for m in own), own\n"
    "heavy = {'flax', 'orbax', 'tensorflow_datasets', 'matplotlib', 'absl',\n"
    "         'optax', 'ml_collections'}\n"
    "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
  )
  subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", OPS)
def test_ops_cite_their_source_and_show_an_example(name):
  text = inspect.getdoc(getattr(corruptions, name))
  for part in ("Args:", "Returns:", "Reference: ", ">>> "):
    assert part in text, part


@pytest.mark.parametrize("name", corruptions.__all__)
def test_public_functions_are_documented(name):
  public = getattr(corruptions, name)
  if inspect.isfunction(public):
    text = inspect.getdoc(public)
    assert "Args:" in text
    assert "\n" not in text.split("\n\n")[0]


@pytest.mark.parametrize("name", OPS)
def test_keys_come_first_and_options_are_named(name):
  parameters = list(inspect.signature(getattr(corruptions, name)).parameters)
  if name not in ("human", "shuffle_pixels"):
    assert parameters[0] == "key"

"""The package's public face: what it imports, how it is documented."""

import doctest
import importlib
import inspect
import re
import subprocess
import sys

import numpy as np
import pytest

from rethinking import corruptions
from rethinking.corruptions import registry

# Where the ops live; an op changes an example or a set of them.
_MODULES = ("labels", "subsets", "instance_noise", "images", "gaussian")
# Public there, but not themselves a corruption.
_PARTS = {"drawn", "drawn_exactly", "exact_count", "projection"}
FUNCTIONS = [
  name
  for name in corruptions.__all__
  if inspect.isfunction(getattr(corruptions, name))
]
OPS = [
  name
  for name in FUNCTIONS
  if getattr(corruptions, name).__module__.rpartition(".")[2] in _MODULES
  and name not in _PARTS
]
_ARRAYS = ("key", "keys", "label", "labels", "ids", "image", "images", "matrix")


def text_of(name):
  return inspect.getdoc(getattr(corruptions, name))


def test_it_imports_little_and_draws_the_same_on_one_device():
  """In a process of its own, that has one device and 64-bit numbers."""
  code = (
    "import sys, rethinking.corruptions as c, numpy as np\n"
    "own = [m for m in sys.modules if m.startswith('rethinking.')]\n"
    "assert all(m.startswith('rethinking.corruptions') for m in own), own\n"
    "heavy = {'flax', 'orbax', 'tensorflow_datasets', 'matplotlib', 'absl',\n"
    "         'optax', 'ml_collections', 'sklearn', 'torch'}\n"
    "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    "import jax\n"
    "assert len(jax.devices()) == 1\n"
    "jax.config.update('jax_enable_x64', True)\n"
    f"exec({_DRAW!r})\n"
    "print(found)\n"
  )
  names = {}
  exec(_DRAW, {"c": corruptions, "np": np}, names)
  done = subprocess.run(
    [sys.executable, "-c", code],
    check=True,
    timeout=120,
    env={"PATH": "", "JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
  )
  assert done.stdout == f"{names['found']}\n"


_DRAW = """
found = c.apply(
  [c.Corruption.create("uniform", level=0.3, exact=True),
   c.Corruption.create("random_pixels")],
  seed=5, labels=np.arange(40) % 10, ids=np.arange(40), num_classes=10,
  images=np.arange(40 * 64).astype(np.uint8).reshape(40, 8, 8, 1),
).report
found = found["labels_sha256"], found["images_sha256"]
"""


def test_every_corruption_has_its_op():
  for row in corruptions.DEFINITIONS.values():
    assert row.op.name in OPS


def test_what_a_row_names_exists():
  for row in corruptions.DEFINITIONS.values():
    for function in vars(row).values():
      if isinstance(function, registry.Named):
        module = importlib.import_module(
          f"rethinking.corruptions.{function.module}"
        )
        assert callable(getattr(module, function.name)), function


def test_rows_are_read_without_jax():
  code = (
    "import sys; from rethinking.corruptions import DEFINITIONS\n"
    "assert not {'jax', 'numpy'} & set(sys.modules)\n"
    "print(*DEFINITIONS)"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], check=True, capture_output=True, text=True
  )
  assert done.stdout.split() == list(corruptions.DEFINITIONS)


def test_the_help_has_every_corruption():
  for name in corruptions.DEFINITIONS:
    assert re.search(rf"^  {name} ", corruptions.__doc__, re.MULTILINE), name
  assert max(map(len, corruptions.__doc__.splitlines())) <= 79
  assert doctest.testmod(corruptions).failed == 0


@pytest.mark.parametrize("name", OPS)
def test_ops_have_a_formula_and_a_source(name):
  text = text_of(name)
  before, _, after = text.partition("Args:")
  # The definitions of the permutation and of labels from people are words.
  if name not in ("exact", "permutation", "human", "given"):
    assert re.search(r"P\(|x'[^=]* =|x'\[i, j\] = value", before), (
      "no formula before Args"
    )
  if name != "exact":
    # Authors, year, section: "Reference: Zhang, ... (2017), section 2.1".
    source = after.partition("Reference: ")[2]
    assert re.search(
      r"[A-Z]\w+.*\((19|20)\d\d\),.*(section|chapter|algorithm) \d",
      source,
      re.DOTALL,
    )
  assert "ValueError: " in after


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_are_documented(name):
  function, text = getattr(corruptions, name), text_of(name)
  assert "\n" not in text.split("\n\n")[0]
  parameters = [p.lstrip("*") for p in inspect.signature(function).parameters]
  arguments = text.partition("Args:\n")[2].partition("\n\n")[0]
  for parameter in parameters:
    [line] = re.findall(
      rf"^ +\**{parameter}: (.*(?:\n {{4,}}.*)*)", arguments, re.MULTILINE
    )
    if parameter in _ARRAYS:
      assert re.search(r"\[[^]]*\]", line), f"no shape of {parameter}"
    if parameter in ("p", "level", "value"):
      assert re.search(r"\[0, 1\]|\d\.\.\d", line), f"no range of {parameter}"
  draws = name.startswith("draw_")
  assert draws or "Returns:" in text
  assert draws or doctest.DocTestParser().get_examples(text), "no example"


@pytest.mark.parametrize("name", OPS)
def test_keys_come_first_and_deterministic_forms_have_none(name):
  parameters = list(inspect.signature(getattr(corruptions, name)).parameters)
  without = (
    "human",
    "given",
    "shuffle_pixels",
    "look_up_pixels",
    "add_noise",
    "occlude",
  )
  assert (parameters[0] == "key") == (name not in without)
  if name.startswith("random_"):
    assert parameters[:2] == ["key", "image"]


def test_classes_have_examples():
  for name in ("create", "from_config", "to_config", "option"):
    text = inspect.getdoc(getattr(corruptions.Corruption, name))
    assert doctest.DocTestParser().get_examples(text), name


def test_all_is_complete():
  assert set(corruptions.__all__) <= set(dir(corruptions))
  for name in corruptions.__all__:
    getattr(corruptions, name)
  with pytest.raises(AttributeError, match="has no attribute 'foo'"):
    corruptions.__getattr__("foo")

"""What the registry's rows say of the architectures is true of them."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from rethinking import models

every_row = pytest.mark.parametrize(
  ("arch", "row"), models.ARCHITECTURES.items()
)


def test_the_rows_are_read_without_jax_and_flax():
  """In a process of its own: a command's --help lists them."""
  code = (
    "import sys, rethinking.models as m\n"
    "assert m.ARCHITECTURES['mlp_1x512'].dense\n"
    "print(sorted({'jax', 'flax', 'numpy'} & set(sys.modules)))"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], check=True, capture_output=True, text=True
  )
  assert done.stdout.strip() == "[]"


def variables(arch, row):
  module = models.create(arch)
  return module, jax.eval_shape(
    lambda key: module.init(key, jnp.zeros((1, *row.image)), train=False),
    jax.random.key(0),
  )


@every_row
def test_dense_ones_have_no_convolutions(arch, row):
  _, found = variables(arch, row)
  assert row.dense == all(
    leaf.ndim < 4 for leaf in jax.tree.leaves(found["params"])
  )


@every_row
def test_dropout_of_its_own(arch, row):
  module, found = variables(arch, row)

  def train(variables):
    x = jnp.zeros((2, *row.image))
    return module.apply(variables, x, train=True, mutable=["batch_stats"])

  if not row.own_dropout:
    jax.eval_shape(train, found)
    return
  with pytest.raises(ValueError, match="dropout_keys"):
    jax.eval_shape(train, found)


def test_the_paper_s_crop_and_learning_rate():
  """Zhang et al. (2017), section 2 and appendix A."""
  assert {
    arch for arch, row in models.ARCHITECTURES.items() if row.crop == 28
  } == {"inception", "inception_no_bn", "alexnet", "mlp_1x512", "mlp_3x512"}
  assert {
    arch: row.learning_rate
    for arch, row in models.ARCHITECTURES.items()
    if row.learning_rate != 0.01
  } == {"inception": 0.1, "inception_no_bn": 0.1}


@pytest.mark.parametrize(
  ("arch", "size", "crop"),
  [
    ("alexnet", (32, 32), 28),
    ("alexnet", (28, 28), 0),
    ("alexnet", (64, 64), 0),
    ("wide_resnet_28_1", (32, 32), 0),
  ],
)
def test_only_images_of_32_pixels_are_cropped(arch, size, crop):
  assert models.ARCHITECTURES[arch].crop_of(*size) == crop

"""Which platform is given which form, read off the lowered program."""

import functools
import pathlib
import re

import jax
import jax.numpy as jnp
import pytest

from rethinking import ops


def lowered(function, platform, *shapes):
  arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
  program = jax.jit(function).trace(*arguments)
  return program.lower(lowering_platforms=(platform,)).as_text()


def gradients(op):
  return jax.grad(lambda *x: jnp.square(op(*x)).sum(), (0, 1))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_accelerators_take_plain_convolutions(platform, size, stride):
  """Value and two gradients."""
  text = lowered(
    gradients(functools.partial(ops.conv, stride=stride)),
    platform,
    (8, 16, 16, 64),
    (size, size, 64, 64),
  )
  assert text.count("stablehlo.convolution") == 3
  assert "dot_general" not in text and "optimization_barrier" not in text


def test_a_cpu_takes_a_product_for_a_kernel_of_one_pixel():
  conv = functools.partial(ops.conv, stride=2)
  text = lowered(gradients(conv), "cpu", (2, 8, 8, 4), (1, 1, 4, 8))
  assert text.count("stablehlo.dot_general") == 3
  assert "stablehlo.convolution" not in text


@pytest.mark.parametrize(
  ("platform", "plain"), [("cpu", False), ("cuda", False), ("tpu", True)]
)
def test_pooling_reads_its_gradient_but_on_a_tpu(platform, plain):
  pool = jax.grad(lambda x: jnp.square(ops.max_pool(x, 3, 2)).sum())
  text = lowered(pool, platform, (2, 8, 8, 4))
  assert ("stablehlo.select_and_scatter" in text) == plain
  assert ("stablehlo.reduce_window" in text) == plain


@pytest.mark.parametrize(("platform", "barriers"), [("cpu", 5), ("tpu", 0)])
def test_only_a_cpu_has_barriers(platform, barriers):
  def norm(x, scale):
    return ops.batch_norm(x, scale, scale, 1e-3, None)[0]

  text = lowered(gradients(norm), platform, (4, 4, 4, 8), (8,))
  assert text.count("stablehlo.optimization_barrier") == barriers


def test_only_the_switch_names_platforms():
  folder = pathlib.Path(ops.__file__).parent
  models = folder.parent / "models"
  for path in (*folder.glob("*.py"), *models.glob("*.py")):
    named = re.search(
      r"\"(cpu|cuda|rocm|tpu|gpu)\"|platform_dependent|optimization_barrier",
      path.read_text(),
    )
    assert bool(named) == (path.name == "switch.py"), path

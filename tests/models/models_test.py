"""The registry: sizes, types, invariances, for every architecture."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rethinking import models

# Image sides and channels, parameters and running statistics. The counts of
# the published networks are published; digits_cnn's is its own.
PUBLISHED = {
  "keras_cifar_cnn": ((32, 32, 3), 1_184_426, 1_920),
  "keras_mnist_cnn": ((28, 28, 1), 602_634, 0),
  "inception": ((28, 28, 3), 1_649_402, 3_424),
  "inception_no_bn": ((28, 28, 3), 1_649_402, 0),
  "alexnet": ((28, 28, 3), 1_387_786, 0),
  "mlp_1x512": ((28, 28, 3), 1_209_866, 0),
  "mlp_3x512": ((28, 28, 3), 1_735_178, 0),
  "wide_resnet_28_1": ((32, 32, 3), 369_498, 1_824),
  "digits_cnn": ((8, 8, 1), 272_586, 0),
}
every_arch = pytest.mark.parametrize("arch", models.ARCHITECTURES)
BATCH = 8


def size(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def variables_like(module, shape, dtype=jnp.float32):
  return jax.eval_shape(
    lambda key, x: module.init(key, x, train=False),
    jax.random.key(0),
    jax.ShapeDtypeStruct((1, *shape), dtype),
  )


def small(arch):
  """A side small enough to be quick; four halvings still leave a pixel."""
  return (8, 8, PUBLISHED[arch][0][-1])


def keys_for(ids):
  fold = functools.partial(jax.random.fold_in, jax.random.key(5))
  return jax.vmap(fold)(ids)


@pytest.fixture
def float64():
  with jax.enable_x64(True):
    yield


@pytest.fixture
def quick_compilation():
  """Nothing here is timed, and compiling is what takes the time."""
  jax.config.update("jax_disable_most_optimizations", True)
  yield
  jax.config.update("jax_disable_most_optimizations", False)


def test_every_architecture_is_listed():
  assert set(models.ARCHITECTURES) == set(PUBLISHED)


@every_arch
def test_parameter_count(arch):
  shape, parameters, statistics = PUBLISHED[arch]
  found = variables_like(models.create(arch), shape)
  assert size(found["params"]) == parameters
  assert size(found.get("batch_stats", {})) == statistics


@pytest.mark.parametrize(
  ("given", "kept"),
  [
    (jnp.bfloat16, jnp.float32),
    (jnp.float32, jnp.float32),
    (jnp.float64, jnp.float64),
  ],
)
@every_arch
def test_types(arch, given, kept, float64):
  """Whatever is computed in, parameters, statistics and logits are wide."""
  module = models.create(arch, num_classes=7, dtype=given)
  variables = variables_like(module, small(arch), given)
  logits, updates = jax.eval_shape(
    lambda v, x, ids: module.apply(
      v, x, train=True, dropout_keys=keys_for(ids), mutable=["batch_stats"]
    ),
    variables,
    jax.ShapeDtypeStruct((BATCH, *small(arch)), given),
    jax.ShapeDtypeStruct((BATCH,), jnp.uint32),
  )
  assert logits.shape == (BATCH, 7)
  for leaf in jax.tree.leaves((variables, logits, updates)):
    assert leaf.dtype == kept


@every_arch
def test_bfloat16_is_computed_in(arch):
  """The widest operations, products, take bfloat16 operands."""
  module = models.create(arch, dtype=jnp.bfloat16)
  variables = variables_like(module, small(arch))
  program = jax.jit(lambda v, x: module.apply(v, x, train=False)).lower(
    variables, jax.ShapeDtypeStruct((2, *small(arch)), jnp.float32)
  )
  products = re.findall(
    r"stablehlo\.(convolution|dot_general).*: "
    r"\(tensor<\w+x(\w+)>, tensor<\w+x(\w+)>\)",
    program.as_text(),
  )
  assert {kind for kind, *_ in products} == {
    "dot_general",
    *([] if models.ARCHITECTURES[arch].dense else ["convolution"]),
  }
  assert {kind for _, *operands in products for kind in operands} == {"bf16"}


def make_step(module, axis_name=None):
  """One step of gradient descent at rate 0.1, nothing else."""

  def step(variables, x, labels, ids):
    def loss(params):
      logits, updates = module.apply(
        {**variables, "params": params},
        x,
        train=True,
        dropout_keys=keys_for(ids),
        mutable=["batch_stats"],
      )
      picked = jnp.take_along_axis(
        jax.nn.log_softmax(logits), labels[:, None], axis=1
      )
      return -picked.mean(), updates

    (value, updates), grads = jax.value_and_grad(loss, has_aux=True)(
      variables["params"]
    )
    if axis_name is not None:
      value, grads = jax.lax.pmean((value, grads), axis_name)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, variables["params"], grads)
    return {"params": params, **updates}, value, grads

  return step


def batch_for(arch, dtype):
  images, labels = np.random.default_rng(0), np.random.default_rng(1)
  x = jnp.asarray(images.standard_normal((BATCH, *small(arch))), dtype)
  y = jnp.asarray(labels.integers(0, 10, BATCH), jnp.int32)
  return x, y, jnp.arange(100, 100 + BATCH, dtype=jnp.uint32)


def initial(module, x):
  """Initialised in one compiled program, not operation by operation."""
  return jax.jit(functools.partial(module.init, train=False))(
    jax.random.key(0), x
  )


def largest_difference(a, b):
  gaps = jax.tree.map(lambda x, y: jnp.max(jnp.abs(x - y)), a, b)
  return max(float(gap) for gap in jax.tree.leaves(gaps))


@pytest.mark.parametrize("arch", ["keras_cifar_cnn", "digits_cnn"])
def test_masks_follow_the_example(arch, quick_compilation):
  """A permuted batch gives permuted logits: no draw by position."""
  module = models.create(arch, dropout=0.5)
  x, _, ids = batch_for(arch, jnp.float32)
  variables = initial(module, x[:1])
  order = np.random.default_rng(2).permutation(BATCH)

  @jax.jit
  def forward(x, ids):
    logits, _ = module.apply(
      variables,
      x,
      train=True,
      dropout_keys=keys_for(ids),
      mutable=["batch_stats"],
    )
    return logits

  expected = forward(x, ids)[order]
  np.testing.assert_allclose(forward(x[order], ids[order]), expected, atol=2e-5)
  assert not np.allclose(forward(x[order], ids), expected, atol=1e-2)


@every_arch
def test_dropout_of_zero_needs_no_keys(arch):
  module = models.create(arch, dropout=0)
  variables = variables_like(module, small(arch))
  jax.eval_shape(
    lambda v, x: module.apply(v, x, train=True, mutable=["batch_stats"]),
    variables,
    jax.ShapeDtypeStruct((2, *small(arch)), jnp.float32),
  )


def test_dropout_without_keys_is_refused():
  module = models.create("keras_mnist_cnn")
  x = jnp.zeros((2, 8, 8, 1))
  variables = initial(module, x)
  with pytest.raises(ValueError, match="dropout_keys"):
    module.apply(variables, x, train=True)


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (
      {"arch": "resnet"},
      "architecture must be one of .*, got 'resnet'; did",
    ),
    (
      {"arch": "mlp_1x512", "dropout": 1.0},
      r"dropout must be .*\[0, 1\), got 1\.0",
    ),
    (
      {"arch": "mlp_1x512", "num_classes": 0},
      "num_classes must be at least 1, got 0",
    ),
  ],
)
def test_bad_arguments_are_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    models.create(**arguments)


@pytest.mark.parametrize("arch", ["mlp_1x512", "mlp_3x512"])
def test_mlp_takes_any_size(arch):
  module = models.create(arch)
  assert (
    size(variables_like(module, (4, 6, 2))["params"])
    == PUBLISHED[arch][1] - (28 * 28 * 3 - 4 * 6 * 2) * 512
  )

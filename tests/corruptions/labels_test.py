"""Label ops: their distributions, nesting, and independence of the batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethinking import corruptions
from rethinking.corruptions import labels as label_ops

N = 50_000
MATRIX = tuple(
  tuple(row)
  for row in (
    np.array(
      [[0.7, 0.3, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.25] * 4, [0, 0, 0.5, 0.5]]
    )
  ).tolist()
)

# name -> (op of (key, label, p), its matrix at p, K).
RATED = {
  "uniform": (
    functools.partial(corruptions.uniform, num_classes=7),
    lambda p: corruptions.uniform_matrix(p, 7),
    7,
  ),
  "symmetric": (
    functools.partial(corruptions.symmetric, num_classes=7),
    lambda p: corruptions.symmetric_matrix(p, 7),
    7,
  ),
  "pair_flip": (
    functools.partial(corruptions.pair_flip, num_classes=7),
    lambda p: corruptions.pair_flip_matrix(p, 7),
    7,
  ),
  "asymmetric": (
    functools.partial(corruptions.asymmetric, map="cifar10", num_classes=10),
    lambda p: corruptions.asymmetric_matrix(p, "cifar10", 10),
    10,
  ),
}
rated = pytest.mark.parametrize("name", RATED)
IMAGE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
PROJECTION = corruptions.projection(
  corruptions.root_key(9),
  corruptions.image_statistics(IMAGE[None]),
  IMAGE.shape,
  num_classes=5,
)


@functools.partial(jax.jit, static_argnames="op")
def batch(op, key, labels, ids, p):
  keys = corruptions.example_keys(key, ids)
  return jax.vmap(lambda k, y: op(k, y, p))(keys, labels)


def transition(key, label, p):
  del p
  return corruptions.transition(key, label, MATRIX, num_classes=4)


def instance(key, label, p):
  del p
  return corruptions.instance(
    key, label, IMAGE, 0.6, projection=PROJECTION, num_classes=5
  )


def assert_matches(matrix, labels, noisy):
  """Every count within five standard deviations, impossible ones never."""
  counts = np.zeros(matrix.shape)
  np.add.at(counts, (labels, np.asarray(noisy)), 1)
  n = counts.sum(axis=1, keepdims=True)
  spread = np.sqrt(n * matrix * (1 - matrix))
  assert (np.abs(counts - n * matrix) <= 5 * spread + 1e-9).all()


@rated
@pytest.mark.parametrize("p", [0.0, 0.1, 0.45, 1.0])
def test_counts_match_the_definition(name, p):
  op, matrix, classes = RATED[name]
  labels = np.arange(N) % classes
  noisy = batch(op, corruptions.root_key(3), labels, np.arange(N), p)
  assert noisy.dtype == jnp.int32
  assert_matches(matrix(p), labels, noisy)


def test_transition_counts_match_the_matrix():
  labels = np.arange(N) % 4
  noisy = batch(transition, corruptions.root_key(3), labels, np.arange(N), 0)
  assert_matches(np.array(MATRIX), labels, noisy)


def test_transition_never_draws_an_impossible_class(monkeypatch):
  # A row may fall short of 1 by a millionth: even the largest word must not
  # land in the gap.
  largest = jnp.full(2, 2**32 - 1, jnp.uint32)
  monkeypatch.setattr(label_ops.keys, "words", lambda key, count: largest)
  row = (1 / 3, 1 / 3, 1 / 3 - 9e-7, 0.0)
  key = corruptions.root_key(0)
  noisy = corruptions.transition(key, 0, (row,) * 4, num_classes=4)
  assert int(noisy) == 2


@rated
@settings(max_examples=15, deadline=None)
@given(
  low=st.floats(0, 1, width=32),
  high=st.floats(0, 1, width=32),
  seed=st.integers(0, 2**32 - 1),
)
def test_levels_nest_with_the_same_replacement(name, low, high, seed):
  op, _, classes = RATED[name]
  low, high = sorted([low, high])
  labels, ids = np.arange(512) % classes, np.arange(512)
  key = corruptions.root_key(seed)
  some, more = (np.asarray(batch(op, key, labels, ids, p)) for p in (low, high))
  changed = some != labels
  np.testing.assert_array_equal(some[changed], more[changed])


@rated
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_an_example_does_not_depend_on_its_batch(name, data):
  op, _, classes = RATED[name]
  ids = np.array(
    data.draw(
      st.lists(st.integers(0, 2**32 - 1), min_size=8, max_size=8, unique=True)
    ),
    np.uint32,
  )
  labels = (ids % classes).astype(np.int32)
  key = corruptions.root_key(data.draw(st.integers(0, 100)))
  p = data.draw(st.floats(0, 1, width=32))
  whole = np.asarray(batch(op, key, labels, ids, p))
  order = data.draw(st.permutations(range(8)))
  part = np.array(order[:4])
  np.testing.assert_array_equal(
    batch(op, key, labels[part], ids[part], p), whole[part]
  )


@pytest.mark.parametrize("name", [*RATED, "transition", "instance"])
def test_alone_jitted_scanned_and_on_devices_are_the_same(name):
  op, _, classes = {
    **RATED,
    "transition": (transition, None, 4),
    "instance": (instance, None, 5),
  }[name]
  ids = np.arange(8, dtype=np.uint32)
  labels = (ids % classes).astype(np.int32)
  key = corruptions.root_key(1)
  keys = corruptions.example_keys(key, ids)
  expected = np.asarray(batch(op, key, labels, ids, 0.6))
  assert (expected != labels).any()
  alone = [op(jax.random.fold_in(key, i), labels[i], 0.6) for i in range(3)]
  np.testing.assert_array_equal(alone, expected[:3])

  def one(carry, example):
    return carry, op(*example, 0.6)

  np.testing.assert_array_equal(
    jax.lax.scan(one, 0, (keys, labels))[1], expected
  )
  mapped = jax.pmap(lambda i, y: batch(op, key, y, i, 0.6))
  np.testing.assert_array_equal(
    np.ravel(mapped(ids.reshape(4, 2), labels.reshape(4, 2))), expected
  )


def test_64_bit_mode_changes_nothing():
  op, _, _ = RATED["uniform"]
  labels, ids = np.zeros(64, np.int32), np.arange(64)
  narrow = np.asarray(batch(op, corruptions.root_key(0), labels, ids, 0.3))
  with jax.enable_x64(True):
    wide = np.asarray(batch(op, corruptions.root_key(0), labels, ids, 0.3))
  np.testing.assert_array_equal(narrow, wide)


def test_flips_look_at_the_true_label_only():
  """cat -> dog is never flipped back to cat."""
  labels = jnp.array([3, 5])
  keys = corruptions.example_keys(corruptions.root_key(0), jnp.arange(2))
  flipped = jax.vmap(
    lambda k, y: corruptions.asymmetric(
      k, y, 1.0, map="cifar10", num_classes=10
    )
  )(keys, labels)
  assert flipped.tolist() == [5, 3]


def test_the_seed_matters():
  op, _, classes = RATED["uniform"]
  labels, ids = np.zeros(1000, np.int32), np.arange(1000)
  one, two = (
    batch(op, corruptions.root_key(s), labels, ids, 1.0) for s in (0, 1)
  )
  # Two independent draws agree in one of K.
  assert abs(int((one == two).sum()) - 1000 / classes) < 60


@pytest.mark.parametrize(
  "p",
  [-0.1, 1.5, float("nan"), np.float64(2), np.array(1.5), jnp.float32(1.5)]
  + [True, None, "0.5", [0.5], 1j],
  ids=repr,
)
def test_a_rate_outside_is_refused(p):
  with pytest.raises(
    ValueError, match=r"rate must be a number in \[0, 1\], got .*; try 0.5"
  ):
    corruptions.uniform(corruptions.root_key(0), 1, p, num_classes=10)


OPS = {
  **{name: op for name, (op, _, _) in RATED.items()},
  "transition": transition,
  "instance": instance,
}


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize(
  ("label", "message"),
  [
    (10, r"label must be in 0\.\.\d, got 10; try another num_classes"),
    (np.int8(-1), r"The label must be in 0\.\.\d, got -1"),
    (1.0, "The label must be one integer, got float64 of shape"),
    (np.arange(3), r"one integer, got int64 of shape \[3\]; try vmap"),
  ],
)
def test_a_label_that_is_none_is_refused(name, label, message):
  with pytest.raises(ValueError, match=message):
    OPS[name](corruptions.root_key(0), label, 0.5)


@pytest.mark.parametrize("num_classes", [1, 2.0, True, "10", None])
def test_a_number_of_classes_that_is_none_is_refused(num_classes):
  for op in (corruptions.uniform, corruptions.symmetric, corruptions.pair_flip):
    with pytest.raises(
      ValueError, match="num_classes must be an integer in .*, got"
    ):
      op(corruptions.root_key(0), 0, 0.5, num_classes=num_classes)


def test_nothing_traced_raises_late():
  """Values that jit can't see pass; types and shapes are refused at tracing."""
  key, op = corruptions.root_key(0), RATED["uniform"][0]
  for label, p in ((99, 0.5), (-1, 0.5), (1, -3.0), (1, 7.0)):
    jax.block_until_ready(jax.jit(op)(key, label, p))
  with pytest.raises(ValueError, match="The label must be .* got float32"):
    jax.jit(op)(key, 1.0, 0.5)
  with pytest.raises(ValueError, match="rate must be a number .*, got"):
    jax.jit(op)(key, 1, np.ones(3))
  with pytest.raises(
    ValueError, match="The rate must be .*, which shapes .* got a traced"
  ):
    jax.jit(
      lambda p: corruptions.instance(
        key, 1, IMAGE, p, projection=PROJECTION, num_classes=5
      )
    )(0.5)


def test_other_keys_are_refused():
  with pytest.raises(ValueError, match="rbg"):
    corruptions.drawn(jax.random.key(0, impl="rbg"), 0.5)
  with pytest.raises(ValueError, match="threefry2x32"):
    corruptions.drawn(jnp.zeros(2, jnp.uint32), 0.5)
  keys = corruptions.example_keys(corruptions.root_key(0), np.arange(3))
  with pytest.raises(
    ValueError, match=r"key must be one, .* got \[3\]; try vmap"
  ):
    corruptions.drawn(keys, 0.5)


@pytest.mark.parametrize(
  ("matrix", "message"),
  [
    (((0.5, 0.6), (0.0, 1.0)), "Row 0 .* must sum to 1, got 1.1"),
    (
      ((1.0, 0.0), (1.5, -0.5)),
      r"Row 1 .* must be in \[0, 1\], got \[1.5, -0.5\]",
    ),
    (((1.0, 0.0, 0.0),) * 3, r"of shape \[2, 2\], .* got \[3, 3\]"),
    (((1.0, 0.0), (1.0,)), "must be an array, got rows of several lengths"),
  ],
)
def test_a_bad_matrix_is_refused(matrix, message):
  with pytest.raises(ValueError, match=message):
    corruptions.transition(corruptions.root_key(0), 0, matrix, num_classes=2)

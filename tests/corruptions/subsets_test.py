"""Set ops: exact counts, permutations, human labels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethinking import corruptions
from rethinking.corruptions import subsets

IDS = np.arange(300, dtype=np.uint32) * 7
SMALLEST = jax.jit(subsets.smallest)


@settings(max_examples=25, deadline=None)
@given(
  values=st.lists(st.integers(0, 3), min_size=12, max_size=12),
  ids=st.permutations([*range(11), 2**32 - 1]),
  count=st.integers(0, 12),
)
def test_smallest_breaks_ties_by_id(values, ids, count):
  found = SMALLEST(jnp.uint32(values), jnp.array(ids, jnp.uint32), count)
  first = sorted(range(12), key=lambda i: (values[i], ids[i]))[:count]
  assert np.flatnonzero(found).tolist() == sorted(first)


@settings(max_examples=25, deadline=None)
@given(low=st.floats(0, 1), high=st.floats(0, 1), seed=st.integers(0, 999))
def test_exact_draws_round_pn_and_nests(low, high, seed):
  low, high = sorted([low, high])
  labels = np.arange(300) % 10
  some, more = (
    corruptions.apply(
      [corruptions.Corruption.create("symmetric", level=p, exact=True)],
      seed=seed,
      labels=labels,
      ids=IDS,
      num_classes=10,
    ).labels
    for p in (low, high)
  )
  changed = some != labels
  assert changed.sum() == round(low * 300)
  assert (more != labels).sum() == round(high * 300)
  np.testing.assert_array_equal(some[changed], more[changed])


def test_small_counts_are_not_truncated():
  assert corruptions.exact_count(0.29, 100) == 29
  assert int(0.29 * 100) == 28


def test_exact_replaces_as_the_independent_draw_does():
  key, labels = corruptions.root_key(0), np.zeros(300, np.int32)
  drawn = np.asarray(corruptions.drawn_exactly(key, IDS, 120))
  noisy = corruptions.exact(
    key, labels, IDS, 0.4, op=corruptions.uniform, num_classes=10
  )
  all_of_them = [
    corruptions.uniform(k, 0, 1.0, num_classes=10)
    for k in corruptions.example_keys(key, IDS[:20])
  ]
  np.testing.assert_array_equal(
    noisy[:20], np.where(drawn[:20], all_of_them, 0)
  )


@settings(max_examples=25, deadline=None)
@given(p=st.floats(0, 1), seed=st.integers(0, 999), data=st.data())
def test_a_permutation_keeps_marginals_and_ignores_order(p, seed, data):
  key = corruptions.root_key(seed)
  labels = (np.arange(300) ** 2 % 10).astype(np.int32)
  noisy, drawn = corruptions.permutation(key, labels, IDS, p)
  assert drawn.sum() == round(p * 300)
  assert (noisy == labels)[~drawn].all()
  np.testing.assert_array_equal(np.bincount(noisy), np.bincount(labels))
  order = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(300)
  again, _ = corruptions.permutation(key, labels[order], IDS[order], p)
  np.testing.assert_array_equal(again, noisy[order])


def test_a_permutation_moves_labels_uniformly():
  """Each of the 24 permutations of four labels comes up as often."""
  counts = np.zeros((4, 4))
  labels = np.arange(4)
  for seed in range(400):
    noisy, _ = corruptions.permutation(
      corruptions.root_key(seed), labels, np.arange(4), 1.0
    )
    counts[labels, noisy] += 1
  assert np.abs(counts - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)


def test_human_labels_follow_ids():
  given = np.array([3, 1, 2, 0])
  found = corruptions.human([0, 0], [2, 0], given, num_classes=4)
  assert found.tolist() == [2, 3]


def test_human_labels_of_other_examples_are_refused():
  with pytest.raises(
    ValueError, match="Example 1 must be of class 1, .* got 0;"
  ):
    corruptions.human([0, 0], [0, 1], [2, 2], num_classes=3, clean=[0, 1])
  with pytest.raises(
    ValueError, match="ids must have human labels, .*, got 5;"
  ):
    corruptions.human([0], [5], [2, 2], num_classes=3)
  with pytest.raises(ValueError, match="as many as human ones, 2, got 1"):
    corruptions.human([0], [1], [2, 2], num_classes=3, clean=[0])
  with pytest.raises(ValueError, match="Labels must be in .*, got 3 at row 0"):
    corruptions.human([0], [1], [3, 2], num_classes=3)


def test_exact_counts_are_the_same_on_many_devices():
  """Rows sharded over four devices, one program: the same as on one."""
  auto = jax.sharding.AxisType.Auto
  mesh = jax.make_mesh((4,), ("rows",), axis_types=(auto,))
  spread = jax.NamedSharding(mesh, jax.P("rows"))
  labels = np.arange(300) % 10

  def noisy(labels, ids):
    return corruptions.exact(
      corruptions.root_key(3),
      labels,
      ids,
      0.3,
      op=corruptions.uniform,
      num_classes=10,
    )

  on_four = jax.jit(noisy)(*jax.device_put((labels, IDS), spread))
  np.testing.assert_array_equal(on_four, noisy(labels, IDS))


TWICE = np.array([4, 9, 4], np.uint32)


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (
      lambda key, y: corruptions.drawn_exactly(key, TWICE, 1),
      "Ids must be distinct, got 4",
    ),
    (
      lambda key, y: corruptions.drawn_exactly(key, IDS, 301),
      "count must be .* got 301",
    ),
    (
      lambda key, y: corruptions.permutation(key, y, TWICE, 0.5),
      "distinct, got 4",
    ),
    (
      lambda key, y: corruptions.permutation(key, y, IDS[:2], 0.5),
      "one a label, got 2",
    ),
    (lambda key, y: corruptions.permutation(key, y / 2, IDS[:3], 0.5), "float"),
    (
      lambda key, y: corruptions.permutation(key, y, IDS[:3], 1.5),
      "rate must be .* got 1",
    ),
    (
      lambda key, y: exact(key, y, TWICE, 0.5),
      "Ids must be distinct, got 4 more than once",
    ),
    (
      lambda key, y: exact(key, y + 8, IDS[:3], 0.5),
      "Labels .* got 10 at row 2",
    ),
    (lambda key, y: exact(key, y, IDS[:3], -1), "The rate must .* got -1"),
    (
      lambda key, y: jax.jit(exact)(key, y, IDS[:3], 0.5),
      "rate must .* got a traced one",
    ),
  ],
)
def test_bad_sets_are_refused(call, message):
  with pytest.raises(ValueError, match=message):
    call(corruptions.root_key(0), np.arange(3))


def exact(key, labels, ids, p):
  return corruptions.exact(
    key, labels, ids, p, op=corruptions.uniform, num_classes=10
  )

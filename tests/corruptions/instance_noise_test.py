"""Instance-dependent noise: exact in any batch, shaped by the image."""

import jax
import numpy as np
import pytest

from rethinking import corruptions
from rethinking.corruptions import instance_noise, quantiles

N, K = 2000, 5
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (N, 6, 6, 3)).astype(np.uint8)
LABELS = RNG.integers(0, K, N).astype(np.int32)
IDS = np.arange(N, dtype=np.uint32)


def noisy(level, *, rows=slice(None), seed=0, **options):
  statistics = corruptions.image_statistics(IMAGES)
  return corruptions.apply(
    [corruptions.Corruption.create("instance", level=level, **options)],
    seed=seed,
    images=IMAGES[rows],
    labels=LABELS[rows],
    ids=IDS[rows],
    num_classes=K,
    statistics=statistics,
  ).labels


def test_a_set_is_the_op_on_each_example():
  statistics = corruptions.image_statistics(IMAGES)
  key = corruptions.named_key(corruptions.root_key(0), "instance", 0)
  shared = corruptions.projection(
    corruptions.named_key(key, "projection"),
    statistics,
    (6, 6, 3),
    num_classes=K,
  )
  own = corruptions.named_key(key, "train")

  def op(k, y, x):
    return corruptions.instance(k, y, x, 0.7, projection=shared, num_classes=K)

  keys = corruptions.example_keys(own, IDS[:64])
  expected = jax.jit(jax.vmap(op))(keys, LABELS[:64], IMAGES[:64])
  np.testing.assert_array_equal(noisy(0.7)[:64], expected)
  assert int(op(keys[9], LABELS[9], IMAGES[9])) == int(expected[9])


def test_a_batch_changes_nothing():
  rows = RNG.permutation(N)[:333]
  np.testing.assert_array_equal(noisy(0.5)[rows], noisy(0.5, rows=rows))


def test_levels_nest_and_rates_are_as_defined():
  rates = []
  changed = np.zeros(N, bool)
  before = LABELS
  for level in (0.2, 0.5, 0.8):
    after = noisy(level)
    np.testing.assert_array_equal(after[changed], before[changed])
    changed, before = after != LABELS, after
    rates.append(changed.mean())
  np.testing.assert_allclose(rates, [0.2, 0.5, 0.8], atol=0.05)


def test_exact_counts():
  assert (noisy(0.3, exact=True) != LABELS).sum() == 600


def test_the_same_image_and_class_lean_to_the_same_wrong_label():
  """Scores of hundreds of pixels are far apart: the softmax is nearly sure."""
  labels = np.zeros(400, np.int32)
  images = np.repeat(IMAGES[:1], 400, axis=0)
  given = corruptions.apply(
    [corruptions.Corruption.create("instance", level=0.5)],
    seed=0,
    images=images,
    labels=labels,
    ids=np.arange(400),
    num_classes=K,
    statistics=corruptions.image_statistics(IMAGES),
  ).labels
  wrong = np.bincount(given, minlength=K)[1:]
  assert wrong.max() > 0.6 * wrong.sum() and wrong.sum() > 100


def test_scores_are_those_of_the_normalised_image():
  statistics = corruptions.image_statistics(IMAGES)
  shared = corruptions.projection(
    corruptions.root_key(0), statistics, (6, 6, 3), num_classes=K
  )
  mean, std = statistics.moments(True)
  x = ((IMAGES[:50] - mean) / std).reshape(50, -1)
  # The weights as they were before the division by the standard deviation.
  per_value = np.tile(std, 36)[:, None] / shared.scale
  weights = np.asarray(shared.weights[2]) * per_value
  scores = instance_noise.class_scores(
    IMAGES[:50], shared.weights[2], shared.offsets[2]
  )
  np.testing.assert_allclose(
    np.asarray(scores) / shared.scale, x @ weights, atol=0.01
  )
  assert abs(np.std(weights) - 1) < 0.05


def test_targets_follow_the_softmax():
  scale = 1000.0
  scores = np.array([0, 1000, 2000, 500], np.int32)
  keys = corruptions.example_keys(corruptions.root_key(0), np.arange(20_000))
  picked = jax.vmap(
    lambda k: instance_noise.pick_target(
      k, 0, scores, quantiles.gumbel_table(scale)
    )
  )(keys)
  weights = np.exp([1.0, 2.0, 0.5])
  expected = 20_000 * weights / weights.sum()
  counts = np.bincount(picked, minlength=4)
  assert counts[0] == 0
  assert (np.abs(counts[1:] - expected) < 5 * np.sqrt(expected)).all()


def test_a_large_image_is_refused():
  with pytest.raises(ValueError, match="at most 65536"):
    corruptions.projection(
      corruptions.root_key(0),
      corruptions.ImageStatistics(1, (1,), (1,)),
      (257, 256, 1),
      num_classes=2,
    )

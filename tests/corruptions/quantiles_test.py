"""Quantile tables and exact image statistics."""

import hashlib

import numpy as np
import pytest

from rethinking import corruptions
from rethinking.corruptions import quantiles


def test_statistics_are_those_of_numpy():
  images = np.random.default_rng(0).integers(0, 256, (70, 9, 5, 3))
  images = images.astype(np.uint8)
  found = corruptions.image_statistics(images)
  for per_channel, axis in ((True, (0, 1, 2)), (False, None)):
    mean, std = found.moments(per_channel)
    np.testing.assert_allclose(mean, np.atleast_1d(images.mean(axis=axis)))
    np.testing.assert_allclose(std, np.atleast_1d(images.std(axis=axis)))


def test_statistics_of_many_bright_images_do_not_overflow():
  images = np.full((3000, 64, 64, 1), 255, np.uint8)
  mean, std = corruptions.image_statistics(images).moments(False)
  assert mean == [255.0] and std == [0.0]


def test_float_images_are_refused():
  with pytest.raises(ValueError, match="float64 of shape"):
    corruptions.image_statistics(np.zeros((1, 2, 2, 1)))


def test_tables_are_golden():
  table = corruptions.pixel_table(
    corruptions.ImageStatistics(100, (12_000,), (1_800_000,))
  )
  noise = corruptions.noise_table(0.2)
  found = [hashlib.sha256(t.tobytes()).hexdigest()[:16] for t in (table, noise)]
  assert found == ["41f873950a7bf713", "63d6a2419856af89"]


def test_per_channel_tables_differ():
  statistics = corruptions.ImageStatistics(10, (100, 2000), (2000, 401_000))
  assert corruptions.pixel_table(statistics).shape == (1, 65536)
  table = corruptions.pixel_table(statistics, per_channel=True)
  np.testing.assert_allclose(table.mean(axis=1), [10.5, 200], atol=1)


@pytest.mark.parametrize("mean", [0.0, 0.05, 0.5, 1.0])
def test_rates_are_a_truncated_normal(mean):
  # Rejection is the definition of truncation.
  draws = np.random.default_rng(0).normal(mean, 0.1, 1_000_000)
  draws = draws[(draws >= 0) & (draws <= 1)]
  table = quantiles.rate_table(mean)
  assert table.min() >= 0 and table.max() <= 1
  for q in (0.1, 0.5, 0.9):
    assert abs(np.quantile(table, q) - np.quantile(draws, q)) < 2e-3

"""Reports: rates in both conventions, counts, fingerprints."""

import json

import numpy as np
import pytest

from rethinking import corruptions
from rethinking.corruptions import Corruption

N = 20_000
LABELS = (np.arange(N) % 10).astype(np.int32)


def report(*chosen, labels=LABELS, **kwargs):
  return corruptions.apply(
    chosen,
    seed=0,
    labels=labels,
    ids=np.arange(len(labels)),
    num_classes=10,
    **kwargs,
  ).report


@pytest.mark.parametrize(
  ("one", "rate"),
  [
    (Corruption.create("uniform", level=0.4), 0.36),
    (Corruption.create("symmetric", level=0.4), 0.4),
    (Corruption.create("pair_flip", level=0.4), 0.4),
    (Corruption.create("asymmetric", level=0.4, map="cifar10"), 0.2),
    (Corruption.create("permutation", level=0.4), 0.36),
    (
      Corruption.create("transition", matrix=0.4 * np.eye(10) + 0.06),
      0.54,
    ),
  ],
  ids=lambda c: getattr(c, "name", None),
)
def test_nominal_and_realised_rates_agree_with_the_definition(one, rate):
  found = report(one)
  assert found["nominal_flip_rate"] == pytest.approx(rate, abs=1e-4)
  assert abs(found["flip_rate"] - rate) < 5 * np.sqrt(rate * (1 - rate) / N)
  assert found["agreement"] == pytest.approx(1 - found["flip_rate"])
  assert found["inclusive_rate"] == pytest.approx(found["flip_rate"] / 0.9)
  assert found["nominal_inclusive_rate"] == pytest.approx(rate / 0.9, abs=1e-4)
  counts = np.array(found["transition_counts"])
  assert counts.sum() - np.trace(counts) == found["labels_changed"]
  assert counts.sum(axis=1).tolist() == [N // 10] * 10
  assert counts.sum(axis=0).tolist() == found["class_counts_given"]


def test_drawn_and_changed_are_told_apart():
  step = report(Corruption.create("uniform", level=0.5, exact=True))[
    "corruptions"
  ][0]
  assert step["drawn"] == N // 2
  assert 0.87 * step["drawn"] < step["changed"] < 0.93 * step["drawn"]


def test_two_label_corruptions_multiply():
  uniform = Corruption.create("uniform", level=0.5)
  found = report(uniform, uniform)
  assert found["nominal_flip_rate"] == pytest.approx(0.75 * 0.9)
  assert abs(found["flip_rate"] - 0.675) < 0.02
  permuted = report(uniform, Corruption.create("permutation", level=0.5))
  assert permuted["nominal_flip_rate"] is None


def test_a_rate_beyond_uniform_has_no_inclusive_form():
  found = report(Corruption.create("symmetric", level=1.0))
  assert found["flip_rate"] == 1.0 and found["inclusive_rate"] is None


def test_reports_are_json():
  found = report(
    Corruption.create("uniform", level=0.5),
    Corruption.create("gaussian_pixels"),
    labels=LABELS[:50],
    images=np.random.default_rng(0).integers(0, 9, (50, 4, 4, 1), np.uint8),
  )
  assert json.loads(json.dumps(found, allow_nan=False)) == found
  assert found["images_changed"] == 50
  assert len(found["images_sha256"]) == len(found["labels_sha256"]) == 64


def test_a_permutation_of_one_changes_nothing():
  one = Corruption.create("permutation", level=0.01)
  assert report(one, labels=LABELS[:100])["nominal_flip_rate"] == 0.0


def test_fingerprints_see_every_label_id_and_pixel():
  ids, labels = np.arange(4, dtype=np.uint32), np.arange(4, dtype=np.int32)
  images = np.zeros((4, 2, 2, 1), np.uint8)
  other = images.copy()
  other[3, 1, 1] = 1
  prints = {
    corruptions.fingerprint(*pair)
    for pair in (
      (ids, labels),
      (ids + 1, labels),
      (ids, labels[::-1]),
      (ids, images),
      (ids, other),
      (ids, images.reshape(4, 4, 1, 1)),
    )
  }
  assert len(prints) == 6

"""Examples called by names: ids of two words, and what `apply` assumes."""

import hashlib
import itertools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethinking import corruptions
from rethinking.corruptions import Corruption, checks, keys, noise, thresholds

N = 60
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (N, 4, 4, 1)).astype(np.uint8)
LABELS = RNG.integers(0, 5, N).astype(np.int32)
NAMES = [f"{i:03d}.png" for i in range(N)]
MATRIX = (0.5 * np.eye(5) + 0.1).tolist()

EVERY = [
  Corruption.create("uniform", level=0.5),
  Corruption.create("uniform", level=0.5, exact=True),
  Corruption.create("asymmetric", level=0.5, map=(1, 2, 3, 4, 0)),
  Corruption.create("transition", matrix=MATRIX),
  Corruption.create("instance", level=0.5),
  Corruption.create("instance", level=0.5, exact=True),
  Corruption.create("permutation", level=0.5),
  Corruption.create("shuffled_pixels"),
  Corruption.create("random_pixels", fraction=0.5),
  Corruption.create("random_pixels", fraction=0.5, exact=True),
  Corruption.create("gaussian_pixels"),
  Corruption.create("occlusion", level=0.5),
]


def apply(chosen, rows=slice(None), **kwargs):
  rows = np.arange(N)[rows]
  return corruptions.apply(
    [chosen],
    seed=0,
    images=IMAGES[rows],
    labels=LABELS[rows],
    ids=[NAMES[row] for row in rows],
    num_classes=5,
    **kwargs,
  )


def test_an_id_is_the_first_eight_bytes_of_sha256():
  digest = hashlib.sha256("é.png".encode()).digest()
  words = np.array([int.from_bytes(digest[i : i + 4], "big") for i in (0, 4)])
  # The same name, composed and decomposed.
  for name in ("\u00e9.png", "e\u0301.png"):
    found = corruptions.name_ids([name])
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, words[None])


def test_both_words_count():
  key = corruptions.root_key(0)
  found = corruptions.example_keys(key, np.uint32([[1, 2], [1, 3], [2, 2]]))
  data = {tuple(row) for row in jax.random.key_data(found).tolist()}
  one = jax.random.key_data(corruptions.example_keys(key, np.uint32([1])))
  assert len(data | {tuple(one[0].tolist())}) == 4


@pytest.mark.parametrize("chosen", EVERY, ids=repr)
def test_any_order_gives_the_same(chosen):
  order = np.random.default_rng(1).permutation(N)
  one, other = apply(chosen), apply(chosen, order)
  np.testing.assert_array_equal(one.labels[order], other.labels)
  np.testing.assert_array_equal(one.images[order], other.images)
  for name in ("labels_sha256", "images_sha256"):
    assert one.report[name] == other.report[name]


@pytest.mark.parametrize("exact", [False, True])
def test_the_step_draws_whom_the_host_draws(exact):
  chosen = Corruption.create("random_pixels", fraction=0.3, exact=exact)
  ids = corruptions.name_ids(NAMES)
  made = corruptions.prepare(
    [chosen], seed=3, images=IMAGES, labels=LABELS, ids=ids, num_classes=5
  )
  (one,) = made.noise
  key = keys.named_key(jax.random.wrap_key_data(one.key), "fraction")
  host = thresholds.select(key, ids, 0.3, exact=exact)
  np.testing.assert_array_equal(noise.drawn(one, ids), host)
  assert not exact or host.sum() == 18


@settings(max_examples=60)
@given(st.permutations([*itertools.product((0, 1, 2**32 - 1), repeat=2)]))
def test_ties_go_by_both_words(ids):
  ids = np.uint32(ids)
  words = np.zeros(len(ids), np.uint32)
  first = sorted(range(len(ids)), key=lambda i: tuple(ids[i].tolist()))
  np.testing.assert_array_equal(checks.id_order(ids), first)
  np.testing.assert_array_equal(thresholds.smallest(words, ids, 4), first[:4])
  limit = thresholds.Threshold(np.True_, np.uint32(7), ids[first[3]])
  # The word of this key is beside the point: it is made to be the limit's.
  key = corruptions.root_key(0)
  limit = limit._replace(word=np.asarray(keys.words(key, 2)[0]))
  taken = [bool(thresholds.drawn_by(limit, key, id)) for id in ids]
  assert np.flatnonzero(taken).tolist() == sorted(first[:4])


def test_exact_draws_under_jit_are_the_hosts():
  key, ids = corruptions.root_key(0), corruptions.name_ids(NAMES)
  found = jax.jit(corruptions.drawn_exactly, static_argnums=2)(key, ids, 20)
  host = thresholds.select(key, ids, 20 / N, exact=True)
  np.testing.assert_array_equal(found, host)


@pytest.mark.parametrize(
  ("ids", "message"),
  [
    (["a", "a"], "Names must be distinct, got 'a' more than once"),
    (["\u00e9", "e\u0301"], "must be distinct, got .* more than once"),
    (["a", ""], "Names must be non-empty strings, got '' at row 1"),
    (
      np.array(["a", 3], object),
      "Names must be non-empty strings, got 3 at row 1",
    ),
    (
      np.uint32([[1, 2], [1, 2]]),
      "must be distinct, got .* more than once",
    ),
    (
      np.uint32([[1, 2, 3], [1, 2, 4]]),
      r"Ids must be integers .* of shape \[2, 3\]",
    ),
    ([[2**32, 0], [0, 0]], "Ids must be in .*, got 4294967296 at row 0"),
    (["a"], "ids must be one a label, got 1 for 2 labels"),
  ],
)
def test_names_that_are_none_are_refused(ids, message):
  half = Corruption.create("uniform", level=0.5)
  with pytest.raises(ValueError, match=message):
    corruptions.apply([half], seed=0, labels=[0, 1], ids=ids, num_classes=2)


def test_what_is_left_out_is_said():
  half = Corruption.create("uniform", level=0.5)
  given = {"seed": 0, "labels": LABELS}
  done = corruptions.apply([half], **given)
  full = corruptions.apply([half], **given, ids=np.arange(N), num_classes=5)
  np.testing.assert_array_equal(done.labels, full.labels)
  said = {"ids": "row numbers", "classes": "largest label + 1 = 5"}
  assert done.report == full.report | said
  assert apply(half).report["ids"] == "SHA-256 of the names"
  with pytest.raises(ValueError, match="num_classes must be given"):
    corruptions.apply([half], seed=0, labels=[0, 0])


def test_images_need_no_labels():
  noisy = Corruption.create("random_pixels")
  done = corruptions.apply([noisy], seed=0, images=IMAGES)
  with_labels = corruptions.apply(
    [noisy], seed=0, images=IMAGES, labels=LABELS, ids=np.arange(N)
  )
  np.testing.assert_array_equal(done.images, with_labels.images)
  assert done.labels is None and done.true_labels is None
  assert done.report["images_sha256"] == with_labels.report["images_sha256"]
  of_labels = {k for k in done.report if "label" in k or "class_" in k}
  of_labels |= {"flip_rate", "agreement", "num_classes", "transition_counts"}
  assert {done.report[name] for name in of_labels} == {None}


@pytest.mark.parametrize(
  ("chosen", "given"),
  [
    (Corruption.create("uniform", level=0.5), {"images": IMAGES}),
    (Corruption.create("random_pixels"), {"images": IMAGES, "num_classes": 5}),
    (Corruption.create("random_pixels"), {}),
  ],
)
def test_labels_that_are_needed_are_asked_for(chosen, given):
  with pytest.raises(ValueError, match="labels must be given for"):
    corruptions.apply([chosen], seed=0, **given)

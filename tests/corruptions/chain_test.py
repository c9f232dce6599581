"""Whole data sets: order, subsets, nesting, composition, what is refused."""

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethinking import corruptions
from rethinking.corruptions import Corruption, chain, noise, prepared

N = 120
# Of chunks and of subsets alike, so that both run the same programs.
CHUNK = 50
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (N, 6, 5, 3)).astype(np.uint8)
LABELS = RNG.integers(0, 10, N).astype(np.int32)
IDS = RNG.permutation(10_000)[:N].astype(np.uint32)
STATISTICS = corruptions.image_statistics(IMAGES)
MATRIX = (0.5 * np.eye(10) + 0.05).tolist()

EACH = [
  Corruption.create("uniform", level=0.5),
  Corruption.create("symmetric", level=0.5),
  Corruption.create("pair_flip", level=0.5),
  Corruption.create("asymmetric", level=0.5, map="cifar10"),
  Corruption.create("transition", matrix=MATRIX),
  Corruption.create("instance", level=0.5),
  Corruption.create("shuffled_pixels"),
  Corruption.create("random_pixels"),
  Corruption.create("random_pixels", fraction=0.5),
  Corruption.create("gaussian_pixels"),
  Corruption.create("gaussian_pixels", per_channel=True),
  Corruption.create("partial_shuffle", level=0.5),
  Corruption.create("partial_shuffle", level=0.5, per_image=True),
  Corruption.create("gaussian_noise", level=0.2),
  Corruption.create("occlusion", level=0.5),
]
# These look at the whole set: any order of it, but not a part.
WHOLE = [
  Corruption.create("uniform", level=0.5, exact=True),
  Corruption.create("instance", level=0.5, exact=True),
  Corruption.create("permutation", level=0.5),
  Corruption.create("random_pixels", fraction=0.5, exact=True),
]


def apply(chosen, rows=slice(None), seed=0, **kwargs):
  given = {
    "images": IMAGES[rows],
    "labels": LABELS[rows],
    "ids": IDS[rows],
    "num_classes": 10,
    "statistics": STATISTICS,
  }
  return corruptions.apply(chosen, seed=seed, **{**given, **kwargs})


def assert_same(one, other, rows=slice(None)):
  np.testing.assert_array_equal(one.labels[rows], other.labels)
  np.testing.assert_array_equal(one.images[rows], other.images)


@pytest.mark.parametrize("one", EACH, ids=repr)
def test_any_subset_in_any_order_is_corrupted_the_same(one):
  rows = RNG.permutation(N)[:CHUNK]
  assert_same(apply([one]), apply([one], rows), rows)


@pytest.mark.parametrize("one", WHOLE, ids=repr)
def test_any_order_is_corrupted_the_same(one):
  rows = RNG.permutation(N)
  whole, mixed = apply([one]), apply([one], rows)
  assert_same(whole, mixed, rows)
  for name in ("labels_sha256", "images_sha256"):
    assert whole.report[name] == mixed.report[name]


@pytest.mark.parametrize("one", EACH + WHOLE, ids=repr)
def test_the_input_stays_and_something_changes(one):
  images, labels, ids = IMAGES.copy(), LABELS.copy(), IDS.copy()
  for array in (images, labels, ids):
    array.flags.writeable = False
  done = apply([one], images=images, labels=labels, ids=ids)
  assert (done.labels != labels).any() == (one.target == "labels")
  assert (done.images != images).any() == (one.target == "images")
  np.testing.assert_array_equal(done.true_labels, labels)
  # Another seed, another draw.
  again = apply([one], seed=1)
  assert (again.labels != done.labels).any() or (
    again.images != done.images
  ).any()


@pytest.mark.parametrize("one", EACH[6:], ids=repr)
def test_chunks_change_nothing(one, monkeypatch):
  whole = apply([one])
  monkeypatch.setattr(prepared, "_CHUNK", IMAGES[0].size * CHUNK)
  assert_same(whole, apply([one]))


@pytest.mark.parametrize(
  "one",
  [c for c in EACH if c.definition.nests],
  ids=repr,
)
def test_levels_nest_where_the_row_says_so(one):
  options = dict(one.options)
  some, more = (
    apply([Corruption.create(one.name, level=level, **options)]).labels
    for level in (0.3, 0.6)
  )
  changed = some != LABELS
  assert 0 < changed.sum() < (more != LABELS).sum()
  np.testing.assert_array_equal(some[changed], more[changed])


@settings(max_examples=10, deadline=None)
@given(
  levels=st.tuples(st.floats(0, 1), st.floats(0, 1)),
  exact=st.booleans(),
  name=st.sampled_from(["random_pixels", "gaussian_pixels"]),
)
def test_fractions_of_the_images_nest(levels, exact, name):
  some, more = (
    apply([Corruption.create(name, fraction=f, exact=exact)]).images
    for f in sorted(levels)
  )
  changed = (some != IMAGES).any(axis=(1, 2, 3))
  np.testing.assert_array_equal(some[changed], more[changed])
  if exact:
    assert changed.sum() == round(min(levels) * N)


def test_train_and_test_share_only_the_fixed_permutations():
  for one in EACH[6:]:
    train, test = (apply([one], split=s).images for s in ("train", "test"))
    fixed = one.name == "shuffled_pixels" or one == EACH[11]
    assert (train == test).all() == fixed, one


def test_corruptions_of_one_name_draw_apart():
  one = Corruption.create("uniform", level=0.5)
  first, both = apply([one]), apply([one, one])
  second = both.report["corruptions"][1]
  # The same draws again would change nothing.
  assert second["changed"] > 0.2 * N
  assert (both.labels != first.labels).mean() > 0.2
  twice = apply([Corruption.create("shuffled_pixels")] * 2).images
  assert (twice != IMAGES).any()


def test_composition_is_in_order_and_touches_both():
  noise, hide = Corruption.create("uniform", level=0.5), EACH[-1]
  done = apply([noise, EACH[6], hide])
  np.testing.assert_array_equal(done.labels, apply([noise]).labels)
  shuffled = apply([EACH[6]]).images
  np.testing.assert_array_equal(
    done.images, apply([hide], images=shuffled).images
  )


def test_the_labels_can_be_written_to_and_are_no_view_of_the_true_ones():
  for chosen in ([], [EACH[0]], [EACH[4]], [WHOLE[2]]):
    done = apply(chosen)
    done.labels[:] = 0
    np.testing.assert_array_equal(done.true_labels, LABELS)


def test_nothing_to_do_is_nothing_done():
  done = apply([], images=IMAGES)
  assert done.images is IMAGES
  np.testing.assert_array_equal(done.labels, LABELS)
  assert done.report["flip_rate"] == 0.0


@pytest.mark.parametrize(
  ("chosen", "changes", "message"),
  [
    ([EACH[0]], {"labels": LABELS + 1}, r"must be in 0..9, got 10 at row \d"),
    ([EACH[0]], {"labels": LABELS / 2}, "Labels must .* got float64"),
    ([EACH[0]], {"labels": LABELS[:0]}, r"one example at least, got \[\]"),
    ([EACH[0]], {"ids": IDS * 0 + 4}, "Ids must be distinct, got 4"),
    (
      [EACH[0]],
      {"ids": IDS.astype(int) - 20_000},
      "Ids must be in 0..4294967295",
    ),
    ([EACH[0]], {"ids": IDS[:3]}, "must .* got 3 for 120 labels"),
    ([EACH[0]], {"ids": IDS / 2}, "Ids must .* got float64"),
    ([EACH[0]], {"seed": -1}, "seed must be an integer .* got -1;"),
    ([EACH[0]], {"seed": 0.5}, "The seed must be an integer in .*, got 0.5"),
    ([EACH[0]], {"split": None}, "split must be a string, got None; try"),
    ([EACH[9]], {"statistics": (1, 2)}, "must .* got a tuple; try image_"),
    (EACH[0], {}, "must be in a list, got one"),
    ([EACH[6]], {"images": IMAGES[:, :0]}, "must have 1 to 65536 pixels each"),
    (
      [EACH[5]],
      {"images": np.zeros((N, 257, 86, 3), np.uint8)},
      "1 to 65536 values",
    ),
    (
      [EACH[0], EACH[6], Corruption.create("human", path="a.npz", array="x")],
      {},
      "must be a file of human labels, got 'a.npz'",
    ),
    ([EACH[0]], {"split": "test"}, "stay true, got .* 'uniform'"),
    ([EACH[0]], {"num_classes": 1}, "num_classes must .*, got 1;"),
    ([EACH[3]], {"num_classes": 12}, "each of 12 classes, got 10 in"),
    ([EACH[4]], {"num_classes": 12}, r"\[12, 12\].* got \[10, 10\]"),
    ([EACH[7]], {"images": IMAGES / 255}, "Images must .* got float64"),
    ([EACH[7]], {"images": IMAGES[:5]}, r"shape \[120, .* got \[5, 6, 5, 3\]"),
    ([EACH[7]], {"images": None}, "images must .*_pixels', got None"),
    (
      [EACH[9]],
      {"split": "test", "statistics": None},
      "must be given for .* on the split 'test', got None",
    ),
    ([EACH[9]], {"images": IMAGES[..., :1]}, "must be of 1 channels, .* got 3"),
    (["uniform"], {}, "must be a Corruption, got 'uniform'; try"),
  ],
)
def test_bad_input_is_named_before_any_work(
  chosen, changes, message, monkeypatch
):
  for work in ("Prepared", "image_statistics"):
    monkeypatch.setattr(chain, work, lambda *_, **__: 1 / 0)
  with pytest.raises(ValueError, match=message):
    apply(chosen, **changes)


def test_measured_and_given_statistics_are_the_same():
  gaussian = EACH[9]
  measured = apply([gaussian], statistics=None)
  assert measured.statistics == STATISTICS
  assert_same(measured, apply([gaussian]))


SIZED = {"num_classes": 10, "statistics": STATISTICS}


@pytest.mark.parametrize("one", EACH + WHOLE, ids=repr)
def test_a_program_corrupts_a_batch_as_the_whole_set_is(one):
  made = corruptions.prepare(
    [one], seed=0, images=IMAGES, labels=LABELS, ids=IDS, **SIZED
  )
  rows = RNG.permutation(N)[:CHUNK].astype(np.int32)
  values = LABELS if one.target == "labels" else IMAGES
  [found] = made.noise
  batch = jax.jit(noise.corrupt)(found, values[rows], IDS[rows], rows)
  want = apply([one])
  whole = want.labels if one.target == "labels" else want.images
  np.testing.assert_array_equal(batch, whole[rows])
  if one.target == "images":
    np.testing.assert_array_equal(
      made.drawn, (whole != IMAGES).any(axis=(1, 2, 3)) | made.drawn
    )
    assert made.drawn.sum() == made.report()["corruptions"][0]["drawn"]


@pytest.mark.parametrize(
  "name",
  ["uniform", "symmetric", "pair_flip", "gaussian_noise", "occlusion"],
)
def test_levels_and_seeds_share_a_program(name):
  traced = []

  @jax.jit
  def program(one, values, ids):
    traced.append(name)
    return noise.corrupt(one, values, ids)

  for seed in (0, 1):
    for level in (0.0, 0.3, 1.0):
      made = corruptions.prepare(
        [Corruption.create(name, level=level)],
        seed=seed,
        images=IMAGES,
        labels=LABELS,
        ids=IDS,
        **SIZED,
      )
      of_labels = made.noise[0].target == "labels"
      program(made.noise[0], LABELS if of_labels else IMAGES, IDS)
  assert len(traced) == 1


def _drawn(one, draw):
  return corruptions.prepare(
    [one],
    seed=0,
    images=IMAGES,
    labels=LABELS,
    ids=IDS,
    draw=draw,
    **SIZED,
  )


@pytest.mark.parametrize("one", [EACH[0], EACH[8], EACH[13]], ids=repr)
def test_draws_are_independent_and_a_batch_may_hold_several(one):
  def values(made):
    if one.target == "labels":
      return made.labels
    images = np.empty_like(IMAGES)
    for rows, part in made.stream():
      images[rows] = part
    return images

  first, second, only = (_drawn(one, draw) for draw in (0, 1, None))
  assert (values(first) != values(second)).any()
  assert (values(first) != values(only)).any()
  draws = np.arange(N, dtype=np.int32) % 2
  clean = LABELS if one.target == "labels" else IMAGES
  mixed = jax.jit(noise.corrupt)(first.noise[0], clean, IDS, draws=draws)
  for draw, made in enumerate((first, second)):
    np.testing.assert_array_equal(
      mixed[draws == draw], values(made)[draws == draw]
    )
  if one.target == "images" and one.option("fraction") < 1:
    assert (first.drawn != second.drawn).any()


@pytest.mark.parametrize("one", [*WHOLE, EACH[5], EACH[6], EACH[11]], ids=repr)
def test_what_is_drawn_for_the_whole_set_is_not_drawn_again(one):
  with pytest.raises(ValueError, match="drawn once for the whole set, got"):
    _drawn(one, 0)


def test_a_corruption_that_cannot_run_in_a_step_is_refused_by_name():
  row = corruptions.DEFINITIONS["random_pixels"]
  broken = dataclasses.replace(row, prepare=None)
  with pytest.raises(
    ValueError, match="row of 'mine' must have prepare, .*got none"
  ):
    corruptions.register("mine", broken)
  assert "mine" not in corruptions.DEFINITIONS
  corruptions.register("mine", row)
  try:
    assert (apply([Corruption.create("mine")]).images != IMAGES).any()
  finally:
    del corruptions.DEFINITIONS["mine"]

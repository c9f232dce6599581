"""What is given keeps its meaning, or one line says how to give it."""

import json
import pathlib
import runpy
import warnings

import numpy as np
import pytest
from refusals import refused

from rethinking import config as config_lib
from rethinking import corruptions, memorization
from rethinking.corruptions import matrices

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_get_config = runpy.run_path(str(_ROOT / "configs" / "digits.py"))["get_config"]
_SET = {"labels": np.arange(10), "ids": np.arange(10), "num_classes": 10}
_IMAGES = (np.arange(10 * 5 * 5 * 3) * 7 % 256).reshape(10, 5, 5, 3)


def _resolved(variant, lib=config_lib, **fields):
  config = _get_config(variant)
  with config.unlocked(), config.ignore_type():
    config.update(fields)
  return lib.resolve(config)


def _apply(name="uniform", level=0.5, options=None, **given):
  noise = corruptions.Corruption.create(name, level, **(options or {}))
  return corruptions.apply([noise], seed=0, **{**_SET, **given})


def _masked(values, at=0):
  mask = np.zeros(np.shape(values), bool)
  mask.flat[at] = True
  return np.ma.array(values, mask=mask)


@pytest.mark.parametrize(
  ("given", "name"),
  [
    ({"labels": _masked(np.arange(10))}, "Labels"),
    ({"ids": _masked(np.arange(10))}, "Ids"),
    ({"images": _masked(_IMAGES.astype(np.uint8))}, "Images"),
  ],
)
def test_masked_values_arerefused(given, name):
  refused(lambda: _apply(**given), f"{name} must have no masked values, got 1;")
  # A mask that hides nothing loses nothing.
  (key, value), *_ = given.items()
  whole = np.ma.array(value.data, mask=False)
  done = _apply(**{key: whole})
  assert (done.labels == _apply(**{key: value.data}).labels).all()


def test_masked_matrices_images_and_masks_arerefused():
  def matrix():
    corruptions.Corruption.create("transition", matrix=_masked(np.eye(3)))

  def image():
    corruptions.shuffle_pixels(
      _masked(_IMAGES[0].astype(np.uint8)), np.arange(25)
    )

  for act in (matrix, image):
    refused(act, "must have no masked values, got 1; try filled(")
  inside = np.ones((4, 10), bool)
  refused(
    lambda: memorization.pack(_masked(inside)),
    "must have no masked values, got 1; try filled(",
  )


@pytest.mark.parametrize("kind", [set, frozenset, dict.fromkeys])
@pytest.mark.parametrize("name", ["labels", "ids", "images"])
def test_what_has_no_order_isrefused(name, kind):
  given = {name: kind(range(10))}
  refused(lambda: _apply(**given), " must be an array, got a ", "no order")


def test_labels_that_count_from_1_are_refused_with_what_to_do():
  refused(lambda: _apply(labels=np.arange(1, 11)), "10", "try labels - 1")
  with pytest.raises(ValueError) as caught:
    _apply(labels=np.arange(10) + 5)
  assert "labels - 1" not in str(caught.value)


@pytest.fixture
def folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  true = np.arange(300) % 10
  noisy = np.where(np.arange(300) % 5 < 2, (true + 3) % 10, true)
  np.savez(
    "human.npz",
    noisy=noisy,
    shuffled=np.random.Generator(np.random.Philox(0)).permutation(noisy),
    from_1=np.minimum(true + 1, 9),
    from_1_all=true + 1,
    few=noisy[:3],
  )
  np.savez("known.npz", clean_label=true, from_1=(true + 1) % 10)
  return tmp_path


def _human(path="human.npz", array="noisy", count=300):
  about = {"labels": np.arange(count) % 10, "ids": np.arange(count)}
  return _apply("human", None, {"path": path, "array": array}, **about)


@pytest.mark.parametrize("array", ["shuffled", "from_1"])
def test_human_labels_at_chance_are_warned_of(array, folder):
  with pytest.warns(
    UserWarning, match="count from 0, got some that agree with"
  ):
    done = _human(array=array)
  assert done.report["flip_rate"] > 0.8
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    # These say which labels they were given to, so they are in order.
    _human("known.npz", "from_1")


def test_human_labels_better_than_chance_are_not(folder):
  assert _human().report["flip_rate"] == pytest.approx(0.4, abs=0.01)
  # Three labels say nothing about their order.
  assert _human(array="few", count=3).labels.tolist() == [3, 4, 2]


def test_human_labels_that_count_from_1_arerefused(folder):
  refused(lambda: _human(array="from_1_all"), "try labels - 1")


@pytest.mark.parametrize(
  ("name", "data", "kind"),
  [
    ("a.npy", None, "an .npy file"),
    ("a.csv", b"id,label\n0,1\n", "text"),
    ("a.txt", b"7\n" * 500, "text"),
    ("a.npz", b"", "which is empty"),
    ("a.pt", b"\x80\x02}q\x00.", "a pickle, or an old PyTorch file"),
    ("b.pt", b"PK\x03\x04" + bytes(26) + b"b/data.pkl", "a PyTorch file"),
  ],
)
def test_human_files_of_other_kinds_are_named(name, data, kind, folder):
  if data is None:
    np.save(name, np.arange(10))
  else:
    pathlib.Path(name).write_bytes(data)
  refused(
    lambda: _human(name),
    "path must be an .npz file, got ",
    name,
    kind,
    "; try ",
  )


def test_a_path_may_be_a_path(folder):
  assert (_human(folder / "human.npz").labels == _human().labels).all()
  refused(lambda: _human(3), "path must be a non-empty string, got 3")


def test_rows_that_were_rounded_are_taken():
  thirds = np.full((3, 3), 0.333333)
  noise = corruptions.Corruption.create("transition", matrix=thirds)
  assert np.allclose(noise.option("matrix"), thirds)
  about = {"labels": np.arange(9) % 3, "ids": np.arange(9), "num_classes": 3}
  exact = corruptions.Corruption.create(
    "transition", matrix=np.full((3, 3), 1 / 3)
  )
  done = [corruptions.apply([n], seed=0, **about) for n in (noise, exact)]
  assert (done[0].labels == done[1].labels).all()
  rate = done[0].report["corruptions"][0]["nominal_rate"]
  assert rate == pytest.approx(2 / 3)


@pytest.mark.parametrize("value", [0.333, 0.34])
def test_rows_of_another_sum_are_refused_with_what_to_do(value):
  refused(
    lambda: corruptions.Corruption.create(
      "transition", matrix=np.full((3, 3), value)
    ),
    f"must sum to 1, got {3 * value:.6g}; try matrix / matrix.sum(axis=1, keep",
  )


_TURN = {i: (i + 1) % 10 for i in range(9, -1, -1)}


@pytest.mark.parametrize(
  ("given", "expected"),
  [
    (_TURN, (1, 2, 3, 4, 5, 6, 7, 8, 9, 0)),
    ({0: 0, 9: 1}, (0, 1, 2, 3, 4, 5, 6, 7, 8, 1)),
    ({np.int64(3): np.int64(5)}, (0, 1, 2, 5, 4, 5, 6, 7, 8, 9)),
    (((3, 5), (5, 3)), (0, 1, 2, 5, 4, 3, 6, 7, 8, 9)),
    ([9] * 10, (9,) * 10),
  ],
)
def test_a_map_is_taken_by_its_classes(given, expected):
  noise = corruptions.Corruption.create("asymmetric", level=1.0, map=given)
  done = corruptions.apply([noise], seed=0, **_SET)
  assert tuple(done.labels) == expected
  again = json.loads(json.dumps(noise.to_config()))
  assert corruptions.Corruption.from_config(again) == noise
  assert eval(repr(noise), vars(corruptions)) == noise


def test_a_map_in_label_options_is_taken_by_its_classes():
  fields = {"label_noise": "asymmetric", "label_options": "map={1:7,7:1}"}
  config = _resolved("partial_labels", **fields)
  (noise,) = config_lib.corruptions(config)
  assert matrices.flip_map(noise.option("map"), 10)[1::6] == (7, 1)


@pytest.mark.parametrize(
  "given",
  [
    *(set(range(10)), frozenset({1}), {}, {"0": 1}, {0: 1.5}, {True: 1}),
    *({0: None}, {-1: 0}, ((0, 1), (0, 2)), {0: 10}),
  ],
)
def test_a_map_without_order_or_of_other_classes_isrefused(given):
  def act():
    noise = corruptions.Corruption.create("asymmetric", level=1.0, map=given)
    corruptions.apply([noise], seed=0, **_SET)

  with pytest.raises(ValueError, match="; try") as caught:
    act()
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", ["shuffled_pixels", "instance", "occlusion"])
def test_channels_in_front_arerefused(name, channels):
  level = None if name == "shuffled_pixels" else 0.5
  noise = corruptions.Corruption.create(name, level=level)
  images = np.zeros((10, channels, 8, 8), np.uint8)
  images[..., ::2] = 9
  with pytest.raises(ValueError, match=r"try transpose\(0, 2, 3, 1\)\."):
    corruptions.apply([noise], seed=0, images=images, **_SET)
  last = images.transpose(0, 2, 3, 1)
  assert corruptions.apply([noise], seed=0, images=last, **_SET).report
  with pytest.raises(ValueError, match=r"try transpose\(1, 2, 0\)\."):
    corruptions.random_shuffle_pixels(corruptions.root_key(0), images[0])


@pytest.mark.parametrize("value", [0, 7, 255])
def test_instance_noise_refuses_images_without_variance(value):
  noise = corruptions.Corruption.create("instance", level=1.0)
  images = np.full((10, 4, 4, 3), value, np.uint8)
  with pytest.raises(ValueError, match="must have some variance"):
    corruptions.apply([noise], seed=0, images=images, **_SET)
  # One channel that varies is enough.
  images[::2, ..., 1] = 9
  done = corruptions.apply([noise], seed=0, images=images, **_SET)
  wrong = done.labels != done.true_labels
  assert wrong.mean() > 0.5

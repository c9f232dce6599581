"""A user's own data: the same bits from wherever they come."""

import numpy as np
import pytest
from own_sets import CLASSES, TRAIN, config, make, pair, write_folder, write_npz
from PIL import Image

import rethinking
from rethinking import config as config_lib
from rethinking import data
from rethinking.data import own as own_lib
from rethinking.runtime.errors import UserError
from rethinking.storage import jsonl, reading


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
  """The same 500 grey images of 3 classes as a file and as a folder."""
  root = tmp_path_factory.mktemp("own")
  made = make()
  return write_npz(root / "set.npz", *made), write_folder(root / "set", *made)


def test_file_folder_and_arrays_train_to_the_same_bits(sources, tmp_path):
  images, labels, names = make()
  splits = {
    split: data.Dataset.from_arrays(
      images[rows], labels[rows], ids=names[rows], class_names=CLASSES
    )
    for split, rows in (("train", slice(TRAIN)), ("test", slice(TRAIN, None)))
  }
  npz, folder = sources
  rethinking.run(config(npz), tmp_path / "npz")
  rethinking.run(config(folder), tmp_path / "folder")
  # What the config says of data is nothing beside the arrays themselves.
  rethinking.run(config(npz), tmp_path / "arrays", **splits)
  seen = {}
  for kind in ("npz", "folder", "arrays"):
    rows = jsonl.JsonLines(tmp_path / kind / "metrics.jsonl").rows()
    corruption = reading.read_json(tmp_path / kind / "corruption.json")
    summary = reading.read_json(tmp_path / kind / "summary.json")
    seen[kind] = [
      [(r["epoch"], r["train_loss"], r["test_accuracy"]) for r in rows],
      corruption,
      summary["num_classes"],
    ]
  assert seen["npz"] == seen["folder"] == seen["arrays"]
  assert seen["npz"][1]["num_examples"] == TRAIN
  assert seen["npz"][2] == 3
  # The same arrays resume; others are refused.
  again = rethinking.run(config(npz), tmp_path / "arrays", **splits)
  assert again["epoch"] == 2
  one = splits["train"]
  other = data.Dataset.from_arrays(
    255 - one.images, one.labels, ids=one.names, class_names=CLASSES
  )
  with pytest.raises(UserError, match=r"another config \(data:"):
    rethinking.run(
      config(npz), tmp_path / "arrays", train=other, test=splits["test"]
    )


def test_rows_are_in_the_order_of_ids_and_carry_their_names(sources):
  images, labels, names = make()
  for source in sources:
    train, test = pair(source)
    words = [tuple(row) for row in train.ids.tolist()]
    assert words == sorted(words) and train.ids.dtype == np.uint32
    place = {name: i for i, name in enumerate(names)}
    rows = [place[name] for name in train.names]
    np.testing.assert_array_equal(train.images[..., 0], images[rows])
    np.testing.assert_array_equal(train.labels, labels[rows])
    assert sorted(rows) == [*range(TRAIN)]
    assert train.class_names == test.class_names == CLASSES
    assert (train.split, test.split, train.num_classes) == ("train", "test", 3)


def test_moving_a_file_to_another_class_moves_no_id(tmp_path):
  made = make(30)
  root = write_folder(tmp_path / "a", *made, train=20)
  before, _ = pair(root)
  (root / "train/ant/0000.png").rename(root / "train/bee/0000.png")
  with pytest.warns(RuntimeWarning, match="another source"):
    after, _ = pair(root)
  np.testing.assert_array_equal(before.ids, after.ids)
  changed = before.names[before.labels != after.labels]
  assert changed.tolist() == ["0000.png"]


def test_names_that_are_not_distinct_are_paths(tmp_path):
  images, labels, names = make(12)
  names = [f"{i // 3}.png" for i in range(12)]
  train, _ = pair(write_folder(tmp_path / "a", images, labels, names, train=9))
  assert sorted(train.names)[:2] == ["train/ant/0.png", "train/ant/1.png"]


def test_a_test_fraction_is_a_hash_of_the_id(tmp_path, capsys):
  images, labels, names = make()
  np.savez(tmp_path / "one.npz", images=images, labels=labels, ids=names)
  train, test = pair(tmp_path / "one.npz", test_fraction=0.2)
  said = f"note: {len(test.ids)} of 500 examples are the test set"
  assert said in capsys.readouterr().err
  assert 70 <= len(test.ids) <= 130
  assert {*train.names} | {*test.names} == {*names}
  # Fewer examples: those that are left stay where they were.
  np.savez(
    tmp_path / "half.npz",
    images=images[::2],
    labels=labels[::2],
    ids=names[::2],
  )
  _, fewer = pair(tmp_path / "half.npz", test_fraction=0.2)
  assert {*fewer.names} == {*test.names} & {*names[::2]}
  _, larger = pair(tmp_path / "one.npz", test_fraction=0.5)
  assert {*test.names} < {*larger.names}
  folder = write_folder(tmp_path / "f", images, labels, names, train=None)
  assert {*pair(folder, test_fraction=0.2)[1].names} == {*test.names}


def test_images_of_three_dimensions_have_one_channel(tmp_path):
  images, labels, _ = make(30)
  flat = data.Dataset.from_arrays(images, labels)
  assert flat.images.shape == (30, 16, 16, 1)
  assert flat.ids.tolist() == [*range(30)] and flat.names is None


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("side", [4, 256])
def test_sides_and_channels_that_are_taken(channels, side):
  images, labels, _ = make(6, channels, side)
  found = data.Dataset.from_arrays(images, labels)
  np.testing.assert_array_equal(found.images, images)


def test_decoded_folders_are_cached(sources, cache_home, monkeypatch):
  _, folder = sources
  own_lib._LAST.clear()
  first = pair(folder)
  assert [p.name for p in cache_home.rglob("images.npy")] == ["images.npy"]
  own_lib._LAST.clear()
  monkeypatch.setattr(own_lib.folders.pictures, "decode", None)
  second = pair(folder)
  assert first[0].identity == second[0].identity
  assert first[0].identity.startswith("own train (500 PNG) sha256:")


def test_a_file_that_is_changed_is_read_anew(tmp_path):
  images, labels, names = make(30)
  path = write_npz(tmp_path / "a.npz", images, labels, names, train=20)
  before, _ = pair(path)
  assert pair(path)[0] is before
  write_npz(path, 255 - images, labels, names, train=20)
  np.testing.assert_array_equal(pair(path)[0].images, 255 - before.images)


def test_repeats_are_counted_and_warned_about(tmp_path):
  images, labels, names = make(30)
  images[25:28] = images[:3]
  images[4] = images[3]
  with pytest.warns(RuntimeWarning) as seen:
    pair(write_npz(tmp_path / "a.npz", images, labels, names, train=20))
  assert [str(w.message) for w in seen] == [
    "3 test images are train images, too.",
    "1 train images have been seen before with another label.",
  ]


def test_arrays_of_another_program_are_asked_for():
  with pytest.raises(UserError, match=r"arrays that this program holds"):
    pair("sha256:00")


def test_fields_that_do_not_go_together_are_refused():
  with pytest.raises(UserError, match="say where the data are, got None"):
    data.load("own", "train")
  with pytest.raises(UserError, match="data must say where the data are"):
    config_lib.resolve(config(""))
  c = config("a.npz")
  c.dataset = "digits"
  with pytest.raises(UserError, match="data must be left out with dataset=dig"):
    config_lib.resolve(c)


def test_which_examples_are_tested_never_drifts(tmp_path):
  images, labels, _ = make(30)
  np.savez(tmp_path / "a.npz", images=images, labels=labels)
  _, test = pair(tmp_path / "a.npz", test_fraction=0.2)
  assert test.ids.tolist() == [2, 6, 10, 14, 20, 21]


def test_first_frames_and_orientations_are_said(tmp_path):
  images, labels, names = make(12)
  root = write_folder(tmp_path / "a", images, labels, names, train=9)
  frames = [Image.fromarray(image).convert("RGB") for image in images]
  frames[0].save(
    root / "train/ant/film.webp",
    save_all=True,
    append_images=frames[1:3],
    lossless=True,
  )
  turned = Image.Exif()
  turned[0x0112] = 6
  frames[4].save(root / "train/bee/turned.png", exif=turned)
  train, _ = pair(root)
  assert (
    "13 PNG, 1 WEBP, the first frame of 1, the orientation tags of 1 ignored, "
    "all as RGB"
  ) in train.identity
  found = dict(zip(train.names, train.images, strict=True))
  for name, frame in (("film.webp", 0), ("turned.png", 4)):
    pixels = np.asarray(frames[frame])
    np.testing.assert_array_equal(found[name][..., :3], pixels)

"""A user's own data and what is kept of them: a line, never a guess."""

import functools
import io
import os
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from refusals import alarm, refused

from rethinking.data import Dataset, cache, label_files, own, pictures
from rethinking.runtime.errors import UserError

_IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8), np.uint8)
_LABELS = np.arange(12) % 2
_ACCENT, _TWO = "caf\u00e9", "cafe\u0301"  # The same name in both forms.


def _write(root, classes=("a", "b")):
  """Eight train and four test images, in folders of two classes."""
  for i, image in enumerate(_IMAGES):
    place = root / ("train" if i < 8 else "test") / classes[i % 2]
    place.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(place / f"{i}.png")
  return root


@pytest.fixture
def folder(tmp_path):
  return _write(tmp_path / "set")


def _pair(path, **fields):
  return own.pair(own.Own(str(path), **fields), cache=False)


def test_what_cannot_be_printed_is_escaped_in_an_error():
  error = str(UserError("got 'a\nb\x1b[31m\udcff\u202f caf\u00e9 \U0001f600'"))
  assert error == "got 'a\\nb\\x1b[31m\\udcff\\u202f caf\u00e9 \U0001f600'"


@pytest.mark.parametrize("name", ["x\ny.png", "x\ny.txt", "\x1b[31m.png"])
def test_no_name_of_a_file_breaks_the_line(folder, name):
  (folder / "train/a" / name).write_bytes(b"x")
  refused(lambda: _pair(folder), repr(name)[1:-1])


@pytest.mark.parametrize("to", ["gone.png", "x.png"])
@pytest.mark.parametrize("place", ["train/a", "train", "."])
def test_a_link_to_nothing_or_itself_is_named(folder, place, to):
  (folder / place / "x.png").symlink_to(to)
  refused(lambda: _pair(folder), "must be readable, got ", "x.png", "; try ")


def test_every_flipped_bit_of_a_png_is_seen_that_changes_a_pixel():
  image = np.zeros((28, 28), np.uint8)
  image[5:20, 8:15] = np.arange(105).reshape(15, 7) * 37 % 251
  file = io.BytesIO()
  Image.fromarray(image).save(file, "PNG")
  refusals = 0
  for bit in range(8 * len(file.getvalue())):
    data = bytearray(file.getvalue())
    data[bit // 8] ^= 1 << bit % 8
    opened = functools.partial(io.BytesIO, bytes(data))
    try:
      found, _ = pictures.decode(["x.png"], lambda _, o=opened: o(), None)
      np.testing.assert_array_equal(found[0, ..., 0], image)
    except UserError:
      refusals += 1
  assert refusals > 4 * len(file.getvalue())


def test_more_class_folders_than_classes_are_refused_at_once(
  tmp_path, monkeypatch
):
  for i in range(1001):
    (tmp_path / f"{i}").mkdir()
    (tmp_path / f"{i}/x.png").write_bytes(b"")
  monkeypatch.setattr(pictures, "decode", None)
  refused(lambda: _pair(tmp_path), "at most 1000 class folders, got 1001; try")


@pytest.mark.parametrize(
  "given",
  [
    {"class_names": [str(i) for i in range(100_000)]},
    {"labels": np.arange(12) * 10**8},
    {"labels": np.where(_LABELS, 2**31 - 1, 0)},
  ],
)
def test_no_number_of_classes_takes_time_or_memory(given):
  def act():
    with alarm(5):
      Dataset.from_arrays(**{"images": _IMAGES, "labels": _LABELS, **given})

  tracemalloc.start()
  refused(act, "at most 1000 classes, got ", "; try labels from 0")
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert peak < 2**26


def test_a_class_folder_without_images_is_no_class_left_out(folder):
  (folder / "test/0").mkdir()
  assert _pair(folder)[0].class_names == ("a", "b")
  (folder / "train/0").mkdir()
  (folder / "train/0/.keep").touch()
  refused(lambda: _pair(folder), "train/0 must have images, got none; try ")


def test_two_classes_of_one_name_are_refused(folder):
  for form in (_ACCENT, _TWO):
    (folder / "train" / form).mkdir()
    for i in range(2):
      name = f"{len(form)}{i}.png"
      Image.fromarray(_IMAGES[i]).save(folder / "train" / form / name)
  refused(lambda: _pair(folder), "class_names must be", "more than once; try ")


def test_an_accent_of_its_own_is_the_same_class(folder, tmp_path):
  (folder / "train/a").rename(folder / "train" / _TWO)
  (folder / "test/a").rename(folder / "test" / _ACCENT)
  (tmp_path / "l.csv").write_text(f"id,label\n1.png,{_ACCENT}\n")
  train, test = _pair(folder, labels=str(tmp_path / "l.csv"))
  assert train.class_names == test.class_names == ("b", _TWO)
  assert train.labels[train.names.tolist().index("1.png")] == 1
  assert np.bincount(test.labels).tolist() == [2, 2]


# A CSV of labels.


def _raw(**changed):
  names = [f"{i}.png" for i in range(12)]
  return {"images": _IMAGES, "labels": _LABELS, "ids": names, **changed}


@pytest.mark.parametrize(
  ("changed", "words"),
  [
    ({"labels": _LABELS + 0.5}, "labels must be integers of shape [N]"),
    ({"labels": np.array([*"ab"] * 6)}, "labels must be integers of shape [N]"),
    ({"labels": np.eye(12, dtype=int)}, "labels must be integers of shape [N]"),
    ({"labels": _LABELS[:3]}, "labels must be one an image, got 3 for 12"),
    ({"ids": [str(i) for i in range(15)]}, "ids must be one an image, got 15"),
  ],
)
def test_a_csv_makes_no_labels_of_what_is_none(tmp_path, changed, words):
  (tmp_path / "l.csv").write_text("id,label\n11.png,1\n")
  raw = _raw(**changed)
  refused(lambda: label_files.replace(raw, str(tmp_path / "l.csv")), words)
  assert raw["labels"] is changed.get("labels", _LABELS)


@pytest.mark.parametrize("column", ["label", "given_label"])
def test_whose_labels_are_wrong_is_said(tmp_path, column):
  np.savez(tmp_path / "d.npz", images=_IMAGES, labels=_LABELS + 0.5)
  (tmp_path / "l.csv").write_text(f"id,{column}\n0,1\n")
  refused(
    lambda: _pair(tmp_path / "d.npz", labels=str(tmp_path / "l.csv")),
    f"{tmp_path / 'd.npz'}: labels must be integers of shape [N], got float64",
  )


@pytest.mark.parametrize(
  ("text", "words"),
  [
    ("# mine\nid,label\n0.png,1\n", "must have a first line .*got # mine;"),
    ("\nid,label\n0.png,1\n", "must have a first line .*got no line;"),
    ('{"id": 1}', r"must have a first line .*got \{\"id\": 1\};"),
    ("id,label\n".encode("utf-16"), "try lines such as id,label, in UTF-8"),
  ],
)
def test_a_csv_of_another_form_is_said_how_to_write(tmp_path, text, words):
  data = text if isinstance(text, bytes) else text.encode()
  (tmp_path / "l.csv").write_bytes(data)
  with pytest.raises(UserError, match=words):
    label_files.replace(_raw(), str(tmp_path / "l.csv"))


@pytest.mark.parametrize("names", [np.array("abc"), ["9" * 5000, "b"]])
def test_a_csv_meets_any_names_of_classes(tmp_path, names):
  (tmp_path / "l.csv").write_text("id,label\n0.png,x\n")
  raw = _raw(class_names=names)
  refused(lambda: label_files.replace(raw, str(tmp_path / "l.csv")), "; try ")


@pytest.mark.parametrize("where", ["https://host/l.csv", "gs://b/l.csv"])
def test_a_csv_elsewhere_is_asked_for_here(where):
  refused(
    lambda: label_files.replace(_raw(), where),
    f"labels must be a path of this machine, got '{where}'; try one",
    "perhaps of a copy",
  )


def test_a_csv_without_a_line_changes_nothing(tmp_path):
  """As labels_fixed.csv is where nothing is sure."""
  (tmp_path / "l.csv").write_text("id,given,fixed\n")
  raw = _raw()
  label_files.replace(raw, str(tmp_path / "l.csv"))
  np.testing.assert_array_equal(raw["labels"], _LABELS)


def test_no_csv_fills_the_memory_or_the_screen(tmp_path, monkeypatch):
  # Of which reading takes as much.
  monkeypatch.setattr(label_files, "_MOST_BYTES", 2**21)
  path = tmp_path / "l.csv"
  path.write_bytes(b"id,label\n" + b"0.png,1\n" * 200_000)
  tracemalloc.start()
  refused(
    lambda: label_files.replace(_raw(), str(path)),
    "got '0.png' in line 3, a second time",
  )
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert peak < 2**24
  path.write_text(",".join(map(str, range(5000))) + "\n")
  with pytest.raises(UserError, match="must have a first line") as error:
    label_files.replace(_raw(), str(path))
  assert len(str(error.value)) < 500


def test_a_file_too_large_to_be_an_image_is_named(folder):
  os.truncate(folder / "train/a/0.png", 2**40)
  refused(
    lambda: own.pair(own.Own(str(folder))),
    "train/a/0.png must be an image, got more than",
  )


def test_a_cache_that_cannot_be_looked_at_is_none(monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", f"/{'x' * 300}")
  assert cache.load("k", lambda: "5" * 64) is None

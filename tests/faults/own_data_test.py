"""A user's own data and what is kept of them: a line, never a guess."""

import functools
import io
import os
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from refusals import alarm, refused

from rethinking.data import Dataset, own, pictures
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
  ],
)
def test_no_number_of_classes_takes_time_or_memory(given):
  def act():
    with alarm(5):
      Dataset.from_arrays(**{"images": _IMAGES, "labels": _LABELS, **given})

  tracemalloc.start()
  refused(act, "at most 1000 classes, got 1", "; try ")
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert peak < 2**26


def test_two_classes_of_one_name_are_refused(folder):
  for form in (_ACCENT, _TWO):
    (folder / "train" / form).mkdir()
    for i in range(2):
      name = f"{len(form)}{i}.png"
      Image.fromarray(_IMAGES[i]).save(folder / "train" / form / name)
  refused(lambda: _pair(folder), "class_names must be", "more than once; try ")


def test_a_file_too_large_to_be_an_image_is_named(folder):
  os.truncate(folder / "train/a/0.png", 2**40)
  refused(
    lambda: own.pair(own.Own(str(folder))),
    "train/a/0.png must be an image, got more than",
  )

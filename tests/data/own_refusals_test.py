"""What a user's data can't be: one line each, nothing written."""

import io
import os
import struct
import zipfile
import zlib

import numpy as np
import pytest
from own_sets import CLASSES, config, make, pair, write_folder, write_npz
from PIL import Image
from refusals import alarm

import rethinking
from rethinking import data
from rethinking.data import pictures
from rethinking.runtime.errors import UserError

IMAGES, LABELS, NAMES = make(30)


@pytest.fixture
def folder(tmp_path):
  """Twenty train and ten test images, in folders of three classes."""
  return write_folder(tmp_path / "set", IMAGES, LABELS, NAMES, train=20)


def refused(path, match, **fields):
  with pytest.raises(UserError, match=match) as error:
    pair(path, **fields)
  assert "\n" not in str(error.value)


_BYTES = {"images": IMAGES, "labels": LABELS}
ARRAYS = [
  ({"images": IMAGES / 255}, r"got float64; try np.round\(255 \* images\)"),
  ({"images": IMAGES.astype("u2")}, r"got uint16; try \(images // 257\)"),
  ({"images": IMAGES.astype("i8")}, r"got int64; try images.astype"),
  ({"images": [IMAGES[0], IMAGES[1][:4]]}, r"Python objects; try np.stack"),
  ({"images": np.array([None])}, r"Python objects; try np.stack"),
  ({"images": IMAGES[0]}, r"shape \[N, H, W, C\] or .*got \[16, 16\]"),
  ({"images": IMAGES[:0]}, r"got \[0, 16, 16, 1\]"),
  ({"images": np.zeros((2, 3, 8, 8), "u1")}, r"channels last.*transpose"),
  ({"images": np.zeros((2, 3, 8, 1), "u1")}, r"4 to 256 pixels a side"),
  ({"images": np.zeros((2, 257, 8, 1), "u1")}, r"4 to 256 pixels a side"),
  ({"images": np.zeros((2, 8, 8, 5), "u1")}, r"1 to 4 channels"),
  ({"labels": LABELS[:-1]}, r"labels must be one an image, got 29 for 30"),
  ({"labels": LABELS / 1}, r"labels must be integers.*got float64"),
  ({"labels": LABELS - 1}, r"classes from 0 on, got -1"),
  ({"labels": LABELS + 2**31}, r"classes from 0 on, got 2147483650"),
  ({"labels": LABELS + 998}, r"at most 1000 classes, got 1001"),
  ({"labels": np.array([*"ab" * 15])}, r"integers.*return_inverse"),
  ({"labels": np.eye(30)}, r"labels must be integers of shape \[N\]"),
  ({"given_labels": LABELS[1:]}, r"given_labels must be one an image"),
  (
    {"class_names": ["a", "b"]},
    r"labels must be in 0..1, one of the 2 class_names",
  ),
  ({"ids": ["a"] * 30}, "Names must be distinct, got 'a'"),
  ({"ids": NAMES[1:]}, r"ids must be one an image, got 29 for 30"),
  ({"ids": [*NAMES[1:], "../x.png"]}, r"without '..', got '../x.png'"),
  ({"ids": np.arange(30) - 1}, "Ids must be in .*, got -1 at row 0"),
  ({"ids": {*range(30)}}, r"ids must be an array, got a set, .* no order"),
  *(
    ({name: np.ma.masked_equal(values, values.flat[3])}, rf"{name} .* masked")
    for name, values in (
      ("images", IMAGES),
      ("labels", LABELS),
      ("given_labels", LABELS),
      ("ids", np.arange(30)),
    )
  ),
]


@pytest.mark.parametrize(("given", "match"), ARRAYS)
def test_arrays(given, match):
  with pytest.raises(UserError, match=match) as error:
    data.Dataset.from_arrays(**{**_BYTES, **given})
  assert "\n" not in str(error.value)


def test_sets_that_do_not_belong_together(tmp_path):
  def check(match, train=20, **changed):
    given = {"images": IMAGES, "labels": LABELS, "names": NAMES, **changed}
    path = write_npz(tmp_path / "a.npz", *given.values(), train=train)
    refused(path, match)

  check(r"share no name, got 1 in both, such as '0003.png'", names=_shared())
  once = LABELS.copy()
  once[2:20:3] = 0
  once[2] = 2
  check(r"at least 2 train examples, got 1 of 'cat'", labels=once)
  check(r"at least 2 classes .* got 0 of 'bee'", labels=np.zeros(30, int))
  one = data.Dataset.from_arrays(IMAGES, 0 * LABELS, class_names=("cat",))
  with pytest.raises(UserError, match="at least 2 classes, got 1, 'cat'; try"):
    rethinking.run(config(""), tmp_path / "w", train=one, test=one)
  test = data.Dataset.from_arrays(IMAGES, LABELS, class_names=("x", "y", "z"))
  train = data.Dataset.from_arrays(IMAGES, LABELS, class_names=CLASSES)
  with pytest.raises(UserError, match="must have the classes of the train set"):
    rethinking.run(config(""), tmp_path / "w", train=train, test=test)
  small = data.Dataset.from_arrays(IMAGES[:, :8], LABELS, class_names=CLASSES)
  with pytest.raises(UserError, match="one shape, got"):
    rethinking.run(config(""), tmp_path / "w", train=train, test=small)
  for wrong in (None, IMAGES):
    with pytest.raises(UserError, match="test must be a Dataset, got a"):
      rethinking.run(config(""), tmp_path / "w", train=train, test=wrong)
  assert not (tmp_path / "w").exists()


def _shared():
  names = NAMES.copy()
  names[25] = names[3]
  return names


def test_images_of_a_folder_are_named_five_at_most(folder):
  for i in range(7):
    Image.fromarray(IMAGES[i][:8]).save(folder / f"train/ant/x{i}.png")
  refused(
    folder,
    r"7 of 37 images are not all 16x16 as train/ant/0000.png is: train/ant/x0"
    r".png \(16x8\),.*x4.png \(16x8\), \.\.\.; try resize=32",
  )
  train, _ = pair(folder, resize=8)
  assert train.images.shape == (27, 8, 8, 1)
  assert "37 PNG, resized to 8x8, bilinear" in train.identity


def _cut(path):
  path.write_bytes(path.read_bytes()[:-40])


def _claims(width):
  """A PNG of a few bytes that claims to be large."""
  head = struct.pack(">IIBBBBB", width, width, 8, 0, 0, 0, 0)
  parts = b"\x89PNG\r\n\x1a\n"
  chunks = {b"IHDR": head, b"IDAT": zlib.compress(b"0"), b"IEND": b""}
  for kind, body in chunks.items():
    parts += struct.pack(">I", len(body)) + kind + body
    parts += struct.pack(">I", zlib.crc32(kind + body))
  return lambda path: path.write_bytes(parts)


def _deep(path):
  Image.fromarray(IMAGES[0].astype(np.uint16) * 257).save(path)


@pytest.mark.parametrize(
  ("spoil", "resize", "match"),
  [
    (lambda path: path.write_bytes(b"GIF89a"), None, "no PNG, JPEG or WebP"),
    (lambda path: path.write_bytes(b""), None, "no PNG, JPEG or WebP"),
    (_cut, None, r"0000.png \("),
    (_claims(9_000), None, "9000x9000, not 4 to 256"),
    (_claims(9_000), 32, "over 16777216 pixels"),
    (_claims(60_000), 32, "decompression bomb"),
    (_deep, None, r"16-bit; try image.convert\('RGB'\)"),
    (lambda path: path.chmod(0), None, "ermission"),
  ],
)
def test_an_image_that_cannot_be_used(folder, spoil, resize, match):
  spoil(folder / "train/ant/0000.png")
  if "ermission" in match and os.geteuid() == 0:
    pytest.skip("root reads all files")
  refused(folder, f"1 of 30 images can't be used: .*{match}", resize=resize)


def test_a_folder_that_is_none_of_classes(folder, tmp_path):
  (tmp_path / "flat").mkdir()
  refused(tmp_path / "flat", "must have a folder for each class, got none")
  (tmp_path / "flat/a").mkdir()
  refused(tmp_path / "flat", "must have images, got none")
  (folder / "other").mkdir()
  refused(folder, r"must hold train and test alone, .*'other'.*; try root/CLA")
  (folder / "other").rmdir()
  (folder / "train/ant/deep").mkdir()
  (folder / "train/ant/notes.txt").write_text("")
  refused(folder, "got 2 other: train/ant/notes.txt, train/ant/deep/")
  refused(tmp_path / "none", "which is not there")


def test_hidden_files_are_left_alone(folder):
  before, _ = pair(folder)
  (folder / "train/ant/.DS_Store").write_text("")
  after, _ = pair(folder)
  assert before.identity == after.identity


def test_train_alone_is_said_how_to_divide(folder):
  (folder / "test").rename(folder.with_name("elsewhere"))
  refused(folder, r"got \['train'\]; try data=.*/train,test_fraction=0.2")
  assert len(pair(folder / "train", test_fraction=0.2)) == 2


def test_labels_from_1_are_said_how_to_count(tmp_path):
  path = write_npz(tmp_path / "a.npz", IMAGES, LABELS + 1, NAMES, train=20)
  refused(path, "3 class_names, got 3; try labels - 1")
  np.savez(path, images=IMAGES, labels=LABELS + 1)
  match = "got 0 of '0'; try labels - 1 where they are 1..3"
  refused(path, match, test_fraction=0.3)
  np.savez(path, images=IMAGES, labels=np.where(LABELS == 0, 2, LABELS))
  refused(path, "got 0 of '0'; try labels - 1", test_fraction=0.3)
  np.savez(path, images=IMAGES, labels=np.where(LABELS == 1, 2, LABELS))
  refused(path, "got 0 of '1'; try fewer classes", test_fraction=0.3)


def test_a_class_of_test_alone(folder):
  (folder / "test/dog").mkdir()
  Image.fromarray(IMAGES[0]).save(folder / "test/dog/x.png")
  refused(folder, "/test must have the classes of .*/train, got 'dog' too")


def test_links_out_of_the_folder(folder, tmp_path):
  (tmp_path / "secret.png").write_bytes(b"")
  inside = folder / "train/ant/link.png"
  inside.symlink_to(tmp_path / "secret.png")
  refused(folder, "link.png must be in the folder, got a link to .*secret.png")
  inside.unlink()
  (folder / "train/dog").symlink_to(tmp_path)
  refused(folder, "train/dog must be in the folder, got a link")


def test_files_that_are_no_npz(tmp_path):
  path = tmp_path / "a.npz"
  path.write_bytes(b"PK\x03\x04")
  refused(path, "can't be read as .npz")
  np.savez(path, images=IMAGES)
  refused(path, r"must have images and labels, .* got images; try np.savez")
  np.savez(path, images=IMAGES, labels=np.array([{}] * 30), allow_pickle=True)
  refused(path, "can't be read as .npz: it holds object")
  np.savez(path, images=IMAGES / 255, labels=LABELS)
  refused(path, "Images must be uint8 in 0..255, got float64")
  np.savez(path, images=IMAGES, labels=LABELS)
  refused(path, "test_fraction must say .*, got none for 30")
  refused(path, "makes 0 of 30 the test set; try", test_fraction=1e-9)
  refused(path, "must be a folder of images where resize is given", resize=8)
  write_npz(path, IMAGES, LABELS, NAMES, train=20)
  refused(path, "test_fraction must be left out where", test_fraction=0.5)


def test_an_archive_that_unpacks_to_more_than_memory(tmp_path, monkeypatch):
  path = tmp_path / "bomb.npz"
  images = np.zeros((4000, 32, 32, 1), np.uint8)
  np.savez_compressed(path, images=images, labels=np.zeros(4000, int))
  assert path.stat().st_size < 50_000
  monkeypatch.setattr(pictures.memory, "available_bytes", lambda: 1e6)
  refused(path, "at most 1000000.* bytes, got 4[0-9]{6};")


def test_an_archive_that_says_less_than_it_holds(tmp_path):
  path, header = tmp_path / "a.npz", io.BytesIO()
  np.lib.format.write_array(header, np.zeros((4, 8, 8), np.uint8))
  with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("images.npy", header.getvalue() + bytes(10**6))
    archive.writestr("labels.npy", b"")
  refused(path, "can't be read as .npz: 1000256 bytes are no array")


def test_folders_larger_than_memory_are_not_decoded(folder, monkeypatch):
  monkeypatch.setattr(pictures.memory, "available_bytes", lambda: 1e3)
  monkeypatch.setattr(pictures, "_pixels", None)
  refused(folder, r"at most 0.0 GiB, .* got shape \[30, 16, 16, 1\] of 0.0")


def test_a_small_set_explains_a_large_batch(tmp_path):
  path = write_npz(tmp_path / "a.npz", IMAGES, LABELS, NAMES, train=20)
  with pytest.raises(
    UserError, match="batch_size must be at most 20, .* got 32"
  ):
    rethinking.run(config(path), tmp_path / "w")
  assert not (tmp_path / "w").exists()


def test_an_architecture_that_does_not_fit(tmp_path, monkeypatch):
  from flax import linen as nn

  from rethinking.models import layers, registry

  class Fixed(nn.Module):
    num_classes: int
    dropout: float | None
    dtype: str
    axis_name: str | None

    @nn.compact
    def __call__(self, x, train):
      if x.shape[1] != 28:
        raise ValueError("28 pixels, please")
      return nn.Dense(self.num_classes)(x.reshape(len(x), -1))

  monkeypatch.setattr(layers, "Fixed", Fixed, raising=False)
  row = registry.Architecture("", "rethinking.models.layers:Fixed", (28, 28, 1))
  monkeypatch.setitem(registry.ARCHITECTURES, "fixed", row)
  path = write_npz(tmp_path / "a.npz", IMAGES, LABELS, NAMES, train=20)
  c = config(path, arch="fixed", batch_size=4)
  with pytest.raises(
    UserError, match=r"arch=fixed must have images such as \[28, 28, 1\], got"
  ):
    rethinking.run(c, tmp_path / "w")
  assert not (tmp_path / "w").exists()


def test_what_is_no_file_is_no_image(folder):
  os.mkfifo(folder / "train/ant/x.png")
  with alarm(20):
    refused(folder, "must be an image or a folder, got a FIFO")


def test_a_csv_that_is_no_file_is_refused(folder, tmp_path):
  os.mkfifo(tmp_path / "labels.csv")
  with alarm(20):
    refused(folder, "a FIFO, not a file", labels=str(tmp_path / "labels.csv"))

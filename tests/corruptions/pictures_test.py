"""The report's pictures: drawn, and of what they say."""

import matplotlib.image
import numpy as np

from rethinking import corruptions

NAMES = [f"class {i}" for i in range(3)]


def test_the_matrix_shows_each_share(tmp_path):
  draws = []
  for counts in ([[9, 1, 0], [0, 5, 5], [0, 0, 0]], np.eye(3, dtype=int)):
    path = tmp_path / "t.png"
    corruptions.draw_transitions(path, np.array(counts), NAMES, "title")
    draws.append(matplotlib.image.imread(path))
  assert draws[0].shape == draws[1].shape
  assert (draws[0] != draws[1]).any()


def test_the_same_numbers_give_the_same_svg(tmp_path):
  for name in "ab":
    corruptions.draw_transitions(
      tmp_path / name, np.eye(3), NAMES, "title", form="svg"
    )
  first, second = ((tmp_path / name).read_bytes() for name in "ab")
  assert first == second and b"<svg" in first and b"<dc:date>" not in first


def test_examples_show_images_and_labels(tmp_path):
  rng = np.random.default_rng(0)
  before = rng.integers(0, 256, (9, 4, 4, 3), np.uint8)
  labels = np.arange(9) % 3
  common = {
    "before": before,
    "true_labels": labels,
    "ids": np.arange(9),
    "class_names": NAMES,
    "title": "title",
  }
  draws = []
  for after, given in (
    (before, labels),
    (255 - before, labels),
    (before, (labels + 1) % 3),
  ):
    path = tmp_path / "e.png"
    corruptions.draw_examples(path, after=after, labels=given, **common)
    draws.append(matplotlib.image.imread(path))
  assert (draws[0] != draws[1]).any() and (draws[0] != draws[2]).any()


def test_many_classes_and_grey_images(tmp_path):
  labels = np.arange(100)
  images = np.zeros((100, 4, 4, 1), np.uint8)
  names = [str(i) for i in range(100)]
  corruptions.draw_transitions(tmp_path / "t.png", np.eye(100), names, "title")
  corruptions.draw_examples(
    tmp_path / "e.png",
    before=images,
    after=images,
    true_labels=labels,
    labels=labels,
    ids=labels,
    class_names=names,
    title="title",
  )
  assert matplotlib.image.imread(tmp_path / "e.png").shape[0] > 1000

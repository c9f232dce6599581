"""Pictures of portions of corrupted images, and of labels drawn anew."""

import re

import pytest

from rethinking.report import rows, studies, tables

from . import synthetic

_SHARES = (0.5, 1.0)
_PIXELS = ("shuffled_pixels", "gaussian_pixels")
_ARCHS = ("digits_cnn", "mlp_1x512")


def _groups(made):
  return rows.gather(made).groups


def _portions():
  """Rows whose accuracies tell which metric of which run they are of."""
  made = []
  for a, arch in enumerate(_ARCHS):
    clean = {"train_accuracy": 0.8, "test_accuracy": 0.7 + a / 10}
    made.append(synthetic.row(figure="portions", arch=arch, metrics=clean))
    for k, pixels in enumerate(_PIXELS):
      for share in _SHARES:
        seen = {}
        for n, split in enumerate(("train", "test")):
          base = 0.3 + (n + 2 * k) / 10 + a / 100 + share / 1000
          seen[f"{split}_accuracy"] = base
          seen[f"{split}_accuracy_corrupted_images"] = base - 0.2
          seen[f"{split}_accuracy_clean_images"] = (
            base + 0.2 if share < 1 else None
          )
        made.append(
          synthetic.row(
            figure="portions",
            arch=arch,
            pixel_noise=pixels,
            fraction=share,
            metrics=seen,
          )
        )
  return made


def _lines(axis):
  """x and y by label of a panel, without what is a guess's."""
  return {
    line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
    for line in axis.get_lines()
    if not line.get_label().startswith("_")
  }


def test_portions_by_corruption_split_and_images():
  (picture,) = studies.portions(_groups(_portions()), "portions")
  axes = picture.figure.axes
  titles = [axis.get_title() for axis in axes]
  assert titles == ["shuffled pixels", "Gaussian pixels"] * 2
  for i, axis in enumerate(axes):
    n, k = 1 - i // 2, i % 2
    lines = _lines(axis)
    assert len(lines) == 6
    for a, arch in enumerate(_ARCHS):
      base = 30 + 10 * (n + 2 * k) + a
      # All panels have the run that corrupts nothing.
      clean = 70 + 10 * a if n else 80
      wanted = {
        "all": ([0, 0.5, 1], [clean, base + 0.05, base + 0.1]),
        "clean": ([0, 0.5], [clean, base + 20.05]),
        "corrupted": ([0.5, 1], [base - 19.95, base - 19.9]),
      }
      for images, (x, y) in wanted.items():
        found = lines[f"{arch}, {images} images"]
        assert found[0] == x
        assert found[1] == pytest.approx(y)
    # Chance is ten percent.
    assert [10, 10] in [list(line.get_ydata()) for line in axis.get_lines()]


def test_portions_need_a_corrupted_image():
  assert not [*studies.portions(_groups([synthetic.row()]), "portions")]


def _cells(table, condition):
  """A table's rows of a condition, by column."""
  head, _, *lines = re.findall(r"^\|.*$", table, re.MULTILINE)
  names = [name.strip() for name in head.split("|")]
  found = [[cell.strip() for cell in line.split("|")] for line in lines]
  found = [dict(zip(names, line, strict=True)) for line in found]
  return [one for one in found if one["condition"] == condition]


def test_a_table_has_fractions_and_accuracy_by_image():
  table = tables.measured(_groups(_portions()))
  assert [one["fraction"] for one in _cells(table, "true labels")] == ["0"] * 2
  first, _ = _cells(table, "partly gaussian pixels")
  assert first["fraction"] == "0.5"
  assert first["clean images %"] == "70.05"
  assert first["corrupted images %"] == "30.05"
  assert first["test, clean images %"] == "80.05"
  assert first["test, corrupted images %"] == "40.05"
  whole, _ = _cells(table, "gaussian pixels")
  assert whole["fraction"] == "1" and whole["test, clean images %"] == "-"


def test_a_condition_that_says_the_fraction_has_no_column_for_it():
  made = [synthetic.row(), synthetic.row(pixel_noise="random_pixels")]
  assert "fraction" not in tables.measured(_groups(made))


def _redrawn():
  made = []
  for a, arch in enumerate(_ARCHS):
    seen = {"train_accuracy": 0.9, "test_accuracy": 0.8 + a / 10}
    made.append(synthetic.row(figure="redraw", arch=arch, metrics=seen))
    for p in (0.5, 1.0):
      for redraw, base in (("never", 0.6), ("epoch", 0.3)):
        seen = {
          "train_accuracy": base + p / 10,
          "test_accuracy": base - 0.2 + a / 100,
        }
        made.append(
          synthetic.row(
            figure="redraw", arch=arch, p=p, redraw=redraw, metrics=seen
          )
        )
  return made


def test_labels_drawn_once_and_anew_begin_at_the_same_runs():
  (picture,) = studies.redrawn(_groups(_redrawn()), "redraw")
  assert [axis.get_title() for axis in picture.figure.axes] == [*_ARCHS]
  for a, axis in enumerate(picture.figure.axes):
    lines = _lines(axis)
    assert len(lines) == 4
    for drawn, base in (("once", 60), ("each epoch", 30)):
      x, y = lines[f"train, labels drawn {drawn}"]
      assert x == [0, 0.5, 1]
      assert y == pytest.approx([90, base + 5, base + 10])
      x, y = lines[f"test, labels drawn {drawn}"]
      assert x == [0, 0.5, 1]
      assert y == pytest.approx([80 + 10 * a, base - 20 + a, base - 20 + a])


def test_partial_results_of_redraw_draw():
  made = _redrawn()
  for count in range(1, len(made)):
    # Where true labels are last, too.
    assert len([*studies.redrawn(_groups(made[-count:]), "redraw")]) == 1
  assert not [*studies.redrawn(_groups(made[:1]), "redraw")]

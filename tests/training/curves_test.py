"""The curves of a run show what its rows say."""

import numpy as np
from etils import epath

from rethinking.storage import plots
from rethinking.training import curves, metrics


def _row(epoch, changed):
  row = {"epoch": epoch}
  for part, quantity in (
    (part, quantity)
    for part in ("train", "test")
    for quantity in ("loss", "accuracy")
  ):
    row[f"{part}_{quantity}"] = 0.5 + 0.1 * epoch
  for quantity in ("loss", "accuracy"):
    row[f"train_{quantity}_unchanged"] = 0.4
    row[f"train_{quantity}_changed"] = 0.2 if changed else None
  row["changed_predicted_true"] = 0.1 if changed else None
  return row


def _lines(rows, monkeypatch, path):
  drawn = []
  monkeypatch.setattr(plots, "save", lambda fig, path: drawn.append(fig))
  curves.draw(rows, path, "title")
  return [
    {line.get_label(): line.get_ydata() for line in axis.get_lines()}
    for axis in drawn[0].axes
  ]


def test_a_line_for_each_part_that_there_is(monkeypatch, tmp_path):
  path = epath.Path(tmp_path) / "curves.png"
  loss, accuracy = _lines(
    [_row(epoch, True) for epoch in range(3)], monkeypatch, path
  )
  assert len(loss) == 4
  assert accuracy.keys() - loss.keys() == {"seen through"}
  np.testing.assert_allclose(loss["test, true labels"], [0.5, 0.6, 0.7])
  # In percent.
  np.testing.assert_allclose(accuracy["label changed"], [20.0] * 3)
  loss, _ = _lines([_row(0, False)], monkeypatch, path)
  assert "label changed" not in loss


def test_no_two_lines_look_alike(monkeypatch, tmp_path):
  drawn = []
  monkeypatch.setattr(plots, "save", lambda fig, path: drawn.append(fig))
  row = {"epoch": 0, **dict.fromkeys(metrics.shown("end"), 0.5)}
  curves.draw([row], epath.Path(tmp_path), "title")
  looks_of = [
    {x.get_label(): (x.get_color(), x.get_linestyle()) for x in a.get_lines()}
    for a in drawn[0].axes
  ]
  assert looks_of[0].items() <= looks_of[1].items()
  for axis in drawn[0].axes:
    lines = axis.get_lines()
    looks = {(line.get_color(), line.get_linestyle()) for line in lines}
    names = {line.get_label() for line in lines}
    assert len(looks) == len(names) == len(lines) >= 9


def test_the_same_numbers_give_the_same_file(tmp_path):
  files = []
  for name in ("a", "b"):
    for ending in (".png", ".svg"):
      path = epath.Path(tmp_path) / name / "curves"
      path.parent.mkdir(exist_ok=True)
      curves.draw([_row(0, True), _row(1, True)], path, "title")
      files.append(path.with_suffix(ending).read_bytes())
  assert files[:2] == files[2:]
  assert files[0].startswith(b"\x89PNG") and b"<svg" in files[1]

"""Committed CSVs are redrawn: the same tables, pictures of the same lines."""

import csv
import io
import pathlib
import struct

import numpy as np
import pytest

from rethinking import report
from rethinking.report.__main__ import main
from rethinking.storage import plots

from . import synthetic

_RESULTS = pathlib.Path(__file__).resolve().parents[2] / "configs" / "results"
# The page of each, what it is a copy of, and the pictures, by the ends of
# their names there and here.
_KINDS = {
  "figure1_digits": ("table", {f"_{n}": f"figure1{n}" for n in "abc"}),
  "keras_study_digits": ("table", {"": "keras_study"}),
  "levels_cifar_mlp_1x512": ("table", {f"_{n}": f"levels_{n}" for n in "bc"}),
  "portions_digits": ("table", {"": "portions"}),
  "portions_mnist": ("table", {"": "portions"}),
  "redraw_digits": ("table", {"": "redraw"}),
  "redraw_mnist": ("table", {"": "redraw"}),
  "table1_cifar_h100": ("table", {}),
  "table1_cifar_mlp_1x512": ("table", {}),
  "label_issues_digits": (
    "detection",
    {"": "detection", "_calibration": "detection_calibration"},
  ),
  "label_issues_digits_repair": ("repair", {"": "repair"}),
  "memorization_digits": ("memorization", {"": "memorization"}),
  "memorization_mnist": ("memorization", {}),
  "memorization_cifar_mlp": ("memorization", {}),
  "theory_digits_kernel": ("table", {"_noise": "noise", "_ridge": "ridge"}),
  "theory_mnist_noise": ("table", {"": "noise"}),
  "theory_digits_rademacher": ("table", {"": "rademacher"}),
  "theory_mnist_rademacher": ("table", {"": "rademacher"}),
}
_KINDS["figure1_digits"][1]["_changed"] = "figure1_changed"
_KINDS["keras_study_digits"][1]["_changed"] = "keras_study_changed"


def _size(png):
  """Width and height, as the file says."""
  return struct.unpack(">II", png.read_bytes()[16:24])


@pytest.fixture
def figures(monkeypatch):
  """What would be drawn, by name: the figure and its size in pixels."""
  found = {}

  def save(fig, path, dpi=120, about=None):
    size = tuple(round(float(dpi * x)) for x in fig.get_size_inches())
    found[path.name] = (fig, size)
    return []

  monkeypatch.setattr(plots, "save", save)
  return found


def test_every_committed_csv_is_here():
  assert {path.stem for path in _RESULTS.glob("*.csv")} == {*_KINDS}


def _redraw(stem, out):
  assert main([str(_RESULTS / f"{stem}.csv"), f"--out={out}"]) == 0
  kind, pictures = _KINDS[stem]
  folder = out / stem
  csv_file = (folder / f"{kind}.csv").read_bytes()
  assert csv_file == (_RESULTS / f"{stem}.csv").read_bytes()
  return (folder / f"{kind}.md").read_text(), pictures


@pytest.mark.parametrize("stem", _KINDS)
def test_a_committed_table_is_redrawn_to_the_letter(tmp_path, figures, stem):
  table, pictures = _redraw(stem, tmp_path)
  page = _RESULTS / f"{stem}.md"
  if page.exists():
    # What a person wrote stands between the title and the table.
    assert table.removeprefix("# Results\n\n") in page.read_text()
  for end, name in pictures.items():
    assert figures[name][1] == _size(_RESULTS / f"{stem}{end}.png"), name


def test_bars_are_what_the_rows_say(tmp_path, figures):
  _redraw("memorization_digits", tmp_path)
  fig, _ = figures["memorization"]
  text = (_RESULTS / "memorization_digits.csv").read_text()
  rows = [*csv.DictReader(text.splitlines())]
  assert len(fig.axes) == 2
  for axis in fig.axes:
    mine = [row for row in rows if row["examples"] == axis.get_title()]
    heights = [[bar.get_height() for bar in x] for x in axis.containers]
    want = [(float(x["acc_out"]), float(x["mem"])) for x in mine]
    want = [(outside, mem, 1 - outside - mem) for outside, mem in want]
    shares = 100 * np.array(want)
    np.testing.assert_allclose(np.transpose(heights), shares, atol=1e-9)
    assert all(0 <= bar <= 100 for x in heights for bar in x)


@pytest.mark.slow
@pytest.mark.parametrize("stem", _KINDS)
def test_a_committed_picture_is_redrawn(tmp_path, stem):
  _, pictures = _redraw(stem, tmp_path)
  for end, name in pictures.items():
    committed = _size(_RESULTS / f"{stem}{end}.png")
    assert _size(tmp_path / stem / f"{name}.png") == committed


def _shown(fig):
  """Each text, and the points of each line and band."""
  texts, points = [], []
  for axis in fig.axes:
    texts += [axis.get_title(), axis.get_xlabel(), axis.get_ylabel()]
    for line in axis.get_lines():
      texts.append(line.get_label())
      points.append(np.array(line.get_xydata(), float))
    for band in axis.collections:
      points += [path.vertices for path in band.get_paths()]
  return texts, points


def _seeds(**more):
  test = more.pop("test", 0.7)
  return [synthetic.row(seed=s, test=test + s / 100, **more) for s in range(2)]


def _sweeps():
  pixels = {"figure": "portions", "pixel_noise": "random_pixels"}
  shares = {"train_accuracy_clean_images": 0.5}
  norm = {"figure": "figure2b", "fit": 20}
  return {
    "figure1": [
      *_seeds(p=0.0),
      *_seeds(p=0.5, fit=30),
      *_seeds(p=1.0, fit=None, test=0.1),
      *_seeds(pixel_noise="shuffled_pixels"),
    ],
    "figure2b": [*_seeds(**norm), *_seeds(arch="mlp_1x512", **norm)],
    "keras_study": [
      *_seeds(figure="keras_study", early_stopping=10),
      *_seeds(figure="keras_study", early_stopping=10, p=0.5, test=0.4),
    ],
    "portions": [
      *_seeds(figure="portions"),
      *_seeds(fraction=0.5, metrics=shares, **pixels),
    ],
    "redraw": [
      *_seeds(figure="redraw"),
      *_seeds(figure="redraw", p=0.5, redraw="epoch", subset=7),
    ],
  }


@pytest.mark.parametrize("figure", _sweeps())
def test_a_table_shows_what_its_rows_show(tmp_path, figures, figure):
  synthetic.write(tmp_path, _sweeps()[figure])
  names = report.draw(tmp_path)
  before = {name: _shown(fig) for name, (fig, _) in figures.items()}
  figures.clear()
  assert main([str(tmp_path / "table.csv"), f"--out={tmp_path / 'o'}"]) == 0
  for name in names:
    redrawn = (tmp_path / "o" / "table" / name).read_bytes()
    assert redrawn == (tmp_path / name).read_bytes(), name
  assert {*figures} == {*before} and before
  for name, (texts, points) in before.items():
    again = _shown(figures[name][0])
    assert again[0] == texts
    for a, b in zip(again[1], points, strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def _edited(stem, **cells):
  """The text of a CSV whose first row has other cells; None: no such column."""
  rows = [*csv.DictReader(io.StringIO((_RESULTS / f"{stem}.csv").read_text()))]
  rows[0] |= cells
  kept = [name for name in rows[0] if rows[0][name] is not None]
  text = io.StringIO()
  writer = csv.DictWriter(text, kept, extrasaction="ignore")
  writer.writeheader()
  writer.writerows(rows)
  return text.getvalue()


_NOISE, _SWEEP = "theory_mnist_noise", "redraw_digits"


@pytest.mark.parametrize(
  ("text", "words"),
  [
    ("", "must be one of a sweep's table.csv, detection.csv"),
    ("a,b\n1,2\n", "must be one of a sweep's table.csv"),
    ("\0\n", "must be one of"),
    (b"\xff\xfe", "must be a CSV that you may read"),
    (_edited(_NOISE).split("\n")[0], "must have a row, got its titles"),
    (
      _edited(_NOISE, norm=None),
      "a kernel's table.csv, got none named norm",
    ),
    (_edited(_SWEEP, seed=None), "table.csv, got none named seed; try"),
    (_edited(_NOISE, norm="x"), "row 2: norm must be a number, got 'x'"),
    (_edited(_NOISE) + "1,2\n", "row 32: it must have 10 cells, got 2"),
    (
      _edited(_NOISE) + _edited(_NOISE).splitlines()[1],
      "row 32: it must be there once, got it in row 2, too",
    ),
    (_edited("theory_mnist_rademacher", low="2"), "low must be at most 0.09"),
    (_edited("label_issues_digits", runs=""), "runs must be text, got None"),
    (
      _edited("label_issues_digits", auroc_aum_low="x"),
      "must be a number, got",
    ),
    (_edited("label_issues_digits", ap_aum=None), "got none named ap_aum; try"),
    (_edited("label_issues_digits", listed_own="x"), "a number or empty, got"),
    (_edited(_SWEEP, n="2"), "n must be the number of its seeds, 3, got 2"),
    (_edited(_SWEEP, seed="[0, 1, []]"), "seed must be a whole number or"),
    (_edited(_SWEEP, fitted="4"), "fitted must be in 0..3, the runs, got 4"),
    (_edited(_SWEEP, p="0.3", label_noise="uniform"), "must be partial_labels"),
    (_edited(_SWEEP, test_accuracy_mean="93"), "must be in [0, 1], got 93"),
    (_edited(_SWEEP, test_loss_sd="x"), "test_loss_sd must be a number"),
    (_edited(_SWEEP, l2="x"), "l2 must be a number, got 'x'"),
    (_edited(_SWEEP, pixel_noise="5"), "condition must be partly_5, as"),
    (_edited(_SWEEP, num_classes="1"), "num_classes must be at least 2"),
    (_edited(_SWEEP, n="0", seed="[]", fitted="0"), "seed must be a whole"),
    (_edited(_SWEEP, curve="[[1]]"), "curve must be a list of lists"),
    (_edited(_SWEEP, curve="5"), "curve must be a list of lists"),
  ],
)
def test_what_is_no_table_of_ours_is_refused_in_a_line(
  tmp_path, capsys, text, words
):
  path, out = tmp_path / "rows.csv", tmp_path / "out"
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  # The good one before it is not drawn either.
  good = str(_RESULTS / "theory_mnist_rademacher.csv")
  assert main([good, str(path), f"--out={out}"]) == 2
  error = capsys.readouterr().err
  assert words in error and error.count("\n") == 1, error
  assert not out.exists()


def test_folders_and_names_that_do_not_fit_are_refused(tmp_path, capsys):
  good = str(_RESULTS / "theory_mnist_rademacher.csv")
  (tmp_path / "file").write_text("")
  run = tmp_path / "theory_mnist_rademacher"
  run.mkdir()
  (run / "config.json").write_text("{}")
  for given, words in (
    ([good, f"--out={tmp_path / 'file'}"], "a folder that you may write to"),
    ([good, f"--out={tmp_path}"], "got that of a run or a sweep"),
    ([good, good, f"--out={tmp_path / 'o'}"], "a name each"),
    ([good, str(run), f"--out={tmp_path / 'o'}"], "drawn apart, got both"),
    ([str(tmp_path / "no.csv")], "No such file"),
  ):
    assert main(given) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1, error
  assert [path.name for path in run.iterdir()] == ["config.json"]
  assert not (tmp_path / "o").exists()

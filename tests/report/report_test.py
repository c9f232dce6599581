"""The whole report, drawn from rows into a folder, and its command."""

import csv
import re
import subprocess
import sys

import pytest

from rethinking import report
from rethinking.config import figures, listing
from rethinking.report import pictures
from rethinking.report.rows import Stat
from rethinking.runtime.errors import UserError

from . import synthetic

_LEVELS = (0.0, 0.5, 1.0)


def _figure1():
  made = [
    synthetic.row(
      seed=seed,
      arch=arch,
      p=p,
      fit=None if p == 1 and arch == "mlp_1x512" else round(10 + 15 * p),
      test=0.95 - 0.85 * p + 0.01 * seed,
      metrics={"data_source": {"train": "digits, verbatim | words"}},
    )
    for seed in range(2)
    for arch in ("digits_cnn", "mlp_1x512")
    for p in _LEVELS
  ]
  made += [
    synthetic.row(pixel_noise=name, fit=20, test=0.3)
    for name in ("shuffled_pixels", "random_pixels", "gaussian_pixels")
  ]
  return [*made, synthetic.diverged(seed=9, learning_rate=1e9)]


def _texts(folder, name):
  """The words drawn in an SVG, which keeps them as comments."""
  return re.findall(r"<!-- (.*?) -->", (folder / f"{name}.svg").read_text())


@pytest.fixture(scope="module")
def figure1(tmp_path_factory):
  """A folder with Figure 1, and the names that drawing it returned."""
  folder = tmp_path_factory.mktemp("figure1")
  synthetic.write(folder, _figure1())
  return folder, report.draw(folder)


def test_figure_1_is_drawn_with_its_tables(figure1):
  tmp_path, written = figure1
  pictures = ["figure1a", "figure1b", "figure1c", "figure1", "figure1_changed"]
  expected = {"table.md", "table.csv", "published.csv", "claims.md"}
  expected |= {f"{n}.{ending}" for n in pictures for ending in ("png", "svg")}
  assert set(written) == expected
  assert {p.name for p in tmp_path.iterdir()} == expected | {"results.jsonl"}
  for name in pictures:
    assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / f"{name}.png").stat().st_size < 250_000
    assert (tmp_path / f"{name}.svg").stat().st_size < 200_000
    words = " ".join(_texts(tmp_path, name))
    # In the files, and not in the picture.
    for ending in ("png", "svg"):
      data = (tmp_path / f"{name}.{ending}").read_bytes()
      assert b"verbatim | words" in data
    assert "verbatim" not in words
    assert "diverged at step 7" in words
  whole = _texts(tmp_path, "figure1")
  for name in pictures[:3]:
    assert len({*_texts(tmp_path, name)} - {*whole}) <= 4, name
  words = _texts(tmp_path, "figure1a")
  for condition in (
    "true labels",
    "random labels",
    "shuffled pixels",
    "random pixels",
    "Gaussian pixels",
  ):
    assert condition in words
  assert "mlp_1x512" not in words
  assert "chance, 90 %" in _texts(tmp_path, "figure1c")
  assert any("Open with an" in w for w in _texts(tmp_path, "figure1b"))
  words = _texts(tmp_path, "figure1_changed")
  for arch in ("digits_cnn", "mlp_1x512"):
    assert f"{arch}: first fit" in words
    assert f"{arch}: best test accuracy" in words


def test_the_tables_hold_the_numbers(figure1):
  tmp_path, _ = figure1
  with (tmp_path / "table.csv").open() as file:
    lines = list(csv.DictReader(file))
  assert len(lines) == 9
  by_key = {(r["arch"], r["condition"], r["p"]): r for r in lines}
  half = by_key["digits_cnn", "partial_labels", "0.5"]
  assert half["n"] == half["fitted"] == "2"
  assert float(half["test_accuracy_mean"]) == pytest.approx(0.53)
  assert float(half["test_accuracy_sd"]) == pytest.approx(0.01 / 2**0.5)
  assert float(half["epochs_to_fit_mean"]) == 18
  censored = by_key["mlp_1x512", "random_labels", "1.0"]
  assert censored["fitted"] == "0"
  assert censored["steps_to_fit_mean"] == "660.0"
  assert censored["steps_to_fit_sd"] == ""

  table = (tmp_path / "table.md").read_text()
  assert "| digits_cnn | partial labels | 0.5 | 2 |" in table
  assert "53.00 ± 0.71" in table
  assert "≥ 660.0 (0/2 fitted)" in table
  assert ": diverged at step 7" in table
  assert "- Data: train: digits, verbatim | words." in table
  assert "- Hardware: 1 x NVIDIA H100, 16 CPU cores." in table
  assert "- Seeds: 0, 1." in table
  claims = (tmp_path / "claims.md").read_text()
  assert claims.removeprefix("# The paper's claims\n\n") in table
  assert "| digits, digits_cnn | supported |" in claims
  assert "| digits, mlp_1x512 | not supported |" in claims
  # Every line of a table has as many cells as its header.
  for block in re.findall(r"(?:^\|.*\n)+", table, re.MULTILINE):
    assert len({line.count(" | ") for line in block.splitlines()}) == 1


def test_the_same_rows_give_the_same_files(tmp_path):
  made = [synthetic.row(figure="figure2b", arch="inception")]
  synthetic.write(tmp_path, made)
  first, second = (
    {name: (tmp_path / name).read_bytes() for name in report.draw(tmp_path)}
    for _ in range(2)
  )
  assert len(first) == 6
  assert first == second


@pytest.mark.parametrize("count", [0, 1, 2])
def test_partial_results_draw(tmp_path, count):
  synthetic.write(tmp_path, _figure1()[:count])
  report.draw(tmp_path)
  text = (tmp_path / "table.md").read_text()
  assert ("No run has finished yet." in text) == (count == 0)
  assert (tmp_path / "figure1a.png").exists() == (count > 0)
  assert (tmp_path / "figure1c.png").exists() == (count > 1)


def test_true_labels_never_fitted_leave_no_relative_time(tmp_path):
  made = [
    synthetic.row(arch=arch, p=p, fit=fit)
    for arch, fit in (("digits_cnn", 10), ("mlp_1x512", None))
    for p in _LEVELS
  ]
  synthetic.write(tmp_path, made)
  report.draw(tmp_path)
  words = " ".join(_texts(tmp_path, "figure1b"))
  assert "mlp_1x512 is left out: true labels were not fitted" in words


def test_batch_norm_by_epoch(tmp_path):
  made = [
    synthetic.row(figure="figure2b", arch=arch, seed=seed)
    for arch in ("inception", "inception_no_bn")
    for seed in range(2)
  ]
  synthetic.write(tmp_path, made)
  assert "figure2b.svg" in report.draw(tmp_path)
  words = _texts(tmp_path, "figure2b")
  assert "inception with BatchNorm" in words
  assert "inception without BatchNorm" in words


def test_a_band_keeps_within_limits_and_ends_at_a_bound():
  fig, (axis,) = pictures.panels(1, 3, 3)
  look = pictures.style(0)
  stats = [Stat(0.9, 0.2, 3), Stat(0.5, 0.1, 3), Stat(0.7, None, 3)]
  pictures.band(axis, [0, 1, 2], stats, percent=True, **look)
  (band,) = axis.collections
  corners = band.get_paths()[0].vertices
  assert corners[:, 0].max() == 1
  assert corners[:, 1].min() == pytest.approx(40)
  assert corners[:, 1].max() == 100
  assert list(axis.lines[0].get_xdata()) == [0, 1, 2]


def test_seed_study_with_and_without_augmentation(tmp_path):
  made = [
    synthetic.row(figure="keras_study", arch=arch, p=p, augment=augment)
    for arch in ("digits_cnn", "mlp_1x512")
    for augment in ("none", "keras_mnist")
    for p in _LEVELS
  ]
  synthetic.write(tmp_path, made)
  written = report.draw(tmp_path)
  assert {"keras_study.png", "keras_study_changed.svg"} <= set(written)
  words = _texts(tmp_path, "keras_study")
  for label in (
    "not augmented, final",
    "not augmented, best",
    "augmented by keras_mnist, final",
    "augmented by keras_mnist, best",
  ):
    # One legend serves both panels.
    assert words.count(label) == 1
  # Early stopping keeps weights that the first fit says nothing of.
  words = " ".join(_texts(tmp_path, "keras_study_changed"))
  assert words.count("weights kept") == 4
  assert "first fit" not in words
  table = (tmp_path / "table.md").read_text()
  assert "10-fold validation accuracy" in table


def test_tables_have_no_figure(tmp_path):
  synthetic.write(tmp_path, [synthetic.row(figure="table1")])
  assert not [n for n in report.draw(tmp_path) if n.endswith(".png")]


def test_a_folder_that_cannot_be_written(tmp_path):
  synthetic.write(tmp_path, [synthetic.row()])
  (tmp_path / "table.md").mkdir()
  with pytest.raises(
    UserError, match="must be a folder that you may write to, got"
  ):
    report.draw(tmp_path)


def _command(*arguments):
  return subprocess.run(
    [sys.executable, "-m", "rethinking.report", *arguments],
    capture_output=True,
    text=True,
  )


def test_command_draws_without_jax(tmp_path):
  synthetic.write(tmp_path, [synthetic.row(figure="table1")])
  done = _command(f"--workdir={tmp_path}")
  assert done.returncode == 0, done.stderr
  assert f"{tmp_path}/table.md" in done.stdout
  code = "import sys, rethinking.report; sys.exit('jax' in sys.modules)"
  assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_help():
  done = _command("--help")
  assert done.returncode == 0
  assert "--workdir WORKDIR  of a sweep, with its results.jsonl" in done.stdout


@pytest.mark.parametrize(
  ("arguments", "words"),
  [
    ([], "give the workdir of a sweep or of runs; see --help."),
    (
      ["--workdir=/nowhere/at/all"],
      "must be the workdir of a sweep, got no results.jsonl",
    ),
    (["--wrokdir=W"], "see --help."),
    (["extra", "--workdir=W"], "extra must be the folder of a run"),
  ],
)
def test_a_mistake_is_one_line(arguments, words):
  done = _command(*arguments)
  assert done.returncode == 2
  assert done.stdout == ""
  assert done.stderr.startswith("error: ")
  assert words in done.stderr
  assert done.stderr.count("\n") == 1


def _mine(groups, name):
  fig, _ = pictures.panels(1, 3, 3)
  yield pictures.Picture(f"{name}_of_{len(groups)}", fig)


def test_a_figure_is_one_row(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "mine", sys.modules[__name__])
  row = figures.Figure("Mine.", "mine:_mine")
  monkeypatch.setitem(figures.FIGURES, "mine", row)
  synthetic.write(tmp_path, [synthetic.row(figure="mine")])
  assert "mine_of_1.png" in report.draw(tmp_path)
  assert "\n  mine " in listing.text()

"""The files of configs/EXTENDING.md run as they stand, and one's own rows."""

import json
import pathlib
import re

import numpy as np
import pytest
from refusals import refused

import rethinking
from rethinking import models
from rethinking.config import recipes
from rethinking.corruptions import additions, registry
from rethinking.exports import write
from rethinking.runtime import cli

_PAGE = pathlib.Path(__file__).resolve().parents[2] / "configs/EXTENDING.md"


def _examples():
  """The files of the page by name, each with the commands under it."""
  text = _PAGE.read_text()
  pairs = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", text, re.DOTALL)
  assert len(pairs) == text.count("```python")
  return {code.split()[1]: (code, lines) for code, lines in pairs}


def _act(line, workdir, **fields):
  """Does what a command line says, in this process and quickly."""
  config = cli.load(re.search(r"--config=(\S+)", line)[1])
  if "rethinking.export" in line:
    return write.write(config, workdir)
  config.update({"epochs": 1, "plots": False, "tensorboard": False, **fields})
  return rethinking.run(config, workdir)


@pytest.fixture
def folder(tmp_path, monkeypatch):
  images = np.random.default_rng(0).integers(1, 255, (60, 8, 8), np.uint8)
  np.savez(tmp_path / "mine.npz", images=images, labels=np.arange(60) % 3)
  for name, (code, _) in _examples().items():
    (tmp_path / name).write_text(code)
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(additions, "_ADDED", {})
  tables = (models.ARCHITECTURES, recipes.RECIPES, registry.DEFINITIONS)
  before = [dict(table) for table in tables]
  yield tmp_path
  for table, rows in zip(tables, before, strict=True):
    for name in table.keys() - rows.keys():
      del table[name]


@pytest.mark.parametrize("name", _examples())
def test_an_example_is_short_and_runs_as_it_stands(folder, name):
  code, lines = _examples()[name]
  assert len(code.splitlines()) <= 25
  for number, line in enumerate(lines.splitlines()):
    _act(line, f"w{number}")
  kept = json.loads((folder / "w0" / "config.json").read_text())
  # What registers nothing has nothing to compare.
  assert [*kept.get("extensions", {})] == [name] * (name != "mine.py")


_SALT = "--config=salt.py:true_labels,pixel_noise=salt_and_pepper,level=0.2"


def test_a_workdir_knows_the_file_and_a_sweep_its_rows(folder):
  # Run again, a file's rows take the place of its own.
  for _ in range(2):
    _act(_SALT, "w")
  path = folder / "salt.py"
  path.write_text(
    path.read_text().replace(
      '"mlp_1x512"})',
      '"mlp_1x512"}, {"levels": {"grids": {"g": {"variant": ("true_labels",),'
      ' "pixel_noise": ("salt_and_pepper",), "level": (0.1, 0.9)}}}})',
    )
  )
  refused(lambda: _act(_SALT, "w"), "extensions: ", "salt.py")
  _act("--config=salt.py:levels", "s")
  kept = json.loads((folder / "s" / "config.json").read_text())
  assert [*kept["extensions"]] == ["salt.py"]
  rows = (folder / "s" / "results.jsonl").read_text().splitlines()
  assert [json.loads(row)["config"]["level"] for row in rows] == [0.1, 0.9]


def test_a_registered_corruption_has_fractions_and_its_level(folder):
  line = "--config=mine.py:true_labels"
  (folder / "mine.py").write_text(
    (folder / "salt.py").read_text().rpartition("\n\n\n")[0]
    + "\n"
    + (folder / "mine.py").read_text()
  )
  line += ",pixel_noise=salt_and_pepper,level=0.3,fraction=0.5"
  _act("rethinking.export " + line, "o")
  images = np.load(folder / "o" / "images.npy")
  salted = (images == 255).mean((1, 2, 3))
  assert (salted == 0).any() and abs(salted[salted > 0].mean() - 0.15) < 0.03


def test_a_model_of_an_unregistered_architecture_says_so(folder):
  _act("--config=two_layers.py:true_labels", "w")
  images = np.zeros((1, 8, 8), np.uint8)
  assert rethinking.load("w").predict(images).shape == (1, 10)
  del models.ARCHITECTURES["two_layers"]
  refused(lambda: rethinking.load("w").predict(images), "must be a registered")


def test_what_is_taken_or_unknown_is_refused(folder):
  sgd = {"optimizer": "sgd", "learning_rate": 0.1, "schedule": "cosine"}
  for act, words in (
    (
      lambda: models.register("alexnet", None),
      "architecture must have a new name, got 'alexnet'",
    ),
    (
      lambda: recipes.register("paper", **sgd),
      "must have a new name, got 'paper'",
    ),
    (lambda: recipes.register("x", optimiser="sgd"), "'x' must set"),
    (lambda: recipes.register("x", **sgd, p=1), "'x' must set"),
  ):
    refused(act, words)

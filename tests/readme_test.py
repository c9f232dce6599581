"""README.md and the pages of configs/results: short, linked, and runnable."""

import functools
import importlib.util
import pathlib
import re

import numpy as np
import pytest

from rethinking import config as config_lib
from rethinking.sweeps import grid as cells

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_README = _ROOT / "README.md"
_PAGES = [_README, *sorted((_ROOT / "configs" / "results").glob("*.md"))]


def _names(path):
  return str(path.relative_to(_ROOT))


@functools.cache
def _configs():
  """Every `--config=FILE:VARIANT` of the pages, with the page it is on."""
  found = {}
  for page in _PAGES:
    for name in re.findall(
      r"--config=(configs/\w+\.py:[\w.,=/]+)", page.read_text()
    ):
      found.setdefault(name, _names(page))
  return found


@functools.cache
def _get_config(path):
  spec = importlib.util.spec_from_file_location("config", _ROOT / path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config


def _parse(name):
  path, _, variant = name.partition(":")
  return _get_config(path)(variant)


def test_the_readme_is_short():
  assert len(_README.read_text().splitlines()) <= 250
  assert len(_README.read_bytes()) <= 16_000


@pytest.mark.parametrize("page", _PAGES, ids=_names)
def test_links_and_images_are_there(page):
  for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
    path = target.partition("#")[0]
    if path and not target.startswith(("https://", "http://")):
      assert (page.parent / path).exists(), f"{_names(page)}: no {target}"


@pytest.mark.parametrize("page", _PAGES, ids=_names)
def test_files_that_are_named_are_there(page):
  for name in re.findall(
    r"\b(?:rethinking|tests|configs)/[\w/.]*\w", page.read_text()
  ):
    assert (_ROOT / name).exists(), f"{_names(page)}: no {name}"


def test_results_are_all_reachable_from_the_readme():
  seen, todo = set(), [_README]
  while todo:
    page = todo.pop()
    for target in re.findall(r"\]\(([^)\s#:]+)\)", page.read_text()):
      path = (page.parent / target).resolve()
      if path not in seen:
        seen.add(path)
        todo += [path] if path.suffix == ".md" else []
  left = {
    path.name
    for path in (_ROOT / "configs" / "results").iterdir()
    if path.suffix in (".md", ".png") and path not in seen
  }
  assert not left


@pytest.mark.parametrize("name", list(_configs()))
def test_a_commands_config_is_accepted(name, tmp_path):
  if "FOLDER" in name:
    images = (np.arange(12 * 64) % 251).astype(np.uint8).reshape(12, 8, 8)
    arrays = {"images": images, "labels": np.arange(12) % 2}
    arrays["ids"] = np.arange(12)
    parts = (("train", slice(6)), ("test", slice(6, 12)))
    both = {f"{p}_{k}": v[own] for p, own in parts for k, v in arrays.items()}
    np.savez(tmp_path / "own.npz", **both)
    (tmp_path / "labels.csv").write_text(
      "id,label\n" + "".join(f"{i},{i % 2}\n" for i in range(6))
    )
    name = name.replace("FOLDER", str(tmp_path / "own.npz"))
    name = name.replace("noisy/labels.csv", str(tmp_path / "labels.csv"))
  config = _parse(name)
  if config.experiment == "sweep":
    assert cells.expand(config), _configs()[name]
  elif config.experiment == "train":
    config_lib.resolve(config)


def test_sweeps_have_as_many_runs_as_the_readme_says():
  rows = re.findall(
    r"^\| `--config=([^`]+)` \| (\d+) \|", _README.read_text(), re.M
  )
  assert rows
  for name, runs in rows:
    assert len(cells.expand(_parse(name))) == int(runs), name


def test_the_readmes_python_runs(capsys):
  (code,) = re.findall(r"```python\n(.*?)```", _README.read_text(), re.DOTALL)
  exec(compile(code, "README.md", "exec"), {})
  assert re.search(r"0\.(39|40)\d*$", capsys.readouterr().out)

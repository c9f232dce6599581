"""Nothing that is read can run code: no pickle is ever opened."""

import ast
import pathlib
import re
import sys

import rethinking
from rethinking import config as config_lib
from rethinking.training import run as train
from rethinking.training import summary

_PACKAGE = pathlib.Path(rethinking.__file__).parent
# Modules that unpickle, or run what they read.
_FORBIDDEN = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


def _calls():
  for path in sorted(_PACKAGE.rglob("*.py")):
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.Call):
        yield path, ast.unparse(node.func), ast.unparse(node)


def test_no_source_names_a_pickle():
  for path in sorted(_PACKAGE.rglob("*.py")):
    for node in ast.walk(ast.parse(path.read_text())):
      names = []
      if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
      elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
      assert not {n.partition(".")[0] for n in names} & _FORBIDDEN, path


def test_arrays_are_loaded_without_pickles():
  loads = [c for c in _calls() if re.fullmatch(r"(np|numpy)\.load", c[1])]
  assert loads
  for path, _, call in loads:
    assert "allow_pickle=False" in call, (path, call)
  for path, name, _ in _calls():
    assert name not in ("torch.load", "eval", "exec"), path


# A hook can't be removed, so one stands for all tests.
_found = []


def _hook(event, arguments):
  # What a pickle names in order to make or call it.
  if event == "pickle.find_class":
    _found.append(arguments)


sys.addaudithook(_hook)


def test_a_run_and_its_continuation_open_no_pickle(tmp_path, monkeypatch):
  c = config_lib.default()
  c.update(
    dataset="digits",
    arch="mlp_1x512",
    variant="random_labels",
    label_noise="uniform",
    p=1.0,
    subset=64,
    batch_size=64,
    epochs=1,
    per_example=True,
  )
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  _found.clear()
  with monkeypatch.context() as patch:
    patch.setattr(summary, "finish", lambda *_: 1 / 0)
    try:
      train.run(c, tmp_path / "run", quiet=True)
    except ZeroDivisionError:
      pass
  train.run(c, tmp_path / "run", quiet=True)
  assert _found == []

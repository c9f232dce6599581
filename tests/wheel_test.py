"""The wheel: what it holds, and a run from it in another folder."""

import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
  folder = tmp_path_factory.mktemp("wheel")
  # A copy, since building leaves folders beside what it builds.
  tracked = subprocess.run(
    ["git", "ls-files", "-z"], cwd=_ROOT, capture_output=True, text=True
  )
  if tracked.returncode:
    pytest.skip("not a git checkout: which files belong to it is not known")
  for name in filter(None, tracked.stdout.split("\0")):
    if (_ROOT / name).is_file() and not name.startswith(("tests/", ".ci/")):
      copy = folder / "source" / name
      copy.parent.mkdir(parents=True, exist_ok=True)
      copy.write_bytes((_ROOT / name).read_bytes())
  subprocess.run(
    [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet"]
    + ["--wheel-dir", str(folder), str(folder / "source")],
    check=True,
  )
  (path,) = folder.glob("*.whl")
  return path


def test_it_holds_every_room_the_configs_and_what_they_read(wheel):
  with zipfile.ZipFile(wheel) as archive:
    held = {n for n in archive.namelist() if n.startswith("rethinking/")}
  package = {
    str(path.relative_to(_ROOT))
    for path in (_ROOT / "rethinking").rglob("*")
    if path.suffix in (".py", ".json", ".txtpb", ".j2", ".typed")
  }
  configs = {f"rethinking/{c.relative_to(_ROOT)}" for c in _configs()}
  assert held == package | configs
  assert len(configs) == 4


def _configs():
  return (_ROOT / "configs").glob("*.py")


def test_digits_run_from_it_in_another_folder(wheel, tmp_path):
  site = tmp_path / "site"
  with zipfile.ZipFile(wheel) as archive:
    archive.extractall(site)
  # What it needs is installed already; this checkout must not be found.
  environment = {**os.environ, "PYTHONPATH": str(site)}
  found = subprocess.run(
    [sys.executable, "-m", "rethinking.main", "--workdir=w"]
    + ["--config=configs/digits.py:random_labels,arch=mlp_1x512,epochs=1"],
    cwd=tmp_path,
    env=environment,
    capture_output=True,
    text=True,
  )
  assert found.returncode == 0, found.stderr
  assert (tmp_path / "w" / "summary.json").exists()
  where = subprocess.run(
    [sys.executable, "-c", "import rethinking; print(rethinking.__file__)"],
    cwd=tmp_path,
    env=environment,
    capture_output=True,
    text=True,
  )
  assert where.stdout.startswith(str(site))

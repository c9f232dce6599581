"""What CI runs."""

import configparser
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml
from packaging import requirements

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOOLS = ("bash", "cat", "dirname", "env", "mktemp", "rm", "sort", "tail")
# An interpreter, or a launcher, that says what it was asked to do.
FAKE = r"""#!/usr/bin/env bash
case "$*" in
  *jax*) echo "jax of $0" ;;
  *executable*) echo "MINOR $0" ;;
  *version_info*) echo 11 ;;
  *)
    echo "ran $* in $PWD, data ${TFDS_DATA_DIR-none}," \
      "${LAUNCH_PYTHON-python3} in ${LAUNCH_VENV-.venv}"
    [[ " $* " != *" ${FAKE_FAILS:-nothing} "* ]]
    ;;
esac
"""
FIRST = ("test", "-m ruff check .", "-m ruff format --check .")


def _write(path: pathlib.Path, text: str) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)
  path.chmod(0o755)


@pytest.fixture
def tree(tmp_path):
  """A checkout, and a PATH with plain tools alone."""
  tree = tmp_path / "tree"
  for name in ("launch.sh", ".venv/bin/python", ".venv-3.13/bin/python"):
    _write(tree / name, FAKE)
  (tree / ".ci").mkdir()
  shutil.copy(ROOT / ".ci" / "run", tree / ".ci")
  (tmp_path / "bin").mkdir()
  for tool in TOOLS:
    os.symlink(shutil.which(tool), tmp_path / "bin" / tool)
  return tree


def _ci(tree, **env):
  result = subprocess.run(
    ["bash", str(tree / ".ci" / "run")],
    env={"PATH": str(tree.parent / "bin"), **env},
    capture_output=True,
    text=True,
  )
  ran = [s for s in result.stdout.splitlines() if s.startswith("ran ")]
  return result, ran


@pytest.mark.parametrize(
  ("fails", "code"), [("", 0), ("test", 1), ("check", 1), ("format", 1)]
)
def test_ci_runs_everything_and_fails_if_anything_does(tree, fails, code):
  result, ran = _ci(tree, FAKE_FAILS=fails)
  assert result.returncode == code
  assert ran == [
    f"ran {what} in {tree}, data none, python3 in .venv" for what in FIRST
  ]
  assert result.stdout.splitlines()[-2:] == [
    "jax of .venv/bin/python: the whole suite",
    "no newer Python here",
  ]


def _on_path(tree):
  folder = tree.parent / "bin"
  for minor in (12, 13):
    _write(folder / f"python3.{minor}", FAKE.replace("MINOR", f"{minor}"))
  return folder / "python3.13"


def _of_pyenv(tree):
  versions = tree.parent / "versions"
  for minor in (9, 13):
    _write(
      versions / f"3.{minor}.0" / "bin" / "python3",
      FAKE.replace("MINOR", f"{minor}"),
    )
  _write(
    tree.parent / "bin" / "pyenv",
    "#!/usr/bin/env bash\n"
    f'if [ "$1" = prefix ]; then echo "{versions}/$2"\n'
    "else echo 2.7.18; echo 3.13.0; echo 3.9.0; fi\n",
  )
  return versions / "3.13.0" / "bin" / "python3"


@pytest.mark.parametrize("add", [_on_path, _of_pyenv])
def test_ci_runs_what_depends_on_jax_on_a_newer_python(tree, add):
  python = add(tree)
  result, ran = _ci(tree)
  assert result.returncode == 0, result.stdout
  assert len(ran) == 5
  digits, tests = ran[3:]
  where = f"in {tree}, data none, {python} in .venv-3.13"
  assert re.fullmatch(
    r"ran --config=configs/digits\.py:random_labels --workdir=(\S+) "
    + re.escape(where),
    digits,
  )
  assert tests.startswith("ran test tests/") and tests.endswith(where)
  assert result.stdout.splitlines()[-2:] == [
    "jax of .venv/bin/python: the whole suite",
    "jax of .venv-3.13/bin/python: digits, and what depends on JAX",
  ]
  result, _ = _ci(tree, FAKE_FAILS="tests/models")
  assert result.returncode == 1


def test_what_depends_on_jax_is_there():
  text = (ROOT / ".ci" / "run").read_text()
  paths = re.findall(r"^  (tests/\S+)$", text, re.MULTILINE)
  assert len(paths) >= 8
  assert [path for path in paths if not (ROOT / path).exists()] == []
  left_out = re.findall(r"^long\+?=\"(.*)\"$", text, re.MULTILINE)
  words = [
    word for line in left_out for word in re.split(r"\s*\bor\b\s*", line)
  ]
  tests = "".join(
    file.read_text()
    for path in paths
    for file in [ROOT / path, *(ROOT / path).rglob("*_test.py")]
    if file.is_file()
  )
  for word in filter(None, words):
    # Of a test's name, or of what it is given.
    assert re.search(rf"(def |\")\w*{word}", tests), word


def test_the_workflow_runs_ci_on_every_python():
  # `on` is a truth value to YAML 1.1; GitHub reads the word.
  workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
  assert {"push", "pull_request"} <= set(workflow[True])
  (job,) = workflow["jobs"].values()
  pythons = job["strategy"]["matrix"]["python"]
  assert pythons == ["3.11", "3.12", "3.13"]
  *_, checkout, setup, run = job["steps"]
  assert checkout["uses"].startswith("actions/checkout@")
  assert setup["uses"].startswith("actions/setup-python@")
  assert setup["with"]["python-version"] == "${{ matrix.python }}"
  assert run == {"run": "bash .ci/run"}
  classifiers = re.findall(
    r"Python :: (3\.\d+)$", (ROOT / "setup.cfg").read_text(), re.MULTILINE
  )
  assert classifiers == pythons


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_direct_dependency_has_one_tested_version(version):
  config = configparser.ConfigParser()
  config.read(ROOT / "setup.cfg")
  required = config["options"]["install_requires"]
  required += config["options.extras_require"]["test"]
  names = {
    _normal(requirements.Requirement(line).name)
    for line in required.splitlines()
    if line and not line.startswith("#")
  }
  pinned = []
  for line in (ROOT / ".ci/constraints.txt").read_text().splitlines():
    if not line or line.startswith("#"):
      continue
    pin = requirements.Requirement(line)
    if not pin.marker or pin.marker.evaluate({"python_version": version}):
      assert [s.operator for s in pin.specifier] == ["=="]
      pinned.append(_normal(pin.name))
  assert len(set(pinned)) == len(pinned)
  assert names - set(pinned) == set()


def _normal(name: str) -> str:
  return re.sub(r"[-_.]+", "-", name).lower()

"""The order of the rooms: every import of the package, lazy ones too."""

import ast
import functools
import importlib
import pathlib
import re
import subprocess
import sys

import pytest

import rethinking

_PACKAGE = pathlib.Path(rethinking.__file__).parent
# Each floor may import those below it; rooms of one floor not each other.
ORDER = (
  ("main", "export", "corrupt"),
  ("sweeps", "theory", "benchmark", "exports"),
  ("report",),
  ("training",),
  ("label_issues",),
  ("memorization",),
  ("config",),
  ("data",),
  ("models",),
  ("ops",),
  ("storage",),
  ("runtime",),
  ("corruptions",),
)
_FLOORS = {room: i for i, floor in enumerate(ORDER) for room in floor}
# What the library of corruptions may import beside the standard library.
_LIBRARY = {"jax", "numpy", "rethinking.corruptions"}
# Of the sentences in which rooms say what they may import.
_WORDS = set("nothing of the project JAX and NumPy alone Matplotlib".split())
_WORDS |= set("inside what draws".split())
_DRAWS = {"rethinking.corruptions.pictures": {"matplotlib"}}


def _modules(package):
  """Path by name of module, a package's face under the package's name."""
  return {
    ".".join(
      ("rethinking", *path.relative_to(package).with_suffix("").parts)
    ).removesuffix(".__init__"): path
    for path in sorted(package.rglob("*.py"))
  }


def _imported(path):
  """Full names of what a file imports, at any depth."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert not node.level, f"{path}: imports are written in full"
      yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _arrows(modules):
  """What of the package each module imports; `rethinking` itself is no room."""
  arrows = {name: set() for name in modules}
  for name, path in modules.items():
    for full in _imported(path):
      while full and full not in modules:
        full = full.rpartition(".")[0]
      # A face's own modules and the version belong to whoever asks.
      if full not in ("", "rethinking", name):
        arrows[name].add(full)
  return arrows


def _room(name):
  return name.split(".")[1]


def _against(package):
  """A line for each import against the order and each circle."""
  modules = _modules(package)
  arrows = _arrows(modules)
  found = []
  for name in modules:
    for other in sorted(arrows[name]):
      if name == "rethinking" or _room(name) == _room(other):
        continue
      if _FLOORS[_room(name)] >= _FLOORS[_room(other)]:
        found.append(f"{modules[name]} imports {modules[other]}")
  done, way = set(), []

  def visit(name):
    if name in way:
      circle = [*way[way.index(name) :], name]
      found.append("circle: " + " > ".join(str(modules[m]) for m in circle))
    elif name not in done:
      way.append(name)
      for other in sorted(arrows[name]):
        visit(other)
      done.add(way.pop())

  for name in modules:
    visit(name)
  return found


def test_every_room_has_its_place():
  rooms = {_room(m) for m in _modules(_PACKAGE) if m != "rethinking"}
  assert rooms == set(_FLOORS), "name a new room in ORDER"


def test_no_import_goes_against_the_order():
  assert _against(_PACKAGE) == []


@pytest.mark.parametrize(
  ("files", "found"),
  [
    (
      {"runtime/a.py": "def f():\n  from rethinking.data import b\n"},
      ["{0}/runtime/a.py imports {0}/data/b.py"],
    ),
    (
      {"sweeps/a.py": "import rethinking.theory.b\n", "theory/b.py": ""},
      ["{0}/sweeps/a.py imports {0}/theory/b.py"],
    ),
    (
      {
        "data/a.py": "from rethinking.data.b import C\n",
        "data/b.py": "def f():\n  from rethinking.data import a\n",
      },
      ["circle: {0}/data/a.py > {0}/data/b.py > {0}/data/a.py"],
    ),
    ({"data/a.py": "from rethinking.runtime import c\n"}, []),
  ],
)
def test_both_files_are_named(tmp_path, files, found):
  empty = ("__init__.py", "data/b.py", "runtime/c.py")
  for name, text in {**dict.fromkeys(empty, ""), **files}.items():
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
  assert _against(tmp_path) == [line.format(tmp_path) for line in found]


def test_chains_of_imports_are_short():
  arrows = _arrows(_modules(_PACKAGE))

  @functools.cache
  def chain(name):
    return (name, *max(map(chain, sorted(arrows[name])), key=len, default=()))

  @functools.cache
  def rooms(name):
    steps = [rooms(o) + (_room(o) != _room(name)) for o in arrows[name]]
    return max(steps, default=1)

  del arrows["rethinking"]
  assert len(max(map(chain, arrows), key=len)) <= 12
  assert max(map(rooms, arrows)) <= 6


def test_corruptions_import_nothing_of_the_project():
  for name, path in _modules(_PACKAGE / "corruptions").items():
    full = name.replace("rethinking", "rethinking.corruptions", 1)
    may = _LIBRARY | _DRAWS.get(full, set())
    for other in _imported(path):
      top = other.partition(".")[0]
      if top == "rethinking":
        top = ".".join(f"{other}.".split(".")[:2])
        if other.startswith("rethinking.corruptions"):
          top = "rethinking.corruptions"
      assert top in may | sys.stdlib_module_names, f"{path} imports {other}"


def test_each_room_says_what_it_may_import():
  for floor in ORDER:
    for room in floor:
      path = _PACKAGE / room / "__init__.py"
      if room != "corrupt" and path.parent.is_dir():
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        _, _, listed = text.partition("May import: ")
        below = [r for f in ORDER[ORDER.index(floor) + 1 :] for r in f]
        assert set(re.findall(r"\w+", listed)) <= {*below, *_WORDS}, path
        assert listed, path
        assert f"  {room} " in rethinking.__doc__, room


def test_the_root_holds_the_rooms_and_two_commands():
  files = {path.name for path in _PACKAGE.glob("*.py")}
  assert files == {"__init__.py", "main.py", "export.py"}


def test_run_is_imported_when_asked_for():
  code = (
    "import sys, rethinking; rethinking.run; from absl import flags;"
    "assert 'jax' not in sys.modules; assert 'workdir' not in flags.FLAGS"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
  )
  assert done.returncode == 0, done.stderr


def test_the_old_name_of_export_says_the_new_one():
  done = [
    subprocess.run(
      [sys.executable, "-m", f"rethinking.{name}", "--help"],
      capture_output=True,
      text=True,
      timeout=120,
    )
    for name in ("corrupt", "export")
  ]
  assert [d.returncode for d in done] == [0, 0]
  assert "--verify" in done[0].stdout
  assert done[0].stdout == done[1].stdout
  assert done[0].stderr == (
    "notice: python -m rethinking.corrupt is now python -m rethinking.export.\n"
  )
  assert importlib.import_module("rethinking.corrupt").__doc__

"""Every kind of file, damaged in every way: said in a line, or made again.

A case fails on any other exception, on a second line, on what hangs, and on
silent acceptance: what comes back is what was written, or it is refused.
`pytest -s` prints how many cases there were of each kind.
"""

import collections
import contextlib
import itertools
import json
import pathlib
import random
import re
import resource
import warnings

import child
import damage
import kinds
import pytest
from refusals import alarm

from rethinking.runtime.errors import UserError
from rethinking.training import metrics

_COMMANDS, _SEED = 20, 0
_MEMORY = 4 * 2**30  # Bytes a command may take.


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
  """A folder of each kind, and what is read from it."""
  place, found = tmp_path_factory.mktemp("whole"), {}
  for name, kind in kinds.KINDS.items():
    if isinstance(kind.make, str):
      found[name] = found[kind.make]
    else:
      kind.make(place / name)
      found[name] = place / name, kind.read(place / name)
  return found


def _flip(draw):
  def act(path):
    bad = bytearray(path.read_bytes())
    bad[draw.randrange(len(bad))] ^= 1 << draw.randrange(8)
    path.write_bytes(bad)

  return act


def _cut(draw):
  def act(path):
    whole = path.read_bytes()
    start = draw.randrange(len(whole))
    path.write_bytes(whole[:start] + whole[start + draw.randrange(1, 99) :])

  return act


def _insert(draw):
  def act(path):
    whole = path.read_bytes()
    start = draw.randrange(len(whole))
    path.write_bytes(whole[:start] + draw.randbytes(9) + whole[start:])

  return act


def _cases(folders, draw):
  """Some of all files and damages, of each kind."""
  random_ones = {"flipped": _flip, "cut": _cut, "inserted": _insert}
  for kind, (folder, _) in folders.items():
    names = kinds.KINDS[kind].files(folder)
    every = itertools.product(names, [*damage.DAMAGE, *random_ones])
    for name, how in draw.sample([*every], kinds.KINDS[kind].count):
      act = damage.DAMAGE.get(how) or random_ones[how](draw)
      yield kind, name, how, act


@contextlib.contextmanager
def _case(failures, *words):
  """Notes the case in which something fails, and goes on."""
  try:
    yield
  except Exception as error:
    failures.append(f"{' '.join(words)}: {type(error).__name__}: {error}")


@pytest.fixture
def little_memory():
  """Room for the compiler and some files beside what this process has."""
  soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
  # Of other tests, too: a worker of the suite may hold some GB.
  status = pathlib.Path("/proc/self/status").read_text()
  has = 1024 * int(re.search(r"VmData:\s*(\d+) kB", status)[1])
  resource.setrlimit(resource.RLIMIT_DATA, (has + _MEMORY // 2, hard))
  yield
  resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@pytest.mark.usefixtures("little_memory")
def test_no_damage_is_believed(folders, tmp_path):
  draw, counts = random.Random(_SEED), collections.Counter()
  failures = []
  for kind, name, how, act in _cases(folders, draw):
    folder, whole = folders[kind]
    place = damage.copy(folder, tmp_path / "w")
    act(place / name)
    # The library of corruptions has no errors of the project.
    refusals = ValueError if kind == "human" else UserError
    with _case(failures, kind, name, how), alarm(30):
      with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
          found, end = kinds.KINDS[kind].read(place), "whole"
        except refusals as error:
          found, end = str(error), "refused"
          assert "\n" not in found and len(found) < 2000
          assert any(x.name in found for x in (place / name).parents) or (
            pathlib.Path(name).name in found
          )
      if end == "whole":
        assert found == whole
        end = "said" if said else "whole"
    counts[kind, end] += 1
  for (kind, end), count in sorted(counts.items()):
    print(f"{kind}: {count} {end}")
  print(f"{counts.total()} cases")
  assert not failures, "\n".join(failures)
  assert counts.total() >= 280 and {kind for kind, _ in counts} == {
    *kinds.KINDS
  }


# Config files are Python; the server's are beside this file.
_CONFIG = "import damage\nget_config = lambda name: getattr(damage, name)()\n"
# How many commands of each kind: the name of their config, then their flags.
_EACH = {
  "run": (4, "main", "run", "--workdir="),
  "checkpoint": (3, "main", "run", "--workdir="),
  "sweep": (4, "main", "sweep", "--workdir="),
  "report": (3, "report", None, "--workdir="),
  "export": (3, "export", "noisy", "--verify="),
  "human": (
    3,
    "main",
    "human",
    "--config.label_options=array=worse_label,path=",
  ),
}


def _harmless(kind, place, whole):
  """Whether a command that ended well did what it does on a whole folder."""
  if kind == "export":
    return False
  if kind == "report":
    return all(
      (folder / "table.md").read_bytes() == (whole / "table.md").read_bytes()
      for folder in (place, whole)
    )
  ends = [
    metrics.without_clock(json.loads((folder / "summary.json").read_text()))
    for folder in (place, whole)
  ]
  return ends[0].keys() == ends[1].keys() and all(
    ends[0][key] == ends[1][key]
    for key in ends[0]
    if not key.endswith("seconds") and key != "seconds_saved"
  )


@pytest.mark.slow
def test_no_damage_ends_a_command_in_a_traceback(folders, tmp_path):
  config = tmp_path / "config.py"
  config.write_text(_CONFIG)
  draw, counts = random.Random(_SEED), collections.Counter()
  failures = []
  with contextlib.closing(child.Server(tmp_path / "cache")) as server:
    for kind, (count, module, name, flag) in _EACH.items():
      own = {"checkpoint": "run", "report": "sweep"}.get(kind, kind)
      folder, _ = folders[own]
      place = tmp_path / "w"
      names = kinds.KINDS[own].files(folder)
      if kind == "checkpoint":
        names = [
          n for n in kinds.KINDS["checkpoint"].files(folder) if "ckpoints" in n
        ]
      every = itertools.product(names, damage.DAMAGE)
      for file, how in draw.sample([*every], count):
        damage.copy(folder, place)
        if kind == "checkpoint":
          (place / "summary.json").unlink()
        damage.DAMAGE[how](place / file)
        flags = [f"--config={config}:{name}"] if name else []
        at = place / "human.npz" if kind == "human" else place
        flags.append(f"{flag}{at}")
        if kind == "human":
          flags.append(f"--workdir={tmp_path / 'human'}")
        log = tmp_path / "log"
        started = server.start(flags, log, module=module, memory=_MEMORY)
        code = None
        with _case(failures, kind, file, how):
          code, said = started.wait(60), log.read_text(errors="replace")
          assert code in (0, 1, 2), f"{code}\n{said}"
          assert "Traceback" not in said, said
          if code:
            start = ("error: ", "differs: ")
            assert any(x.startswith(start) for x in said.splitlines()), said
          else:
            assert _harmless(kind, place, folder), said
        counts[kind, code] += 1
  for (kind, code), count in sorted(counts.items()):
    print(f"{kind}: {count} exit {code}")
  print(f"{counts.total()} commands")
  assert not failures, "\n".join(failures)
  assert counts.total() == _COMMANDS

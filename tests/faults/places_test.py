"""Places, output and pictures: none of them loses a run or its message."""

import datetime
import json
import os
import pathlib
import subprocess
import sys
import types

import damage
import matplotlib
import pytest
from etils import epath

from rethinking import main, report
from rethinking.benchmark import report as benchmark
from rethinking.exports import verify, write
from rethinking.runtime import cli, processes
from rethinking.runtime.errors import UserError
from rethinking.storage import files
from rethinking.sweeps import run as sweep
from rethinking.theory import config as theory_config
from rethinking.theory import kernel
from rethinking.training import curves
from rethinking.training import run as train

_ROOT = pathlib.Path(__file__).resolve().parents[2]


# Places.


@pytest.fixture
def command(monkeypatch, tmp_path):
  """The main command in a folder of its own, in this process."""
  monkeypatch.chdir(tmp_path)
  none = types.SimpleNamespace(value=None)
  names = "COORDINATOR PROCESS_COUNT PROCESS_ID PRED_PROBS SHARD PLAN"
  for flag in names.split():
    monkeypatch.setattr(main, f"_{flag}", none)
  monkeypatch.setattr(main, "_MULTIHOST", types.SimpleNamespace(value=False))

  def act(run, workdir=None):
    monkeypatch.setattr(main, "run", run)
    flag = types.SimpleNamespace(value=workdir)
    monkeypatch.setattr(main, "_WORKDIR", flag)
    return main.main(damage.run())

  return act


class _Second(datetime.datetime):
  """A clock that stands."""

  @classmethod
  def now(cls, tz=None):
    return cls(2026, 1, 1)


def test_two_runs_of_one_second_have_folders_of_their_own(
  command, monkeypatch, capsys
):
  monkeypatch.setattr(datetime, "datetime", _Second)
  found = []
  for _ in range(3):
    assert command(lambda _, workdir: found.append(str(workdir))) == 0
  assert len(set(found)) == 3
  assert found[0] == "runs/2026-01-01_00-00-00_digits_true_labels"
  said = capsys.readouterr().out
  assert said == "".join(f"workdir: {folder}\n" for folder in found)


def test_a_refused_run_leaves_no_folder_of_its_own(command, tmp_path):
  def refuse(config, workdir):
    raise UserError("no")

  with pytest.raises(UserError):
    command(refuse)
  assert [*tmp_path.iterdir()] == []
  (tmp_path / "runs" / "other").mkdir(parents=True)
  with pytest.raises(UserError):
    command(refuse)
  assert [path.name for path in tmp_path.glob("runs/*")] == ["other"]


_PLACES = dict.fromkeys(
  ("a\nb", "a\x1b[31m", "a\0", "\udcff", "\x7f"), "must be of printable"
) | dict.fromkeys(("b/" + 128 * "é", "/".join(25 * [200 * "a"])), "be shorter")


@pytest.mark.parametrize("name", _PLACES)
def test_names_that_no_folder_has_are_refused(name, tmp_path):
  for act in (
    lambda: files.workdir(name),
    lambda: write.write(damage.run(), name),
    lambda: verify.verify(damage.run(), name),
    lambda: train.run(damage.run(), name),
    lambda: train.run(damage.run(dataset="mnist", data_dir=name), tmp_path),
  ):
    with pytest.raises(UserError, match=_PLACES[name]) as caught:
      act()
    assert str(caught.value).isprintable()


def test_a_home_folder_that_cannot_be_printed_is_refused(monkeypatch):
  monkeypatch.setenv("HOME", "/home/\udcff")
  with pytest.raises(UserError, match="must be of printable"):
    files.workdir("~/w")


def test_other_letters_are_taken(tmp_path):
  assert (
    train.run(damage.run(), tmp_path / "Größe 雪", quiet=True)["steps"] == 2
  )


@pytest.mark.parametrize("many", [False, True])
def test_ctrl_c_says_what_is_kept(command, monkeypatch, capsys, many, tmp_path):
  monkeypatch.setattr(processes, "exit_now", sys.exit)

  def interrupt(config, workdir):
    raise KeyboardInterrupt

  def said(workdir="w"):
    assert command(interrupt, workdir) == cli.STOPPED
    return capsys.readouterr().err

  nothing = "Stopped before anything was saved; the same command begins anew.\n"
  assert said() == nothing
  folder = tmp_path / "w"
  if many:
    sweep.run(damage.sweep(), folder, quiet=True)
  else:
    train.run(damage.run(), folder, quiet=True)
  assert said() == "Stopped after the end; everything is in w.\n"
  (folder / "summary.json").unlink()
  kept = "with --workdir=w continues from what was saved last."
  assert kept in said()
  for path in folder.rglob("sha256.json"):
    path.unlink()
  for path in folder.glob("cells/*/summary.json"):
    path.unlink()
  assert said() == nothing


# Pictures.


@pytest.fixture
def bad_style():
  """What a matplotlibrc may ask for and this machine need not have."""
  with matplotlib.rc_context():
    matplotlib.rcParams.update(
      {"text.usetex": True, "font.size": 40, "savefig.dpi": 7}
    )
    yield


def test_pictures_do_not_depend_on_the_users_style(tmp_path, bad_style):
  config = damage.run(plots=True)
  train.run(config, tmp_path / "a", quiet=True)
  sweep.run(damage.sweep(), tmp_path / "b", quiet=True)
  write.write(damage.run(), tmp_path / "c")
  found = theory_config.kernel("digits")
  found.update(dataset="digits", subset=50, plots=True, ridges=(0.1, 1.0))
  kernel.run(found, tmp_path / "d", quiet=True)
  with matplotlib.rc_context():
    matplotlib.rcdefaults()
    train.run(config, tmp_path / "e", quiet=True)
    write.write(damage.run(), tmp_path / "f")
  for one, other in (("a", "e"), ("c", "f")):
    names = [path.name for path in (tmp_path / one).glob("*.png")]
    assert names
    for name in names:
      pair = [(tmp_path / x / name).read_bytes() for x in (one, other)]
      assert pair[0] == pair[1]
  for folder in "abcd":
    assert [*(tmp_path / folder).glob("*.png")]


def test_redrawn_pictures_do_not_depend_on_it_either(tmp_path, bad_style):
  train.run(damage.run(plots=True), tmp_path, quiet=True)
  drawn = (tmp_path / "curves.png").read_bytes()
  (tmp_path / "curves.png").unlink()
  names = [path.name for path in report.redraw(tmp_path)]
  assert names == ["curves.png", "curves.svg", "index.html"]
  assert (tmp_path / "curves.png").read_bytes() == drawn
  times = {"low": 1.0, "median": 2.0, "high": 3.0}
  models = {"mlp_1x512": {"training": {"rethinking": times}}}
  benchmark.write({"models": models}, epath.Path(tmp_path))
  assert (tmp_path / "benchmark.png").exists()


@pytest.mark.parametrize(
  "error", [RuntimeError("no\nLaTeX"), OSError(28, "full")]
)
def test_a_picture_that_fails_is_a_warning(tmp_path, monkeypatch, error):
  def draw(*_):
    raise error

  monkeypatch.setattr(curves, "draw", draw)
  with pytest.warns(UserWarning, match="curves.png cannot be drawn") as caught:
    train.run(damage.run(plots=True), tmp_path, quiet=True)
  assert "\n" not in str(caught[0].message)
  assert json.loads((tmp_path / "summary.json").read_text())["steps"] == 2
  # Without pictures it is the same run.
  assert train.run(damage.run(), tmp_path, quiet=True)["steps"] == 2
  with pytest.warns(UserWarning, match="curves.png cannot be drawn"):
    assert report.redraw(tmp_path) == [tmp_path / "index.html"]


# Output.


def _python(*words, shell=(), **options):
  place = {"PYTHONPATH": str(_ROOT), "JAX_PLATFORMS": "cpu"}
  return subprocess.Popen(
    [*shell, sys.executable, *words], env=os.environ | place, **options
  )


def _said(*words, **options):
  process = _python(*words, stderr=subprocess.PIPE, text=True, **options)
  _, said = process.communicate(timeout=120)
  return process.returncode, said


_DRAW = """
from rethinking.storage import plots
with plots.drawing("x.png"):
  plots.save(plots.figure(1, 1, (1, 1))[0], plots.epath.Path("x"))
"""


@pytest.mark.parametrize("where", ["MPLBACKEND", "matplotlibrc"])
def test_what_matplotlib_cannot_read_is_a_warning(tmp_path, monkeypatch, where):
  if where == "MPLBACKEND":
    monkeypatch.setenv(where, "nonsense")
  else:
    (tmp_path / where).write_bytes(b"\xff\xfe\0")
  code, said = _said("-c", _DRAW, cwd=tmp_path)
  assert code == 0 and "Traceback" not in said, said
  assert "x.png cannot be drawn (" in said


def test_a_matplotlibrc_that_is_not_used_says_nothing(tmp_path):
  (tmp_path / "matplotlibrc").write_text("no.key: 1\nfigure.dpi: fat\n")
  assert _said("-c", _DRAW, cwd=tmp_path) == (0, "")
  assert (tmp_path / "x.png").exists()


_SHORT = (
  "-m",
  "rethinking.main",
  f"--config={_ROOT}/configs/digits.py:true_labels,subset=64,batch_size=64,"
  "arch=mlp_1x512,epochs=2,plots=false,tensorboard=false",
)


@pytest.mark.parametrize("output", ["closed pipe", "full", "closed"])
def test_output_that_cannot_be_written_ends_no_run(tmp_path, output):
  out = subprocess.DEVNULL
  if output == "closed pipe":
    reader, out = os.pipe()
    os.close(reader)
  elif output == "full":
    out = os.open("/dev/full", os.O_WRONLY)
  process = _python(
    *_SHORT,
    "--workdir=w",
    cwd=tmp_path,
    stdout=out,
    stderr=subprocess.PIPE,
    text=True,
    shell=("sh", "-c", '"$0" "$@" >&-') if output == "closed" else (),
  )
  _, said = process.communicate()
  assert process.returncode == 0, said
  assert json.loads((tmp_path / "w" / "summary.json").read_text())["steps"] == 2
  lines = [line for line in said.splitlines() if "standard output" in line]
  assert len(lines) == (output != "closed")
  assert "Traceback" not in said and "Exception ignored" not in said


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize(
  ("words", "code"),
  [
    (["-m", "rethinking.main", "--help"], 0),
    (["-m", "rethinking.main", "--config=gone.py"], 2),
    (["-m", "rethinking.report", "--workdir=gone"], 2),
    (["-m", "rethinking.data", "digits"], 0),
    (["-m", "rethinking.corrupt", "--help"], 0),
  ],
)
def test_every_command_bears_a_full_disk_where_it_prints(
  tmp_path, words, code, stream
):
  with open("/dev/full", "w") as full:
    process = _python(*words, cwd=tmp_path, **{stream: full})
    assert process.wait() == code


@pytest.mark.parametrize("name", ["JAX_ENABLE_X64", "JAX_DEFAULT_PRNG_IMPL"])
def test_a_variable_that_jax_refuses_is_one_line(tmp_path, monkeypatch, name):
  monkeypatch.setenv(name, "banana")
  code, said = _said(*_SHORT, cwd=tmp_path)
  assert code == 2 and [*tmp_path.iterdir()] == []
  assert said.startswith("error: The JAX_... variables must be")
  assert "banana" in said and said.count("\n") == 1


_WARN = """
import warnings
from rethinking.runtime import cli
def act():
  for name in ("_step", "__fun"):
    warnings.warn(f"Error writing the cache entry for 'jit{name}': full")
  return 0
cli.call(act, "")
"""


def test_a_cache_without_room_is_said_once_not_of_each_program():
  said = "warning: Error writing the cache: full\n"
  assert _said("-c", _WARN) == (0, said)


def test_another_error_before_jax_is_no_variable_of_its():
  bug = "from rethinking.runtime import cli; cli.call(lambda: int('x'), '')"
  code, said = _said("-c", bug)
  assert code == 1 and "Traceback" in said and "JAX_" not in said


def test_a_folder_that_was_removed_is_named(tmp_path):
  gone = 'mkdir gone; cd gone; rmdir ../gone; exec "$0" "$@"'
  code, said = _said(
    *_SHORT, "--workdir=w", cwd=tmp_path, shell=("sh", "-c", gone)
  )
  assert code == 2
  assert said.startswith("error: The current folder must be there")

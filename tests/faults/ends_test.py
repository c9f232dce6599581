"""A signal at any moment of a command: its code is 75, its message a line."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from rethinking.runtime import cli, signals

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_ACT = """
import atexit, gc, os, signal, time
from rethinking.runtime import cli

def end():
  os.kill(os.getpid(), signal.@NUMBER@)

left = [end]

def act():
  @ACT@
  return 0

cli.call(act, "Stopped.")
"""


def _ended(folder, act, number):
  """The code of a command that does `act`, and what it said."""
  text = _ACT.replace("@ACT@", act).replace("@NUMBER@", number.name)
  (folder / "command.py").write_text(text)
  found = subprocess.run(
    # Nothing is ignored, as in a job in the background.
    ["env", "--default-signal=INT,HUP", sys.executable, "-m", "command"],
    env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{_ROOT}"},
    capture_output=True,
    text=True,
    timeout=60,
  )
  return found.returncode, found.stderr


@pytest.mark.parametrize("number", signals.ENDING)
@pytest.mark.parametrize(
  "act",
  [
    "end(); time.sleep(50)",
    # Python remembers one of its own that passes there, until it ends.
    "exec('end()')",
    # It lets no exception out.
    "gc.callbacks.append(lambda *_: left and left.pop()()); gc.collect(); "
    "time.sleep(50)",
  ],
)
def test_it_is_the_end(tmp_path, act, number):
  assert _ended(tmp_path, act, number) == (cli.STOPPED, "Stopped.\n")


def test_it_does_not_wait_for_what_jax_computes(tmp_path):
  act = (
    "import jax, jax.numpy as jnp; x = jnp.ones((300, 300)); "
    "jax.jit(lambda x: jax.lax.while_loop("
    "lambda y: y[0, 0] < 9, lambda y: y @ y / 300, x))(x); end()"
  )
  found = _ended(tmp_path, act, signal.SIGTERM)
  assert found == (cli.STOPPED, "Stopped.\n")


@pytest.mark.parametrize("number", signals.ENDING)
def test_what_has_ended_is_not_ended_again(tmp_path, number):
  assert _ended(tmp_path, "atexit.register(end)", number) == (0, "")
  # It comes while the message is written.
  late = (
    "import builtins; say = print; "
    "builtins.print = lambda *a, **k: (say(*a, **k), end()); end()"
  )
  assert _ended(tmp_path, late, number) == (cli.STOPPED, "Stopped.\n")

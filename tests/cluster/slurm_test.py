"""The recipes for Slurm, with a Slurm that starts and ends here.

  python -m pytest -m slurm tests/cluster

They are slow tests. As root, who may start Slurm's daemons, and after
`apt-get install slurm-wlm munge`, which the skip names.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from recipes_test import recipe, section
from sharing_test import _DRAWN, _GRIDS, _rows, _text
from slurm_sandbox import TOOLS, Slurm, wait

_MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = [
  pytest.mark.slow,
  pytest.mark.slurm,
  pytest.mark.skipif(
    bool(_MISSING),
    reason=f"Slurm is missing: no {', '.join(_MISSING)}; as root: apt-get "
    "install slurm-wlm munge",
  ),
  pytest.mark.skipif(
    os.getuid() != 0, reason="Slurm's daemons must be started by root"
  ),
]

_HERE = pathlib.Path(__file__).parent
_SHARES = range(3)
_GRID = f"""
from ml_collections import ConfigDict
from rethinking import config

def get_config():
  c = config.default()
  c.update(
    experiment="sweep", variant="figure1", dataset="digits", subset=100,
    batch_size=32, epochs=2, checkpoint_epochs=1, plots=False,
    tensorboard=False,
  )
  c.grids = ConfigDict({_GRIDS!r})
  return c
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
  with Slurm(tmp_path_factory.mktemp("slurm")) as found:
    found.env |= {
      "PYTHONPATH": str(_HERE.parents[1]),
      "XDG_CACHE_HOME": str(found.folder / "cache"),
    }
    (found.folder / "grid.py").write_text(_GRID)
    # In place of what makes an environment: that of these tests.
    (found.folder / "launch.sh").write_text(
      f'exec {sys.executable} {_HERE / "stopped_share.py"} "$@"\n'
    )
    yield found


@pytest.fixture(scope="module")
def whole(slurm):
  """What one process leaves."""
  workdir = slurm.folder / "whole"
  launch = ("bash", slurm.folder / "launch.sh")
  slurm.ask(*launch, f"--config={slurm.folder}/grid.py", f"--workdir={workdir}")
  return workdir


def _with(text, places):
  """A recipe, with other words in the place of some of its own."""
  for old, new in places.items():
    assert text.count(old) == 1, old
    text = text.replace(old, new)
  return text


class _Array:
  """The recipe's batch script for a workdir, submitted as it stands."""

  def __init__(self, slurm, workdir):
    self.slurm, self.workdir = slurm, workdir
    self.script = workdir.with_suffix(".sh")
    places = {
      "--array=0-7\n": "--array=0-2\n",
      "configs/cifar.py:figure1": "grid.py",
      "/shared/figure1": str(workdir),
    }
    text = recipe(section("SHARES OF A SWEEP"), "#!/bin/bash")
    self.script.write_text(_with(text, places))

  def submit(self, **variables):
    self.job = self.slurm.ask(
      *("sbatch", "--parsable", f"--chdir={self.slurm.folder}"),
      *(f"--output={self.workdir}.%a.log", "--open-mode=append", self.script),
      **variables,
    )

  def ends(self):
    return [self.slurm.end(f"{self.job}_{share}") for share in _SHARES]

  def log(self, share):
    return pathlib.Path(f"{self.workdir}.{share}.log").read_text()

  def check(self, whole):
    assert _rows(self.workdir) == _rows(whole)
    for name in _DRAWN:
      assert _text(self.workdir / name) == _text(whole / name), name


@pytest.fixture
def array(slurm, request):
  return _Array(slurm, slurm.folder / request.function.__name__)


_DONE = ("COMPLETED", 0)


def test_an_array_leaves_what_one_process_leaves(array, whole):
  array.submit()
  assert array.ends() == [_DONE] * 3
  for share in _SHARES:
    said = f"Share {share}/3, by SLURM_ARRAY_TASK_ID.\n"
    assert array.log(share).startswith(said)
  array.check(whole)


def test_a_share_that_is_killed_is_requeued(array, whole, slurm):
  array.submit(HIT="SIGKILL:1")
  task = f"{array.job}_1"
  wait(lambda: slurm.state(task) == ("PENDING", 1), "the killed share's return")
  # Slurm holds it back for two minutes; a node may refuse it within seconds.
  slurm.ask("scontrol", "update", f"JobId={task}", "StartTime=now+5")
  assert array.ends() == [_DONE, ("COMPLETED", 1), _DONE]
  assert "Killed" in array.log(1)
  assert array.log(1).count("Share 1/3, by SLURM_ARRAY_TASK_ID.\n") == 2
  array.check(whole)


def test_a_share_that_is_cancelled_stays_so_until_the_same_array(
  array, whole, slurm
):
  waits = slurm.folder / "waits"
  array.submit(HIT="WAIT:0", HIT_LOG=str(waits))
  wait(waits.exists, "the first checkpoint")
  slurm.ask("scancel", f"{array.job}_0")
  assert array.ends() == [("CANCELLED", 0), _DONE, _DONE]
  assert not (array.workdir / "table.md").exists()
  array.submit()
  assert array.ends() == [_DONE] * 3
  array.check(whole)


def test_srun_starts_one_job_of_several_processes(slurm, whole):
  workdir = slurm.folder / "together"
  places = {
    "--ntasks-per-node=8 --gpus-per-node=8": "--ntasks-per-node=1",
    "configs/cifar.py:random_labels": "grid.py --config.only=mlp_1x512",
    "/shared/1": str(workdir),
  }
  text = recipe(section("SLURM, AND HOSTS BY HAND"), "srun")
  subprocess.run(
    ["bash", "-c", _with(text, places)],
    cwd=slurm.folder,
    env=slurm.env,
    check=True,
    timeout=600,
  )
  alone = {row["cell"]: row for row in _rows(whole)}
  rows = _rows(workdir)
  assert len(rows) == 2
  for row in rows:
    assert (row["process_count"], row["device_count"]) == (2, 2)
    same = alone[row["cell"]]["curve"]
    assert row["curve"]["train_loss"] == pytest.approx(same["train_loss"], 1e-4)
  assert json.loads((workdir / "summary.json").read_text())["finished"] == 2

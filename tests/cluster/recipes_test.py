"""The recipes of `launch.sh --help` are what their engines read."""

import os
import pathlib
import subprocess
import textwrap

import pytest
import yaml

_ROOT = pathlib.Path(__file__).parents[2]


def section(title):
  """What `launch.sh --help` says below a title."""
  found = subprocess.run(
    ["bash", "launch.sh", "--help"],
    cwd=_ROOT,
    # No environment: the flags of the job are not asked for.
    env={**os.environ, "LAUNCH_VENV": "no-such-venv"},
    capture_output=True,
    text=True,
    check=True,
  )
  return found.stdout.partition(f"\n{title}\n")[2].split("\n\n")[0]


@pytest.fixture(scope="module")
def shares():
  return section("SHARES OF A SWEEP")


def recipe(section, beginning):
  """The indented lines from the first that begins so."""
  lines = section[section.index(f"  {beginning}") :].splitlines(keepends=True)
  end = next(
    (i for i, line in enumerate(lines) if not line.startswith("  ")), len(lines)
  )
  return textwrap.dedent("".join(lines[:end]))


def test_the_indexed_job_makes_every_share_once(shares):
  job = yaml.safe_load(recipe(shares, "apiVersion"))
  assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
  spec = job["spec"]
  assert spec["completionMode"] == "Indexed"
  [container] = spec["template"]["spec"]["containers"]
  count = spec["completions"]
  assert f"--shard=$(JOB_COMPLETION_INDEX)/{count}" in container["command"]
  assert all(isinstance(word, str) for word in container["command"])
  # Without it a share that is killed is tried again in place, by no index.
  assert spec["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize(
  ("code", "requeued"), [(0, False), (75, False), (2, False), (137, True)]
)
def test_the_array_requeues_a_share_that_was_killed(
  shares, tmp_path, code, requeued
):
  script = recipe(shares, "#!/bin/bash")
  assert "#SBATCH --array=0-7\n" in script
  (tmp_path / "launch.sh").write_text(f'echo "$@" >asked\nexit {code}\n')
  scontrol = tmp_path / "scontrol"
  scontrol.write_text('#!/bin/bash\necho "$@" >requeued\n')
  scontrol.chmod(0o755)
  found = subprocess.run(
    ["bash", "-c", script],
    cwd=tmp_path,
    env={
      "PATH": f"{tmp_path}:{os.environ['PATH']}",
      "SLURM_ARRAY_JOB_ID": "12",
      "SLURM_ARRAY_TASK_ID": "3",
    },
    capture_output=True,
    text=True,
  )
  assert found.returncode == code, found.stderr
  assert "--shard=auto --config=" in (tmp_path / "asked").read_text()
  asked = tmp_path / "requeued"
  assert asked.exists() == requeued
  if requeued:
    assert asked.read_text() == "requeue 12_3\n"

"""The launcher on all workers of a TPU VM, through a gcloud that is a fake."""

import os
import shlex
import signal
import subprocess

import fakes
import pytest

TPU = ("--tpu=demo", "--zone=us-central2-b", "--project=p")
JOB = ("--config=configs/cifar.py:random_labels,p=0.4", "--workdir=gs://b/r")
DRY_RUN = """\
# How many workers are there?
gcloud compute tpus tpu-vm describe demo --zone=us-central2-b --project=p \
'--format=value(networkEndpoints.len())'
# Ship the files that git tracks or would add.
tar -C '{tree}' -czf '{tree}/build/demo.tar.gz' --null \
-T '{tree}/build/demo.files'
gcloud compute tpus tpu-vm scp '{tree}/build/demo.tar.gz' \
demo:rethinking-launch.tar.gz --zone=us-central2-b --project=p --worker=all
# Make the environment on every worker.
gcloud compute tpus tpu-vm ssh demo --zone=us-central2-b --project=p \
--worker=all '--command=mkdir -p rethinking-launch && \
find rethinking-launch -mindepth 1 -maxdepth 1 ! -name .venv \
-exec rm -rf {{}} + && tar -xzf rethinking-launch.tar.gz \
-C rethinking-launch && bash rethinking-launch/launch.sh worker setup {job}'
# Prepare the data that the job reads, once on the disk of each worker.
gcloud compute tpus tpu-vm ssh demo --zone=us-central2-b --project=p \
--worker=all '--command=bash rethinking-launch/launch.sh worker data {job}'
# Run the job on all workers at once.
gcloud compute tpus tpu-vm ssh demo --zone=us-central2-b --project=p \
--worker=all '--command=bash rethinking-launch/launch.sh worker run {job}'
"""


def test_dry_run_prints_every_command_and_runs_none(machine):
  result = machine.launch(*TPU, "--dry-run", "--", *JOB)
  assert result.returncode == 0, result.stderr
  job = " ".join(("--multihost", *JOB))
  assert result.stdout == DRY_RUN.format(tree=machine.tree, job=job)
  names = {path.name for path in machine.tree.iterdir()}
  assert names == {name.split("/")[0] for name in fakes.FILES}
  assert not machine.lines()


# Words that a shell would take apart or expand.
HARD = ["--a=two  words", "--b=it's", "$HOME `ls` \\", '"q"', "", "*", "a\nb"]


def test_what_a_dry_run_prints_is_what_runs(cloud):
  args = (*TPU, "--", *JOB, *HARD)
  dry = cloud.launch(*TPU, "--dry-run", "--", *JOB, *HARD)
  commands = shlex.split(dry.stdout, comments=True)
  result = cloud.launch(*args)
  assert result.returncode == 0, result.stderr
  ran = (cloud.folder / "gcloud.log").read_text()
  for start in [i for i, word in enumerate(commands) if word == "gcloud"]:
    end = next(
      (
        i
        for i in range(start + 1, len(commands))
        if commands[i] in ("gcloud", "tar")
      ),
      len(commands),
    )
    words = "".join(f" <{word}>" for word in commands[start + 1 : end])
    assert f"gcloud{words}\n" in ran
  assert ran.count("gcloud <compute>") == commands.count("gcloud") == 5


def test_every_worker_runs_the_same_job(cloud):
  result = cloud.launch(*TPU, "--", *JOB, *HARD)
  assert result.returncode == 0, result.stderr
  flags = "".join(f" <{word}>" for word in ("--multihost", *JOB, *HARD))
  for worker in "01":
    home = cloud.folder / "workers" / worker
    log = (cloud.folder / "workers" / f"{worker}.log").read_text()
    assert log == (
      f"venv {home}/rethinking-launch/.venv\n"
      "pip .[gcs]\n"
      f"run <-m> <rethinking.data>{flags}\n"
      f"run <-m> <rethinking.main>{flags}\n"
    )
    assert f"[{worker}] hello from {home}/rethinking-launch\n" in result.stdout
    assert not (home / "rethinking-launch.pid").exists()


def test_a_worker_whose_python_is_too_old_gets_its_own(cloud):
  result = cloud.launch(*TPU, "--", *JOB, FAKE_VERSION="3.10.12")
  log = (cloud.folder / "workers" / "1.log").read_text().splitlines()
  assert log[:2] == [
    "pip uv",
    f"venv {cloud.folder}/workers/1/rethinking-launch/.venv",
  ], result.stderr


def test_ships_tracked_and_new_files_and_nothing_ignored(cloud):
  def git(*args):
    subprocess.run(
      ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *args],
      cwd=cloud.tree,
      check=True,
      capture_output=True,
    )

  (cloud.tree / ".gitignore").write_text("/.venv/\n/build/\n/secret\n")
  for name in ("kept.py", "deleted.py", "secret"):
    (cloud.tree / name).write_text("old")
  git("init", "-q")
  git("add", "-A")
  git("commit", "-qm", "first")
  (cloud.tree / "kept.py").write_text("edited")
  (cloud.tree / "deleted.py").unlink()
  (cloud.tree / "new config.py").write_text("new")
  stale = cloud.folder / "workers" / "0" / "rethinking-launch"
  (stale / ".venv").mkdir(parents=True)
  (stale / ".venv" / "there").touch()
  (stale / "stale.py").touch()
  result = cloud.launch(*TPU, "--", *JOB)
  assert result.returncode == 0, result.stderr
  for worker in "01":
    remote = cloud.folder / "workers" / worker / "rethinking-launch"
    assert {path.name for path in remote.iterdir()} == {
      ".ci",
      ".gitignore",
      ".venv",
      "kept.py",
      "launch.sh",
      "new config.py",
      "pyproject.toml",
      "rethinking",
      "setup.cfg",
    }
    assert (remote / "kept.py").read_text() == "edited"


def test_a_failing_worker_is_named(cloud):
  env = {"FAKE_FAILS": "1", "FAKE_CODE": "3", "FAKE_MODULE": "data"}
  result = cloud.launch(*TPU, "--", *JOB, **env)
  assert result.returncode == 1
  assert "launch: worker 1: data failed, exit code 3" in result.stderr
  assert "worker 0:" not in result.stderr
  assert "worker run" not in result.stdout


def test_a_failing_job_ends_with_its_workers_exit_code(cloud):
  env = {"FAKE_FAILS": "1", "FAKE_CODE": "3"}
  result = cloud.launch(*TPU, "--", *JOB, **env)
  assert result.returncode == 3
  assert "launch: worker 1: run failed, exit code 3" in result.stderr
  result = cloud.launch(*TPU, "--", *JOB, FAKE_EXIT="75", **env)
  assert result.returncode == 1
  assert "launch: worker 0: run failed, exit code 75" in result.stderr


@pytest.mark.parametrize(
  ("unreached", "says"),
  [
    ("scp:1", "launch: worker 1: ship failed"),
    ("ssh:0", "launch: worker 0: setup failed, no report"),
  ],
)
def test_a_worker_that_is_not_reached_is_named(cloud, unreached, says):
  result = cloud.launch(*TPU, "--", *JOB, FAKE_UNREACHED=unreached)
  assert result.returncode == 1
  assert says in result.stderr.splitlines()
  assert "stopped before the job began" in result.stderr
  assert "worker run" not in result.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_the_launcher_stops_the_workers(cloud, number):
  process = cloud.start(*TPU, "--", *JOB, FAKE_WAIT="main")
  for worker in "01":
    cloud.wait_for(cloud.folder / "workers" / f"{worker}.log.waiting")
  if number == signal.SIGINT:
    os.killpg(process.pid, number)
  else:
    process.send_signal(number)
  out, err = process.communicate(timeout=300)
  assert process.returncode == 75, err
  assert "[1] launch: run ended with exit code 75" in out
  assert err.splitlines()[-1] == (
    "launch: stopped and resumable: the same command continues the job"
  )


def test_a_job_that_is_stopped_before_it_hears_signals_is_resumable(cloud):
  deaf = fakes.PYTHON.replace("trap 'exit 75' TERM", ":")
  cloud.add("python3", deaf)
  process = cloud.start(*TPU, "--", *JOB, FAKE_WAIT="main")
  for worker in "01":
    cloud.wait_for(cloud.folder / "workers" / f"{worker}.log.waiting")
  process.terminate()
  _, err = process.communicate(timeout=300)
  assert process.returncode == 75, err


@pytest.mark.parametrize(
  ("phase", "module", "slow", "number", "code"),
  [
    # It fails to unpack the code, which could have said how it ended.
    ("setup", "none", "0 1", signal.SIGINT, 1),
    ("data", "data", "1", signal.SIGTERM, 75),
    ("run", "main", "1", signal.SIGINT, 75),
    ("run", "main", "0 1", signal.SIGINT, 75),
  ],
)
def test_a_worker_still_being_connected_to_never_starts(
  cloud, phase, module, slow, number, code
):
  process = cloud.start(
    *TPU, "--", *JOB, FAKE_WAIT=module, FAKE_PHASE=phase, FAKE_SLOW=slow
  )
  workers = cloud.folder / "workers"
  for worker in "01":
    state = "connecting" if worker in slow else "waiting"
    cloud.wait_for(workers / f"{worker}.log.{state}")
  if number == signal.SIGINT:
    os.killpg(process.pid, number)
  else:
    process.send_signal(number)
  # The request reaches them first, then the connection is made.
  for worker in "01":
    cloud.wait_for_no(workers / worker / "rethinking-launch.tar.gz")
    (workers / f"{worker}.log.connect").touch()
  out, err = process.communicate(timeout=300)
  assert process.returncode == code, err
  for worker in "01":
    log = workers / f"{worker}.log"
    began = log.read_text() if log.exists() else ""
    assert (f"<rethinking.{module}>" in began) == (worker not in slow)
    assert bool(began) == (phase != "setup")
    if code == 75:
      assert f"[{worker}] launch: {phase} ended with exit code 75" in out
  # The same command is not held up by what stopped this one.
  assert cloud.launch(*TPU, "--", *JOB).returncode == 0


@pytest.mark.parametrize(
  ("args", "says"),
  [
    (["--tpu=demo", "--", *JOB], "give both --tpu=NAME and --zone=ZONE"),
    (["--tpu", "demo", "--", *JOB], "unknown launcher flag '--tpu'"),
    ([*TPU, *JOB], "unknown launcher flag '--config=configs/cifar.py"),
    ([*TPU], "--config=FILE among them"),
    ([*TPU, "--", "--workdir=gs://b/r"], "--config=FILE among them"),
    ([*TPU, "--", "--config=a", "--workdir=runs/1"], "share the workdir"),
    ([*TPU, "--", *JOB, "--shard=auto"], "try --shard before the --"),
    ([*TPU, "--shard=0/2", "--", *JOB], "unknown launcher flag '--shard=0/2'"),
    (
      [*TPU, "--shard", "--", *JOB, "--multihost"],
      "--shard goes without --multihost",
    ),
    (
      [*TPU, "--", *JOB, "--config.data_dir=gs://b/tfds"],
      "data_dir must be a folder on a disk, got '--config.data_dir=gs://b/tfds'",
    ),
    (
      [*TPU, "--", "--config=a:b,data_dir=gs://b", "--workdir=/nfs/r"],
      "data_dir must be a folder on a disk, got '--config=a:b,data_dir=gs://b'",
    ),
  ],
)
def test_refuses_half_a_command_line(cloud, args, says):
  result = cloud.launch(*args)
  assert result.returncode == 2
  assert says in result.stderr
  assert len(result.stderr.splitlines()) == 1
  assert not (cloud.folder / "gcloud.log").exists()


def test_a_missing_gcloud_or_tpu_stops_at_once(cloud):
  result = cloud.launch(*TPU, "--", *JOB, FAKE_DESCRIBE="1")
  assert result.returncode == 1
  assert "gcloud cannot describe demo in us-central2-b" in result.stderr
  (cloud.bin / "gcloud").unlink()
  result = cloud.launch(*TPU, "--", *JOB)
  assert result.returncode == 1
  assert "gcloud is not on the PATH" in result.stderr

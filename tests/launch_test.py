"""The launcher on a machine where Python, gcloud and the network are fakes."""

import contextlib
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOOLS = (
  "bash cat cksum curl dirname env find flock getconf git grep gzip kill ls "
  "mkdir paste rm sed seq sleep sort tail tar tee touch tr"
).split()

# Answers as an interpreter would, keeps what it was asked in $LOG, and puts a
# copy of itself where an environment is made.
PYTHON = r"""#!/usr/bin/env bash
case "$*" in
  --version) echo "Python ${FAKE_VERSION:-3.11.2}" ;;
  *version_info*) [ "${FAKE_VERSION:-3.11.2}" != 3.10.12 ] ;;
  *ensurepip*) [ -z "${FAKE_NO_VENV-}" ] ;;
  '-c import pip') ;;
  '-m venv '*)
    echo "venv $3" >>"$LOG"
    mkdir -p "$3/bin"
    cat "$0" >"$3/bin/python"
    chmod +x "$3/bin/python"
    ;;
  '-m pip install '*uv)
    echo 'pip uv' >>"$LOG"
    mkdir -p "$HOME/.uv/bin"
    printf '%s\n' '#!/usr/bin/env bash' 'unset FAKE_VERSION' \
      "exec $0 -m venv \"\${!#}\"" >"$HOME/.uv/bin/uv"
    chmod +x "$HOME/.uv/bin/uv"
    ;;
  '-m pip install '*)
    echo "pip ${!#}" >>"$LOG"
    sleep "${FAKE_PIP_SECONDS:-0}"
    exit "${FAKE_PIP_CODE:-0}"
    ;;
  *)
    { printf 'run'; printf ' <%s>' "$@"; echo; } >>"$LOG"
    echo "hello from $PWD"
    if [ -n "${FAKE_WAIT-}" ]; then
      trap 'exit 75' TERM
      echo "$$" >"$LOG.waiting"
      while :; do sleep 0.05; done
    fi
    [ "${FAKE_WORKER-0}" != "${FAKE_FAILS-}" ] || exit "${FAKE_CODE:-1}"
    exit "${FAKE_EXIT:-0}"
    ;;
esac
"""

# Carries files and commands to two folders that stand for two workers.
GCLOUD = r"""#!/usr/bin/env bash
{ printf 'gcloud'; printf ' <%s>' "$@"; echo; } >>"$GCLOUD_LOG"
zero=no
for word in "$@"; do
  case $word in
    --command=*) command=${word#*=} ;;
    --worker=0) zero=yes ;;
  esac
done
work() {
  cd "$HOME" || exit
  case $verb in
    scp) cat "$archive" >rethinking-launch.tar.gz ;;
    ssh) bash -c "$command" ;;
  esac
}
verb=$4 archive=$5
if [ "$verb" = describe ]; then echo 2; exit "${FAKE_DESCRIBE:-0}"; fi
for worker in 0 1; do
  [ $zero = no ] || [ $worker = 0 ] || continue
  (
    export FAKE_WORKER=$worker HOME=$WORKERS/$worker LOG=$WORKERS/$worker.log
    if [ "$verb:$worker" = "${FAKE_UNREACHED-}" ]; then
      echo "##### Command execution on worker $worker failed with exit status \
255. Continuing." >&2
      exit 255
    fi
    work
  ) &
  jobs+=($!)
done
code=0
for job in "${jobs[@]}"; do wait "$job" || code=$?; done
exit $code
"""

CURL = '#!/usr/bin/env bash\nprintf "%s" "$FAKE_WORKER"\n'


class Machine:
  """A checkout and a PATH that holds nothing but fakes and plain tools."""

  def __init__(self, folder: pathlib.Path):
    self.folder = folder
    self.tree = folder / "my tree"
    self.bin = folder / "bin"
    self.bin.mkdir()
    self.tree.mkdir()
    for tool in [*TOOLS, "chmod"]:
      if found := shutil.which(tool):
        (self.bin / tool).symlink_to(found)
    for name in ("launch.sh", "setup.cfg", "pyproject.toml"):
      shutil.copy(ROOT / name, self.tree)
    self.log = folder / "log"
    self.started: list[subprocess.Popen] = []
    self.env = {
      "PATH": str(self.bin),
      "HOME": str(folder),
      "LOG": str(self.log),
      "GCLOUD_LOG": str(folder / "gcloud.log"),
      "WORKERS": str(folder / "workers"),
    }

  def add(self, name: str, text: str) -> None:
    path = self.bin / name
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o755)

  def start(self, *args: str, **env: str) -> subprocess.Popen:
    process = subprocess.Popen(
      ["bash", str(self.tree / "launch.sh"), *args],
      cwd=self.folder,
      env=self.env | env,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      start_new_session=True,
    )
    self.started.append(process)
    return process

  def launch(self, *args: str, **env: str) -> subprocess.CompletedProcess:
    process = self.start(*args, **env)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(args, process.returncode, out, err)

  def lines(self, start: str = "") -> list[str]:
    if not self.log.exists():
      return []
    return [s for s in self.log.read_text().splitlines() if s.startswith(start)]

  def wait_for(self, path: pathlib.Path) -> str:
    deadline = time.monotonic() + 30
    while not (path.exists() and path.read_text()):
      if time.monotonic() > deadline:
        raise TimeoutError(f"{path} did not appear")
      time.sleep(0.01)
    return path.read_text().strip()


@pytest.fixture
def bare(tmp_path: pathlib.Path) -> Iterator[Machine]:
  machine = Machine(tmp_path)
  yield machine
  for process in machine.started:
    # What a failed test left running shares the launcher's process group.
    with contextlib.suppress(ProcessLookupError):
      os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def machine(bare: Machine) -> Machine:
  bare.add("python3", PYTHON)
  return bare


@pytest.fixture
def cloud(machine: Machine) -> Machine:
  machine.add("gcloud", GCLOUD)
  machine.add("curl", CURL)
  for worker in "01":
    (machine.folder / "workers" / worker).mkdir(parents=True)
  return machine


# ------------------------------------------------------------- this machine


def test_the_job_gets_its_flags_and_stdout_is_its_own(machine):
  result = machine.launch("--config=a b", "--x='$HOME'", "")
  assert result.returncode == 0, result.stderr
  assert result.stdout == f"hello from {machine.folder}\n"
  assert machine.lines("run") == [
    "run <-m> <rethinking.main> <--config=a b> <--x='$HOME'> <>"
  ]


@pytest.mark.parametrize("code", [0, 1, 2, 75])
def test_the_exit_code_is_the_jobs(machine, code):
  assert machine.launch("--config=a", FAKE_EXIT=str(code)).returncode == code


def test_a_signal_reaches_the_job_in_place_of_the_launcher(machine):
  process = machine.start("--config=a", FAKE_WAIT="1")
  waiting = machine.wait_for(machine.folder / "log.waiting")
  assert int(waiting) == process.pid
  process.terminate()
  process.communicate(timeout=30)
  assert process.returncode == 75


def test_installs_once(machine):
  for _ in range(3):
    assert machine.launch("--config=a").returncode == 0
  assert machine.lines("venv") == [f"venv {machine.tree}/.venv"]
  assert machine.lines("pip") == ["pip ."]


def test_installs_again_when_what_it_depends_on_changed(machine):
  machine.launch("--config=a")
  with (machine.tree / "setup.cfg").open("a") as file:
    file.write("# changed\n")
  machine.launch("--config=a")
  assert machine.lines("pip") == ["pip ."] * 2
  machine.launch("--config=a", FAKE_VERSION="3.12.1")
  assert machine.lines("pip") == ["pip ."] * 3
  moved = machine.tree.rename(machine.folder / "moved")
  machine.tree = moved
  machine.launch("--config=a", FAKE_VERSION="3.12.1")
  assert machine.lines("pip") == ["pip ."] * 4
  assert len(machine.lines("venv")) == 1


def test_extras_add_up_and_are_kept(machine):
  machine.launch("test")
  machine.launch("--config=a")
  machine.launch("--config=a", "--workdir=gs://bucket/run")
  machine.launch("test")
  with (machine.tree / "setup.cfg").open("a") as file:
    file.write("# changed\n")
  machine.launch("--config=a")
  assert machine.lines("pip") == [
    "pip .[test]",
    "pip .[gcs,test]",
    "pip .[gcs,test]",
  ]


def test_an_interrupted_install_is_redone_from_nothing(machine):
  process = machine.start("--config=a", FAKE_PIP_SECONDS="60")
  machine.wait_for(machine.log)
  while not machine.lines("pip"):
    time.sleep(0.01)
  os.killpg(process.pid, signal.SIGKILL)
  process.communicate(timeout=30)
  (machine.tree / ".venv" / "half").touch()
  result = machine.launch("--config=a")
  assert result.returncode == 0, result.stderr
  assert len(machine.lines("venv")) == len(machine.lines("pip")) == 2
  assert not (machine.tree / ".venv" / "half").exists()


def test_ctrl_c_counts_as_interrupted_though_pip_exits_in_order(machine):
  polite = PYTHON.replace('sleep "', "trap 'exit 1' INT; sleep \"")
  machine.add("python3", polite)
  process = machine.start("--config=a", FAKE_PIP_SECONDS="2")
  machine.wait_for(machine.log)
  while not machine.lines("pip"):
    time.sleep(0.01)
  os.killpg(process.pid, signal.SIGINT)
  _, err = process.communicate(timeout=30)
  assert process.returncode == 130, err
  assert "pip failed" not in err
  machine.launch("--config=a")
  assert len(machine.lines("venv")) == 2


def test_a_failed_install_says_so_and_keeps_the_environment(machine):
  result = machine.launch("--config=a", FAKE_PIP_CODE="1")
  assert result.returncode == 1
  assert result.stderr.splitlines()[-1].startswith("launch: pip failed")
  assert machine.launch("--config=a").returncode == 0
  assert len(machine.lines("venv")) == 1
  assert len(machine.lines("pip")) == 2


def test_a_broken_environment_is_made_anew(machine):
  machine.launch("--config=a")
  python = machine.tree / ".venv" / "bin" / "python"
  python.unlink()
  python.symlink_to("/nonexistent/python3")
  assert machine.launch("--config=a").returncode == 0
  assert len(machine.lines("venv")) == 2


def test_an_environment_made_by_hand_is_kept(machine):
  machine.launch("setup")
  (machine.tree / ".venv" / "launch.stamp").unlink()
  (machine.tree / ".venv" / "own").touch()
  assert machine.launch("--config=a").returncode == 0
  assert (machine.tree / ".venv" / "own").exists()


def test_launches_at_the_same_time_install_once(machine):
  started = [
    machine.start("--config=a", FAKE_PIP_SECONDS="0.5") for _ in range(4)
  ]
  for process in started:
    process.communicate(timeout=60)
  assert [process.returncode for process in started] == [0] * 4
  assert len(machine.lines("venv")) == len(machine.lines("pip")) == 1
  assert len(machine.lines("run")) == 4


@pytest.mark.parametrize(
  ("env", "says"),
  [
    ({"FAKE_NO_VENV": "1"}, "python3 lacks the module venv"),
    ({"FAKE_NO_VENV": "1"}, "apt install python3-venv"),
    ({"FAKE_VERSION": "3.10.12"}, "python3 is Python 3.10.12"),
    ({"FAKE_VERSION": "3.10.12"}, "apt install python3.11-venv"),
  ],
)
def test_an_unfit_python_names_the_missing_package(machine, env, says):
  result = machine.launch("--config=a", **env)
  assert result.returncode == 1
  assert says in result.stderr
  assert len(result.stderr.splitlines()) == 1
  assert not (machine.tree / ".venv").exists()


def test_no_python_names_the_missing_package(bare):
  result = bare.launch("--config=a")
  assert result.returncode == 1
  assert result.stderr == (
    "launch: Python 3.11 or newer is needed, and there is no python3; "
    "as root: apt install python3-venv\n"
  )


def test_another_python_and_uv_fill_in(machine):
  machine.add("python3.12", PYTHON.replace("3.10.12", "never"))
  assert machine.launch("--config=a", FAKE_VERSION="3.10.12").returncode == 0
  (machine.bin / "python3.12").unlink()
  shutil.rmtree(machine.tree / ".venv")
  python = machine.bin / "python3"
  machine.add(
    "uv",
    f'#!/bin/bash\necho uv "$@" >>"$LOG"\nexec {python} -m venv "${{!#}}"\n',
  )
  uses_uv = machine.launch("setup", FAKE_NO_VENV="1")
  assert uses_uv.returncode == 0, uses_uv.stderr
  assert len(machine.lines("uv venv")) == 1


def test_the_extra_follows_the_hardware(machine):
  machine.add("nvidia-smi", "#!/bin/bash\necho 'GPU 0: X'; echo 'GPU 1: X'\n")
  assert machine.launch("--config=a").returncode == 0
  assert machine.lines("pip") == ["pip .[cuda]"]
  machine.add("nvidia-smi", "#!/bin/bash\necho 'no driver'; exit 9\n")
  shutil.rmtree(machine.tree / ".venv")
  assert machine.launch("--config=a").returncode == 0
  assert machine.lines("pip")[1:] == ["pip ."]


@pytest.mark.parametrize(
  ("device", "pip"), [("0x0062", "pip .[tpu]"), ("0x0042", "pip .")]
)
def test_a_tpu_is_told_from_googles_network_card(machine, device, pip):
  pci = machine.folder / "pci" / "0000:00:04.0"
  pci.mkdir(parents=True)
  (pci / "vendor").write_text("0x1ae0\n")
  (pci / "device").write_text(device + "\n")
  script = machine.tree / "launch.sh"
  text = script.read_text()
  assert "/sys/bus/pci/devices/" in text
  script.write_text(text.replace("/sys/bus/pci/devices", str(pci.parent)))
  assert machine.launch("--config=a").returncode == 0
  assert machine.lines("pip") == [pip]


def test_runs_the_tests_with_the_test_extra(machine):
  machine.add("getconf", "#!/bin/bash\necho 64\n")
  result = machine.launch("test", "-k", "a b")
  assert result.stdout == f"hello from {machine.tree}\n"
  assert machine.lines("pip") == ["pip .[test]"]
  assert machine.lines("run") == [
    "run <-m> <pytest> <-n> <4> <-m> <not slow> <-k> <a b>"
  ]


def test_help_needs_no_install_and_passes_on_the_jobs(machine):
  result = machine.launch("--help")
  assert result.returncode == 0
  assert "bash launch.sh --tpu=NAME" in result.stdout
  assert not (machine.tree / ".venv").exists()
  machine.launch("setup")
  machine.launch("--help")
  assert machine.lines("run") == ["run <-m> <rethinking.main> <--help>"]


def test_no_flags_at_all_are_refused(machine):
  result = machine.launch()
  assert result.returncode == 2
  assert "bash launch.sh test" in result.stderr
  assert not (machine.tree / ".venv").exists()


# ------------------------------------------------------------------- a TPU VM

TPU = ("--tpu=demo", "--zone=us-central2-b", "--project=p")
JOB = ("--config=configs/cifar.py:random_labels,p=0.4", "--workdir=gs://b/r")
DRY_RUN = """\
# How many workers are there?
gcloud compute tpus tpu-vm describe demo --zone=us-central2-b --project=p \
--format='value(networkEndpoints.len())'
# Ship the files that git tracks or would add.
tar -C '{tree}' -czf '{tree}/build/demo.tar.gz' --null \
-T '{tree}/build/demo.files'
gcloud compute tpus tpu-vm scp '{tree}/build/demo.tar.gz' \
demo:rethinking-launch.tar.gz --zone=us-central2-b --project=p --worker=all
# Make the environment on every worker.
gcloud compute tpus tpu-vm ssh demo --zone=us-central2-b --project=p \
--worker=all --command='mkdir -p rethinking-launch && \
find rethinking-launch -mindepth 1 -maxdepth 1 ! -name .venv \
-exec rm -rf {{}} + && tar -xzf rethinking-launch.tar.gz \
-C rethinking-launch && bash rethinking-launch/launch.sh worker setup gcs'
# Prepare the data, once on the disk of each worker.
gcloud compute tpus tpu-vm ssh demo --zone=us-central2-b --project=p \
--worker=all --command='bash rethinking-launch/launch.sh worker data cifar10'
# Run the job on all workers at once.
gcloud compute tpus tpu-vm ssh demo --zone=us-central2-b --project=p \
--worker=all --command='bash rethinking-launch/launch.sh worker run \
--multihost --config=configs/cifar.py:random_labels,p=0.4 --workdir=gs://b/r'
"""


def test_dry_run_prints_every_command_and_runs_none(machine):
  result = machine.launch(*TPU, "--dry-run", "--", *JOB)
  assert result.returncode == 0, result.stderr
  assert result.stdout == DRY_RUN.format(tree=machine.tree)
  names = {path.name for path in machine.tree.iterdir()}
  assert names == {"launch.sh", "setup.cfg", "pyproject.toml"}
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
      "run <-m> <rethinking.data> <cifar10>\n"
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


@pytest.mark.parametrize(
  ("flags", "data"),
  [
    (["--config=configs/digits.py:random_labels"], None),
    (["--config=configs/mnist.py"], ("all", "mnist")),
    (["--config=configs/cifar.py:a,dataset=cifar100,p=1"], ("all", "cifar100")),
    (
      ["--config=configs/mnist.py", "--config.dataset=fashion_mnist"],
      ("all", "fashion_mnist"),
    ),
    (
      ["--config=configs/cifar.py", "--config.data_dir=/mnt/my data"],
      ("all", "cifar10 --data_dir='/mnt/my data'"),
    ),
    (
      ["--config=configs/cifar.py", "--config.data_dir=gs://b/tfds"],
      ("0", "cifar10 --data_dir=gs://b/tfds"),
    ),
  ],
)
def test_the_data_prepared_is_what_the_job_reads(machine, flags, data):
  result = machine.launch(*TPU, "--dry-run", "--", *flags, "--workdir=/nfs/r")
  lines = [s for s in result.stdout.splitlines() if "worker data" in s]
  if data is None:
    assert not lines
  else:
    words = shlex.split(lines[0])
    assert words[-2] == f"--worker={data[0]}"
    assert words[-1].endswith(f"worker data {data[1]}")


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
      ".gitignore",
      ".venv",
      "kept.py",
      "launch.sh",
      "new config.py",
      "pyproject.toml",
      "setup.cfg",
    }
    assert (remote / "kept.py").read_text() == "edited"


def test_a_failing_worker_is_named(cloud):
  result = cloud.launch(*TPU, "--", *JOB, FAKE_FAILS="1", FAKE_CODE="3")
  assert result.returncode == 1
  assert "launch: worker 1: data failed, exit code 3" in result.stderr
  assert "worker 0:" not in result.stderr
  assert "worker run" not in result.stdout


def test_a_failing_job_ends_with_its_workers_exit_code(cloud):
  job = ("--config=configs/digits.py", "--workdir=gs://b/r")
  result = cloud.launch(*TPU, "--", *job, FAKE_FAILS="1", FAKE_CODE="3")
  assert result.returncode == 3
  assert "launch: worker 1: run failed, exit code 3" in result.stderr
  result = cloud.launch(
    *TPU, "--", *job, FAKE_FAILS="1", FAKE_CODE="3", FAKE_EXIT="75"
  )
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
  job = ("--config=configs/digits.py", "--workdir=gs://b/r")
  process = cloud.start(*TPU, "--", *job, FAKE_WAIT="1")
  for worker in "01":
    cloud.wait_for(cloud.folder / "workers" / f"{worker}.log.waiting")
  if number == signal.SIGINT:
    os.killpg(process.pid, number)
  else:
    process.send_signal(number)
  out, err = process.communicate(timeout=30)
  assert process.returncode == 75, err
  assert "[1] launch: run ended with exit code 75" in out
  assert err.splitlines()[-1] == (
    "launch: stopped and resumable: the same command continues the job"
  )


@pytest.mark.parametrize(
  ("args", "says"),
  [
    (["--tpu=demo", "--", *JOB], "give both --tpu=NAME and --zone=ZONE"),
    (["--tpu", "demo", "--", *JOB], "unknown launcher flag '--tpu'"),
    ([*TPU, *JOB], "unknown launcher flag '--config=configs/cifar.py"),
    ([*TPU], "--config=FILE among them"),
    ([*TPU, "--", "--workdir=gs://b/r"], "--config=FILE among them"),
    ([*TPU, "--", "--config=a", "--workdir=runs/1"], "share the workdir"),
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


# ------------------------------------------------------------------------- CI


@pytest.mark.parametrize(
  ("fails", "code"), [("", 0), ("test", 1), ("check", 1), ("format", 1)]
)
def test_ci_runs_everything_and_fails_if_anything_does(tmp_path, fails, code):
  tree = tmp_path / "tree"
  (tree / ".ci").mkdir(parents=True)
  (tree / ".venv" / "bin").mkdir(parents=True)
  shutil.copy(ROOT / ".ci" / "run", tree / ".ci")
  fake = (
    '#!/bin/bash\necho "ran $* in $PWD, data ${TFDS_DATA_DIR-none}"\n'
    f'[[ " $* " != *" {fails or "nothing"} "* ]]\n'
  )
  for name in ("launch.sh", ".venv/bin/python"):
    (tree / name).write_text(fake)
    (tree / name).chmod(0o755)
  result = subprocess.run(
    ["bash", str(tree / ".ci" / "run")],
    env={"PATH": os.environ["PATH"]},
    capture_output=True,
    text=True,
  )
  assert result.returncode == code
  ran = [s for s in result.stdout.splitlines() if s.startswith("ran ")]
  assert ran == [
    f"ran {what} in {tree}, data none"
    for what in ("test", "-m ruff check .", "-m ruff format --check .")
  ]

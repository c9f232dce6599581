"""The launcher on one machine: its environment, jobs and tests."""

import os
import shutil
import signal
import time

import fakes
import pytest


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
  process = machine.start("--config=a", FAKE_WAIT="main")
  waiting = machine.wait_for(machine.folder / "log.waiting")
  assert int(waiting) == process.pid
  process.terminate()
  process.communicate(timeout=300)
  assert process.returncode == 75


def test_installs_once(machine):
  for _ in range(3):
    assert machine.launch("--config=a").returncode == 0
  assert machine.lines("venv") == [f"venv {machine.tree}/.venv"]
  assert machine.lines("pip") == ["pip ."]


def test_installs_again_when_what_it_depends_on_changed(machine):
  machine.launch("--config=a")
  for count, name in enumerate(("setup.cfg", ".ci/constraints.txt"), 2):
    with (machine.tree / name).open("a") as file:
      file.write("# changed\n")
    machine.launch("--config=a")
    assert machine.lines("pip") == ["pip ."] * count
  machine.launch("--config=a", FAKE_VERSION="3.12.1")
  assert machine.lines("pip") == ["pip ."] * 4
  moved = machine.tree.rename(machine.folder / "moved")
  machine.tree = moved
  machine.launch("--config=a", FAKE_VERSION="3.12.1")
  assert machine.lines("pip") == ["pip ."] * 5
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
  process.communicate(timeout=300)
  (machine.tree / ".venv" / "half").touch()
  result = machine.launch("--config=a")
  assert result.returncode == 0, result.stderr
  assert len(machine.lines("venv")) == len(machine.lines("pip")) == 2
  assert not (machine.tree / ".venv" / "half").exists()


def test_ctrl_c_counts_as_interrupted_though_pip_exits_in_order(machine):
  polite = fakes.PYTHON.replace('sleep "', "trap 'exit 1' INT; sleep \"")
  machine.add("python3", polite)
  process = machine.start("--config=a", FAKE_PIP_SECONDS="60")
  machine.wait_for(machine.log)
  while not machine.lines("pip"):
    time.sleep(0.01)
  os.killpg(process.pid, signal.SIGINT)
  _, err = process.communicate(timeout=300)
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
    process.communicate(timeout=300)
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


# An interpreter that knows its name.
def _named(name: str) -> str:
  return fakes.PYTHON.replace("3.10.12", "never") + f"# {name}\n"


def _python_of(folder) -> str:
  return (folder / "bin" / "python").read_text().splitlines()[-1].strip("# ")


def test_where_python3_is_old_the_newest_is_taken(machine):
  for minor in (9, 11, 12, 14):
    machine.add(f"python3.{minor}", _named(f"3.{minor}"))
  machine.add("python3.15", "#!/bin/bash\nexit 127\n")
  machine.add("python3.16-config", _named("none"))
  venv = machine.tree / ".venv"
  assert machine.launch("setup").returncode == 0
  assert _python_of(venv) == "esac"
  shutil.rmtree(venv)
  assert machine.launch("setup", FAKE_VERSION="3.10.12").returncode == 0
  assert _python_of(venv) == "3.14"


def test_another_python_in_another_folder(machine):
  machine.add("mine", _named("mine"))
  env = {
    "LAUNCH_PYTHON": str(machine.bin / "mine"),
    "LAUNCH_VENV": ".venv-mine",
  }
  assert machine.launch("--config=a", **env).returncode == 0
  assert _python_of(machine.tree / ".venv-mine") == "mine"
  assert not (machine.tree / ".venv").exists()
  machine.add("mine", "#!/bin/bash\nexit 1\n")
  result = machine.launch("--config=a", **env | {"LAUNCH_VENV": ".venv-b"})
  assert result.returncode == 1
  assert result.stderr == (
    "launch: LAUNCH_PYTHON must be a Python 3.11 or newer with the module "
    f"venv, got {machine.bin / 'mine'}; leave it out to have one found\n"
  )


def test_another_python_and_uv_fill_in(machine):
  machine.add("python3.12", fakes.PYTHON.replace("3.10.12", "never"))
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


def _gpus(*answers: str) -> str:
  """An nvidia-smi that lists GPUs and says their driver and capability."""
  said = "".join(f"echo '{answer}'; " for answer in answers)
  return (
    f'#!/bin/bash\nif [ "$1" = -L ]; then echo "GPU 0: X"; exit; fi\n{said}\n'
  )


@pytest.mark.parametrize(
  ("answers", "extra"),
  [
    (("580.65.06, 9.0", "580.65.06, 12.0"), "cuda13"),
    (("580.65.06, 7.5",), "cuda13"),
    (("580.65.06, 9.0", "580.65.06, 7.0"), "cuda12"),
    (("570.86.15, 9.0",), "cuda12"),
    (('Field "compute_cap" is not a valid field to query.',), "cuda12"),
  ],
)
def test_the_extra_follows_the_driver_and_the_gpus(machine, answers, extra):
  machine.add("nvidia-smi", _gpus(*answers))
  result = machine.launch("--config=a")
  assert (result.returncode, result.stderr.count("\n")) == (0, 1)
  assert machine.lines("pip") == [f"pip .[{extra}]"]


def test_an_environment_keeps_the_cuda_that_it_has(machine):
  """Two of them in one environment are one too many for JAX."""
  machine.launch("setup", "cuda")
  machine.add("nvidia-smi", _gpus("580.65.06, 9.0"))
  machine.launch("--config=a")
  assert machine.lines("pip") == ["pip .[cuda]"]


def test_without_a_driver_there_is_no_cuda(machine):
  machine.add("nvidia-smi", "#!/bin/bash\necho 'no driver'; exit 9\n")
  assert machine.launch("--config=a").returncode == 0
  assert machine.lines("pip") == ["pip ."]


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

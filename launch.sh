#!/usr/bin/env bash
# One launcher: a job on this machine, the tests, or a job on every worker of a
# TPU VM. Runs on bash 3.2 and newer, so that a Mac can launch a TPU job.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$here/${LAUNCH_VENV:-.venv}
stamp=$venv/launch.stamp # What was installed, or "begun" while pip is at it.
tpu_vm=$here/rethinking/runtime/tpu_vm.sh

usage() {
  cat <<'END'
bash launch.sh [flags of rethinking.main]   run a job on this machine
bash launch.sh test [flags of pytest]       run the tests
bash launch.sh setup [EXTRA ...]            make .venv and stop
bash launch.sh --tpu=NAME --zone=ZONE [--project=P] [--shard] [--dry-run] \
  -- FLAGS                                  run a job on all workers of a TPU VM

  bash launch.sh --config=configs/digits.py:random_labels

Exit codes: 0 finished, 1 failed, 2 refused input, 75 stopped and resumable.

ONE MACHINE
The first command makes .venv beside this script, then becomes the job: signals
and exit codes are the job's. It installs again when setup.cfg, pyproject.toml,
.ci/constraints.txt (the versions that were tested), the Python or the folder
changed, and from nothing where an install was interrupted. Extras: cuda13 where
nvidia-smi lists GPUs, for an older driver or GPU than CUDA 13 takes cuda12, tpu
where a TPU chip is on the PCI bus, gcs where a flag names gs://. One process
uses all GPUs. Python is the python3 of the PATH; where that is older than 3.11,
the newest python3.X there; where there is none, what uv brings. LAUNCH_PYTHON
names another one to make .venv with, LAUNCH_VENV another folder for it.

TPU VM
  gcloud compute tpus tpu-vm create demo --zone=us-central2-b \
    --accelerator-type=v4-32 --version=tpu-ubuntu2204-base
  bash launch.sh --tpu=demo --zone=us-central2-b -- \
    --config=configs/cifar.py:random_labels --workdir=gs://BUCKET/runs/1
1. asks how many workers there are;
2. copies the files that git tracks or would add (uncommitted changes too,
   ignored files never) to ~/rethinking-launch on every worker;
3. makes .venv there; where the image's Python is too old, uv brings one, and
   nothing of the system is touched;
4. prepares the data that the config names, on the disk of each worker, or once
   in a folder that they mount (--config.data_dir=/mnt/...);
5. runs FLAGS with --multihost on all workers at once; with --shard, each makes
   its share of a sweep on its own chips: one that dies costs its share only.
--dry-run prints every command and runs none. The workdir is shared: gs://, or
the absolute path of a mounted folder. Each line of output carries its worker's
number; a worker that fails or is not reached is named. Ctrl-C or SIGTERM makes
every worker save and stop; one still being connected to never starts; the exit
code is the workers' (75: the same command continues). A lost connection ends
the job at its next line of output: launch from a machine that stays up (tmux).
  TPU            --version=
  v4             tpu-ubuntu2204-base; v2 and v3 too, while JAX supports them
  v5e            v2-alpha-tpuv5-lite
  v5p            v2-alpha-tpuv5
  v6e            v2-alpha-tpuv6e
  TPU7x, newer   none: `bash launch.sh --multihost FLAGS` on each host (Compute
                 Engine, GKE); the same for several slices of any TPU
Tested against a fake gcloud; it has not met a real TPU.

SLURM, AND HOSTS BY HAND
  srun --nodes=2 --ntasks-per-node=8 --gpus-per-node=8 bash launch.sh \
    --multihost --config=configs/cifar.py:random_labels --workdir=/shared/1
JAX gives each task the GPU of its local number: ask for as many tasks a node as
GPUs. Tasks that share this folder wait while one installs. By hand, on N hosts:
  bash launch.sh --multihost --coordinator=HOST0:1234 --process_count=N \
    --process_id=I FLAGS
Every process holds the whole data set and takes its part of each batch:
batch_size is that of all together, and the numbers are those of one process.
The first one writes and prints. SIGTERM to any makes all save at the same step
and exit with 75; one that still waits for the others ends alone, with 75 too.
When a process dies, the others end within about a minute, with a line of ours
or a longer text of JAX's and exit code 134. The same command continues: with
the same layout to the same bits, with another number of processes or devices
with the same examples in the same order. A sweep runs one cell after another.

SHARES OF A SWEEP
The runs of a sweep are independent: --shard=I/N makes the I-th of N shares, on
any machine, with its own devices and no word to the others. The workdir is
shared: gs://, or a mounted folder. The same command goes on with a share that
was killed; so does another N. The last one to end draws. --plan lists what each
makes; python -m rethinking.report WORKDIR counts what is missing. What one
program would train is not parted, save with --config.runs_at_once=1. On a TPU:
  bash launch.sh --tpu=NAME --zone=ZONE --shard -- FLAGS
The batch script of a Slurm array:
  #!/bin/bash
  #SBATCH --array=0-7
  #SBATCH --requeue
  bash launch.sh --shard=auto --config=configs/cifar.py:figure1 \
    --workdir=/shared/figure1
  c=$?
  [ $c -ge 128 ] &&
    scontrol requeue ${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}
  exit $c
A Kubernetes Indexed Job (parsed by a test; it has not met a cluster), with an
image that has this folder as its working directory:
  apiVersion: batch/v1
  kind: Job
  metadata: {name: figure1}
  spec:
    completionMode: Indexed
    completions: 8
    parallelism: 8
    backoffLimitPerIndex: 10
    template:
      spec:
        restartPolicy: Never
        containers:
          - name: share
            image: IMAGE
            command: [bash, launch.sh, --shard=$(JOB_COMPLETION_INDEX)/8,
                      "--config=configs/cifar.py:figure1",
                      "--workdir=gs://BUCKET/figure1"]
END
}

say() { printf 'launch: %s\n' "$1" >&2; }

die() { # MESSAGE [EXIT CODE]
  say "$1"
  exit "${2:-1}"
}

# ---------------------------------------------------------------- environment

fits() { # PYTHON MODULES
  "$1" -c "import $2, sys; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1
}

# Prints the Python to make .venv with: python3 if it is new enough and can make
# environments, else the newest that does.
find_python() {
  local python
  if [ -n "${LAUNCH_PYTHON-}" ]; then
    set -- "$LAUNCH_PYTHON"
  else
    set -- python3 $(compgen -c python3. | grep -E '^python3\.[0-9]+$' |
      sort -u -t . -k 2,2nr)
  fi
  for python in "$@"; do
    if fits "$python" ensurepip,venv; then
      echo "$python"
      return
    fi
  done
  return 1
}

make_venv() {
  local python found
  if python=$(find_python); then
    set -- "$python" -m venv "$venv"
  elif [ -n "${LAUNCH_PYTHON-}" ]; then
    die "LAUNCH_PYTHON must be a Python 3.11 or newer with the module venv, \
got $LAUNCH_PYTHON; leave it out to have one found"
  elif command -v uv >/dev/null; then
    set -- uv venv --quiet --allow-existing --seed --python 3.13 "$venv"
  elif fits python3 sys; then
    die 'python3 lacks the module venv; as root: apt install python3-venv'
  elif found=$(python3 --version 2>/dev/null); then
    die "Python 3.11 or newer is needed, and python3 is $found; \
as root: apt install python3.11-venv (or put uv on the PATH)"
  else
    die "Python 3.11 or newer is needed, and there is no python3; \
as root: apt install python3-venv"
  fi
  rm -rf "$venv"
  mkdir "$venv"
  echo begun >"$stamp"
  "$@" || die "could not make $venv: $* failed"
}

# What an installed environment depends on besides its extras. The path is part
# of it because the install is editable.
environment_key() {
  {
    cd "$here" && pwd && cat setup.cfg pyproject.toml .ci/constraints.txt
    "$venv/bin/python" --version
  } 2>&1 | cksum
}

up_to_date() { # EXTRAS
  local key installed extra
  { read -r key && read -r installed; } 2>/dev/null <"$stamp" || return 1
  [ "$key" = "$(environment_key)" ] || return 1
  for extra in $1; do
    [[ ,$installed, == *,$extra,* ]] || return 1
  done
}

# Installs the package with EXTRAS, and those installed before, unless that is
# done already.
install() { # EXTRAS
  local extras progress=-qq
  if up_to_date "$1"; then return; fi
  # Tasks of one Slurm job may share this folder: one installs, the others wait.
  # pip inherits the lock, so it outlives a launcher that was killed.
  exec 9<>"$here/setup.cfg"
  if command -v flock >/dev/null; then flock 9; fi
  if ! up_to_date "$1"; then
    extras=$(printf '%s\n' $1 $(sed -n 2p "$stamp" 2>/dev/null | tr , ' ') |
      sort -u | paste -sd , -)
    if grep -qsx begun "$stamp" || ! fits "$venv/bin/python" pip; then
      make_venv
    fi
    if [ -t 2 ]; then progress=--progress-bar=on; fi
    set -- ".${extras:+[$extras]}"
    say "installing rethinking${1#.} into $venv (once)"
    # pip turns Ctrl-C into an ordinary failure, half-way through a package.
    trap 'exit 130' INT
    echo begun >"$stamp"
    (
      cd "$here"
      "$venv/bin/python" -m pip install "$progress" \
        --disable-pip-version-check --constraint .ci/constraints.txt \
        --editable "$1" >&2
    ) || {
      rm -f "$stamp"
      die 'pip failed, see above; the same command tries again'
    }
    printf '%s\n%s\n' "$(environment_key)" "$extras" >"$stamp"
    trap - INT
  fi
  exec 9>&-
}

# Prints the extra of the CUDA that is installed already, which newer drivers
# run too, or the newest that all GPUs take.
cuda_extra() {
  local extra=cuda13 gpu capability
  if sed -n 2p "$stamp" 2>/dev/null | tr , '\n' | grep -m 1 '^cuda'; then
    return
  fi
  while read -r gpu; do
    capability=${gpu##* }
    if ! { [ "${gpu%%.*}" -ge 580 ] && [ "${capability/./}" -ge 75 ]; }; then
      extra=cuda12
    fi 2>/dev/null
  done < <(nvidia-smi --query-gpu=driver_version,compute_cap \
    --format=csv,noheader 2>&1)
  echo "$extra"
}

# Prints the extras that this machine and the job's FLAGS ask for.
extras_for() { # FLAGS ...
  local vendor
  if [[ $(nvidia-smi -L 2>/dev/null) == GPU\ * ]]; then cuda_extra; fi
  # Google's network cards carry the same vendor id, so the device decides.
  for vendor in $(grep -lsx 0x1ae0 /sys/bus/pci/devices/*/vendor); do
    if grep -qxE '0x00(27|56|5e|62|63|6f|76)' "${vendor%vendor}device"; then
      echo tpu
      break
    fi
  done
  if [[ "$*" == *gs://* ]]; then echo gcs; fi
}

# --------------------------------------------------------------- this machine

run_job() { # FLAGS ...
  install "$(extras_for "$@")"
  # In place of this shell, so that signals reach the job.
  exec "$venv/bin/python" -m rethinking.main "$@"
}

run_tests() { # FLAGS ...
  local cores
  install "$(extras_for) test"
  cores=$(getconf _NPROCESSORS_ONLN)
  cd "$here"
  exec "$venv/bin/python" -m pytest -n $((cores < 4 ? cores : 4)) \
    -m 'not slow' "$@"
}

help() {
  usage
  echo
  if up_to_date ''; then exec "$venv/bin/python" -m rethinking.main --help; fi
  echo "The job's own flags are listed here once it is installed."
}

# ----------------------------------------------------------------------- modes

for flag in "$@"; do
  case $flag in
    --) break ;;
    --tpu | --tpu=*) . "$tpu_vm" && launch_tpu "$@"; exit ;;
  esac
done
case ${1-} in
  '') usage >&2 && exit 2 ;;
  --help | -h) help ;;
  test) shift && run_tests "$@" ;;
  setup) shift && install "$(extras_for) $*" ;;
  worker) shift && . "$tpu_vm" && work "$@" ;;
  *) run_job "$@" ;;
esac

#!/usr/bin/env bash
# One launcher: a job on this machine, the tests, or a job on every worker of a
# TPU VM. Runs on bash 3.2 and newer, so that a Mac can launch a TPU job.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$here/${LAUNCH_VENV:-.venv}
constraints=.ci/constraints.txt    # The versions that were tested.
stamp=$venv/launch.stamp           # What a finished install holds.
incomplete=$venv/launch.incomplete # There while an install is under way.
remote=rethinking-launch           # Folder in the home of a TPU worker.

usage() {
  cat <<'END'
bash launch.sh [flags of rethinking.main]   run a job on this machine
bash launch.sh test [flags of pytest]       run the tests
bash launch.sh setup [EXTRA ...]            make .venv and stop
bash launch.sh --tpu=NAME --zone=ZONE [--project=P] [--dry-run] -- FLAGS
                                            run a job on all workers of a TPU VM

  bash launch.sh --config=configs/digits.py:random_labels

The first run makes .venv beside this script and installs the package there,
with the extra `cuda` or `tpu` where the machine has one and `gcs` where a flag
names a gs:// path. --dry-run prints every command and runs none.

.venv has the python3 of the PATH; where that is older than 3.11, the newest
python3.X of the PATH; where there is none, what uv brings. LAUNCH_PYTHON names
another, LAUNCH_VENV another folder for it. Packages have the versions of
.ci/constraints.txt.
Exit codes: 0 finished, 1 failed, 2 refused input, 75 stopped and resumable.
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
  touch "$incomplete"
  "$@" || die "could not make $venv: $(quoted "$@") failed"
}

# What an installed environment depends on besides its extras. The path is part
# of it because the install is editable.
environment_key() {
  {
    cat "$here/setup.cfg" "$here/pyproject.toml" "$here/$constraints"
    echo "$here"
    "$venv/bin/python" --version
  } 2>&1 | cksum
}

up_to_date() { # EXTRAS
  local key installed extra
  if [ ! -f "$stamp" ] || [ -e "$incomplete" ]; then return 1; fi
  { read -r key && read -r installed; } <"$stamp" || return 1
  [ "$key" = "$(environment_key)" ] || return 1
  for extra in $1; do
    [[ " $installed " == *" $extra "* ]] || return 1
  done
}

# Installs the package with EXTRAS, and those installed before, unless that is
# done already.
install() { # EXTRAS
  local extras=$1 progress=-qq
  up_to_date "$extras" && return
  # Tasks of one Slurm job may share this folder: one installs, the others wait.
  # pip inherits the lock, so it outlives a launcher that was killed.
  exec 9<>"$here/setup.cfg"
  if command -v flock >/dev/null; then flock 9; fi
  if up_to_date "$extras"; then
    exec 9>&-
    return
  fi
  if [ -f "$stamp" ]; then extras="$(sed -n 2p "$stamp") $extras"; fi
  extras=$(tr ' ' '\n' <<<"$extras" | sort -u | grep . | paste -sd ' ' -) ||
    extras=''
  if [ -e "$incomplete" ] || ! fits "$venv/bin/python" pip; then make_venv; fi
  if [ -t 2 ]; then progress=--progress-bar=on; fi
  say "installing rethinking${extras:+[${extras// /,}]} into $venv (once)"
  # pip turns Ctrl-C into an ordinary failure, half-way through a package.
  trap 'exit 130' INT
  touch "$incomplete"
  rm -f "$stamp"
  (
    cd "$here"
    "$venv/bin/python" -m pip install "$progress" --disable-pip-version-check \
      --constraint "$constraints" --editable ".${extras:+[${extras// /,}]}" >&2
  ) || {
    rm -f "$incomplete"
    die "pip failed, see above; the same command tries again"
  }
  printf '%s\n%s\n' "$(environment_key)" "$extras" >"$stamp"
  rm -f "$incomplete"
  trap - INT
  exec 9>&-
}

# Prints the extras that this machine and the job's FLAGS ask for.
extras_for() { # FLAGS ...
  local vendor device
  if [[ $(nvidia-smi -L 2>/dev/null) == GPU\ * ]]; then echo cuda; fi
  # Google's network cards carry the same vendor id, so the device decides.
  while read -r vendor; do
    read -r device <"${vendor%vendor}device"
    case $device in
      0x0027 | 0x0056 | 0x005e | 0x0062 | 0x0063 | 0x006f | 0x0076)
        echo tpu
        break
        ;;
    esac
  done < <(grep -lsx 0x1ae0 /sys/bus/pci/devices/*/vendor)
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
  if up_to_date ''; then
    exec "$venv/bin/python" -m rethinking.main --help
  fi
  echo "The job's own flags are listed here once it is installed."
}

# --------------------------------------------------- on a worker of a TPU VM

# What one worker does in PHASE. Its `exec` keeps the process id that a stop
# signals.
work_phase() { # PHASE ARGUMENTS ...
  local phase=$1
  shift
  cd "$here"
  case $phase in
    setup)
      # Where the image's Python is too old, uv brings one.
      export PATH=$HOME/.uv/bin:$PATH
      if ! find_python >/dev/null && ! command -v uv >/dev/null; then
        python3 -m pip install --quiet --target "$HOME/.uv" uv
      fi
      install "$(extras_for) $*"
      ;;
    data) exec "$venv/bin/python" -m rethinking.data "$@" ;;
    run) run_job "$@" ;;
  esac
}

# Runs PHASE here: marks each line of output with this worker's number and says
# last how it ended, which is what the launching machine reads.
work() { # PHASE ARGUMENTS ...
  local number code metadata
  metadata=http://metadata.google.internal/computeMetadata/v1
  number=$(curl -fsS -m 10 -H 'Metadata-Flavor: Google' \
    "$metadata/instance/attributes/agent-worker-number") ||
    number=${HOSTNAME##*-w-}
  export PYTHONUNBUFFERED=1
  set +e
  (
    set -e
    echo "$BASHPID" >"$here.pid"
    # A stop takes the archive away and then looks for the process, so whichever
    # comes first here, it is heard.
    if [ ! -e "$here.tar.gz" ]; then
      say "$1 was stopped before it began"
      exit 75
    fi
    work_phase "$@"
  ) 2>&1 | sed -u "s/^/[$number] /"
  code=${PIPESTATUS[0]}
  rm -f "$here.pid"
  # Ended by SIGTERM, which a job hears once it has something to save.
  if [ "$code" = 143 ]; then code=75; fi
  echo "[$number] launch: $1 ended with exit code $code"
  exit "$code"
}

# ------------------------------------------- launching on a TPU VM from outside

# Prints words as a shell would have to read them.
quoted() { # WORDS ...
  local word line='' flag plain='^[A-Za-z0-9_./:=,@%+-]+$'
  for word in "$@"; do
    flag=''
    if [[ $word =~ ^--[a-z_.]+= ]]; then
      flag=${BASH_REMATCH[0]}
      word=${word#"$flag"}
    fi
    line+=${line:+ }$flag
    if [[ $word =~ $plain ]]; then
      line+=$word
    elif [[ $word == *\'* && $word != *[\"\$\`\\!]* ]]; then
      line+=\"$word\"
    else
      line+=\'
      while [[ $word == *\'* ]]; do
        line+=${word%%\'*}"'\''"
        word=${word#*\'}
      done
      line+=$word\'
    fi
  done
  printf '%s\n' "$line"
}

# Prints what the job's FLAGS set the config field KEY to, if they do.
config_field() { # KEY FLAGS ...
  local key=$1 flag value=''
  shift
  for flag in "$@"; do
    if [[ $flag =~ ^--config=.*[:,]$key=([^,]+) ]]; then
      value=${BASH_REMATCH[1]}
    fi
  done
  for flag in "$@"; do
    if [[ $flag == "--config.$key="?* ]]; then value=${flag#*=}; fi
  done
  printf '%s' "$value"
}

# Prints the files that git tracks or would add, else all but what is made here;
# one to a zero byte.
shipped_files() {
  local file
  cd "$here"
  if git ls-files --error-unmatch launch.sh >/dev/null 2>&1; then
    git ls-files -z --cached --others --exclude-standard |
      while IFS= read -r -d '' file; do
        if [ -e "$file" ]; then printf '%s\0' "$file"; fi
      done
  else
    find . \( -name .git -o -name '.venv*' -o -name __pycache__ -o -path ./runs \
      -o -path ./build \) -prune -o -type f -print0
  fi
}

# Asks the workers to save and stop, as Ctrl-C does on one machine. A worker that
# is still being connected to, which may not have the code, finds no archive.
stop_workers() { # THE PHASE'S COMMAND ...
  say 'asking every worker to save and stop; Ctrl-C again leaves them running'
  trap 'exit 130' INT TERM
  "${@:1:$#-1}" --command="rm -f $remote.tar.gz; \
[ ! -e $remote.pid ] || kill -TERM \$(cat $remote.pid)" &
}

# Prints COMMAND, which gcloud carries to WORKERS, runs it unless this is a dry
# run, and says which workers failed. Returns their common exit code, or 1 where
# they have none in common.
on_workers() { # PHASE WORKERS COMMAND ...
  local phase=$1 workers=$2 log=$build/$tpu.$1.log carrier worker code common=0
  shift 2
  quoted "$@"
  if [ -n "$dry_run" ]; then return; fi
  # Before the job, so that no signal finds it running and nobody to stop it.
  trap 'stop_workers "$@"' INT TERM
  # A background job ignores Ctrl-C, which must stop the workers first.
  "$@" 2>&1 | tee "$log" &
  carrier=$!
  while kill -0 "$carrier" 2>/dev/null; do wait "$carrier" || true; done
  trap - INT TERM
  for worker in $workers; do
    code=$(sed -n "s/^\[$worker\] launch: $phase ended with exit code //p" \
      "$log" | tail -n 1)
    if [ "$code" = 0 ]; then continue; fi
    say "worker $worker: $phase failed, ${code:+exit code }${code:-no report}"
    code=${code:-1}
    if [ "$common" != 0 ] && [ "$common" != "$code" ]; then code=1; fi
    common=$code
  done
  return "$common"
}

# Ends a launch whose workers failed, or were stopped, before the job.
not_begun() { # EXIT CODE OF THE WORKERS
  die 'stopped before the job began' $(($1 == 75 ? 75 : 1))
}

# Checks the flags of a TPU job; sets tpu, zone, project, dry_run and job.
parse_tpu() { # FLAGS ...
  local flag config='' workdir='' data_dir multihost=--multihost
  tpu='' zone='' project='' dry_run=''
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    case $1 in
      --tpu=?*) tpu=${1#*=} ;;
      --zone=?*) zone=${1#*=} ;;
      --project=?*) project=${1#*=} ;;
      --dry-run) dry_run=yes ;;
      *) die "unknown launcher flag '$1'; give --tpu=NAME --zone=ZONE \
[--project=P] [--dry-run], then -- and the flags of the job" 2 ;;
    esac
    shift
  done
  if [ -z "$tpu" ] || [ -z "$zone" ]; then
    die 'give both --tpu=NAME and --zone=ZONE' 2
  fi
  for flag in "$@"; do
    case $flag in
      --config=?*) config=$flag ;;
      --workdir=gs://?* | --workdir=/?*) workdir=$flag ;;
      --multihost) multihost='' ;;
    esac
  done
  if [ -z "$config" ]; then
    die 'give the flags of the job after --, --config=FILE among them' 2
  fi
  if [ -z "$workdir" ]; then
    die "the workers share the workdir: give --workdir=gs://BUCKET/FOLDER, or \
the absolute path of a folder that all of them mount" 2
  fi
  job=(${multihost:+"$multihost"} "${@:2}")
  data_dir=$(config_field data_dir "${job[@]}")
  if [[ $data_dir == *://* ]]; then
    die "data_dir is $data_dir, but prepared data is read from a disk: give a \
folder that all workers mount, or none for one on each worker" 2
  fi
}

launch_tpu() { # FLAGS ...
  local dataset data_dir data workers='' count archive code=0
  local tpu zone project dry_run build=$here/build job
  parse_tpu "$@"
  local place=(--zone="$zone" ${project:+"--project=$project"})
  local ssh=(gcloud compute tpus tpu-vm ssh "$tpu" "${place[@]}")
  local work="bash $remote/launch.sh worker"

  echo '# How many workers are there?'
  set -- gcloud compute tpus tpu-vm describe "$tpu" "${place[@]}" \
    --format='value(networkEndpoints.len())'
  quoted "$@"
  if [ -z "$dry_run" ]; then
    command -v gcloud >/dev/null ||
      die 'gcloud is not on the PATH; install the Google Cloud CLI'
    count=$("$@") || die "gcloud cannot describe $tpu in $zone, see above"
    workers=$(seq -s ' ' 0 $((count - 1)))
  fi

  echo '# Ship the files that git tracks or would add.'
  archive=$build/$tpu.tar.gz
  set -- tar -C "$here" -czf "$archive" --null -T "$build/$tpu.files"
  quoted "$@"
  if [ -z "$dry_run" ]; then
    mkdir -p "$build"
    shipped_files >"$build/$tpu.files"
    COPYFILE_DISABLE=1 "$@"
  fi
  set -- gcloud compute tpus tpu-vm scp "$archive" "$tpu:$remote.tar.gz" \
    "${place[@]}" --worker=all
  quoted "$@"
  if [ -z "$dry_run" ] && ! "$@" 2>&1 | tee "$build/$tpu.ship.log"; then
    sed -n 's/.*\(worker [0-9]*\) failed with .*/launch: \1: ship failed/p' \
      "$build/$tpu.ship.log" >&2
    die 'stopped before the job began: the code did not reach every worker'
  fi

  echo '# Make the environment on every worker.'
  set -- setup
  if [[ "${job[*]}" == *gs://* ]]; then set -- setup gcs; fi
  on_workers setup "$workers" "${ssh[@]}" --worker=all \
    --command="mkdir -p $remote && find $remote -mindepth 1 -maxdepth 1 \
! -name .venv -exec rm -rf {} + && tar -xzf $remote.tar.gz -C $remote && \
$work $*" || not_begun $?

  dataset=$(config_field dataset "${job[@]}")
  data_dir=$(config_field data_dir "${job[@]}")
  if [ -z "$dataset" ]; then
    case " ${job[*]}" in
      *' --config='*mnist.py*) dataset=mnist ;;
      *' --config='*cifar.py*) dataset=cifar10 ;;
    esac
  fi
  if [ -n "$dataset" ] && [ "$dataset" != digits ]; then
    data=$(quoted "$dataset" ${data_dir:+"--data_dir=$data_dir"})
    # Of workers that share the folder one prepares it, the others wait.
    echo '# Prepare the data, once on the disk of each worker.'
    on_workers data "$workers" "${ssh[@]}" --worker=all \
      --command="$work data $data" || not_begun $?
  fi

  echo '# Run the job on all workers at once.'
  on_workers run "$workers" "${ssh[@]}" --worker=all \
    --command="$work run $(quoted "${job[@]}")" || code=$?
  if [ "$code" = 75 ]; then
    say 'stopped and resumable: the same command continues the job'
  fi
  return "$code"
}

# ----------------------------------------------------------------------- modes

for flag in "$@"; do
  case $flag in
    --) break ;;
    --tpu | --tpu=*)
      launch_tpu "$@"
      exit
      ;;
  esac
done
case ${1-} in
  '')
    usage >&2
    exit 2
    ;;
  --help | -h) help ;;
  test) shift && run_tests "$@" ;;
  setup) shift && install "$(extras_for) $*" ;;
  worker) shift && work "$@" ;;
  *) run_job "$@" ;;
esac

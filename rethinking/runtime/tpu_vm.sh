# A job on all workers of a TPU VM: what each of them does, and what the machine
# does that launches it through gcloud. Sourced by launch.sh.

# -------------------------------------------------------- on a worker

remote=rethinking-launch # Folder in the home of a worker, and what lies beside.

metadata() { # ATTRIBUTE
  curl -fsS -m 10 -H 'Metadata-Flavor: Google' \
    "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"
}

# Makes the share of this worker, $number.
make_share() { # FLAGS ...
  local workers
  workers=$(metadata worker-network-endpoints | tr , '\n' | grep -c .) ||
    die 'the metadata server does not say how many workers there are'
  # The chips of several workers open together, once all workers ask for them,
  # unless each is told that its own four are all there are.
  if [ "$workers" -gt 1 ]; then
    export TPU_PROCESS_BOUNDS=1,1,1 TPU_CHIPS_PER_PROCESS_BOUNDS=2,2,1 \
      TPU_VISIBLE_CHIPS=0,1,2,3 CLOUD_TPU_TASK_ID=0
  fi
  run_job --shard="$number/$workers" "$@"
}

# Does PHASE of the job here: marks each line of output with this worker's
# number and says last how it ended, which is what the launching machine reads.
work() { # PHASE FLAGS ...
  local phase=$1 number code
  shift
  number=$(metadata agent-worker-number) || number=${HOSTNAME##*-w-}
  export PYTHONUNBUFFERED=1
  set +e
  (
    set -e
    # An `exec` below keeps the process id, so that a stop signals the job.
    echo "$BASHPID" >"$here.pid"
    # A stop takes the archive away and then looks for the process, so whichever
    # comes first here, it takes effect.
    if [ ! -e "$here.tar.gz" ]; then
      die "$phase was stopped before it began" 75
    fi
    cd "$here"
    case $phase in
      setup)
        # Where the image's Python is too old, uv brings one.
        export PATH=$HOME/.uv/bin:$PATH
        if ! find_python >/dev/null && ! command -v uv >/dev/null; then
          python3 -m pip install --quiet --target "$HOME/.uv" uv
        fi
        install "$(extras_for "$@")"
        ;;
      data) exec "$venv/bin/python" -m rethinking.data "$@" ;;
      run) run_job "$@" ;;
      share) make_share "$@" ;;
    esac
  ) 2>&1 | sed -u "s/^/[$number] /"
  code=${PIPESTATUS[0]}
  rm -f "$here.pid"
  # Ended by SIGTERM, which a job handles once it has something to save.
  if [ "$code" = 143 ]; then code=75; fi
  echo "[$number] launch: $phase ended with exit code $code"
  exit "$code"
}

# -------------------------------------------------------- from outside

# Prints words as a shell would have to read them.
quoted() { # WORDS ...
  local word rest line=''
  for word in "$@"; do
    if [[ ! $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]]; then
      rest=$word word=''
      while [[ $rest == *\'* ]]; do
        word+=${rest%%\'*}"'\''"
        rest=${rest#*\'}
      done
      word=\'$word$rest\'
    fi
    line+=${line:+ }$word
  done
  printf '%s\n' "$line"
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
    find . \( -name .git -o -name '.venv*' -o -name __pycache__ -o \
      -path ./runs -o -path ./build \) -prune -o -type f -print0
  fi
}

# Asks the workers to save and stop, as Ctrl-C does on one machine. One that is
# still being connected to, which may not have the code, finds no archive.
stop_workers() {
  say 'asking every worker to save and stop; Ctrl-C again leaves them running'
  trap 'exit 130' INT TERM
  "${ssh[@]}" --worker="$address" --command="rm -f $remote.tar.gz; \
[ ! -e $remote.pid ] || kill -TERM \$(cat $remote.pid)" &
}

# Prints what gcloud carries to the workers to do PHASE of the job, does it
# unless this is a dry run, and says which workers failed, which it drops.
# Returns their common exit code, or 1 where they have none in common.
on_workers() { # PHASE [COMMAND TO BEGIN WITH]
  local phase=$1 log=$build/$tpu.$1.log carrier worker code common=0 failed=''
  set -- "${ssh[@]}" --worker="$address" --command="${2-}\
bash $remote/launch.sh worker $phase $(quoted "${job[@]}")"
  quoted "$@"
  if [ -n "$dry_run" ]; then return; fi
  # Before the job, so that a signal never finds a job that nothing would stop.
  trap stop_workers INT TERM
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
    failed+=" $worker" code=${code:-1}
    if [ "$common" != 0 ] && [ "$common" != "$code" ]; then code=1; fi
    common=$code
  done
  drop $failed
  return "$common"
}

# Leaves WORKERS out of $workers, and out of what is asked from now on.
drop() { # WORKERS
  local worker left=''
  for worker in $workers; do
    if [[ " $* " != *" $worker "* ]]; then left+=${left:+ }$worker; fi
  done
  if [ "$left" != "$workers" ]; then address=${left// /,}; fi
  workers=$left
}

# Ends a launch whose workers failed, or were stopped, before the job. One of
# shares goes on with the workers that are left.
not_begun() { # EXIT CODE OF THE WORKERS [WHY]
  if [ -z "$shard" ] || [ -z "$workers" ] || [ "$1" = 75 ]; then
    die "stopped before the job began${2-}" $(($1 == 75 ? 75 : 1))
  fi
  lost=yes
}

launch_tpu() { # FLAGS ...
  local tpu='' zone='' project='' shard='' dry_run='' config='' workdir='' flag
  local multihost=--multihost job place ssh workers='' address=all lost=''
  local build=$here/build archive code=0
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    case $1 in
      --tpu=?*) tpu=${1#*=} ;;
      --zone=?*) zone=${1#*=} ;;
      --project=?*) project=$1 ;;
      --shard) shard=yes multihost='' ;;
      --dry-run) dry_run=yes ;;
      *) die "unknown launcher flag '$1'; give --tpu=NAME --zone=ZONE \
[--project=P] [--shard] [--dry-run], then -- and the flags of the job" 2 ;;
    esac
    shift
  done
  if [ -z "$tpu" ] || [ -z "$zone" ]; then
    die 'give both --tpu=NAME and --zone=ZONE' 2
  fi
  for flag in "$@"; do
    case $flag in
      --config*data_dir=*://*)
        die "data_dir must be a folder on a disk, got '$flag'; try one that \
all workers mount, or none to have one on each" 2
        ;;
      --config=?*) config=$flag ;;
      --workdir=gs://?* | --workdir=/?*) workdir=$flag ;;
      --multihost)
        multihost=''
        if [ -n "$shard" ]; then
          die '--shard goes without --multihost; leave one of them out' 2
        fi
        ;;
      --shard | --shard=*)
        die "each worker counts its share, got '$flag'; try --shard before the \
--" 2
        ;;
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
  place=("--zone=$zone" ${project:+"$project"})
  ssh=(gcloud compute tpus tpu-vm ssh "$tpu" "${place[@]}")

  echo '# How many workers are there?'
  set -- gcloud compute tpus tpu-vm describe "$tpu" "${place[@]}" \
    --format='value(networkEndpoints.len())'
  quoted "$@"
  if [ -z "$dry_run" ]; then
    command -v gcloud >/dev/null ||
      die 'gcloud is not on the PATH; install the Google Cloud CLI'
    workers=$("$@") || die "gcloud cannot describe $tpu in $zone, see above"
    workers=$(seq -s ' ' 0 $((workers - 1)))
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
    set -- $(sed -n 's/.*worker \([0-9]*\) failed with .*/\1/p' \
      "$build/$tpu.ship.log")
    for flag in "$@"; do say "worker $flag: ship failed"; done
    drop ${*:-$workers}
    not_begun 1 ': the code did not reach every worker'
  fi

  echo '# Make the environment on every worker.'
  on_workers setup "mkdir -p $remote && find $remote -mindepth 1 -maxdepth 1 \
! -name .venv -exec rm -rf {} + && tar -xzf $remote.tar.gz -C $remote && " ||
    not_begun $?
  # Of workers that share the folder one prepares it, the others wait.
  echo '# Prepare the data that the job reads, once on the disk of each worker.'
  on_workers data || not_begun $?
  if [ -n "$shard" ]; then
    echo '# Make the shares, each worker its own.'
    on_workers share || code=$?
  else
    echo '# Run the job on all workers at once.'
    on_workers run || code=$?
  fi
  if [ -n "$lost" ] && [ "$code" = 0 ]; then code=1; fi
  if [ "$code" = 75 ]; then
    say 'stopped and resumable: the same command continues the job'
  elif [[ -n $shard && $code != [02] ]]; then
    say 'what failed is left; the same command makes it, on this TPU or another'
  fi
  return "$code"
}

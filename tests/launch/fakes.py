"""The launcher on a machine where Python, gcloud and the network are fakes."""

import pathlib
import shutil
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = (
  "launch.sh",
  "setup.cfg",
  "pyproject.toml",
  ".ci/constraints.txt",
  "rethinking/runtime/tpu_vm.sh",
)
TOOLS = (
  "bash cat cksum curl dirname env find flock getconf git grep gzip kill ls "
  "mkdir paste rm sed seq sleep sort tail tar tee touch tr"
).split()

# Answers as an interpreter would, keeps what it was asked in $LOG, and puts a
# copy of itself where an environment is made.
PYTHON = r"""#!/usr/bin/env bash
case "$*" in
  --version) echo "Python ${FAKE_VERSION:-3.11.2}" ;;
  *version_info*)
    [ "${FAKE_VERSION:-3.11.2}" != 3.10.12 ] || exit 1
    [[ $* != *ensurepip* || -z ${FAKE_NO_VENV-} ]]
    ;;
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
  '-m pip install '*' --constraint .ci/constraints.txt --editable '*)
    [ -f .ci/constraints.txt ] || exit
    echo "pip ${!#}" >>"$LOG"
    sleep "${FAKE_PIP_SECONDS:-0}"
    exit "${FAKE_PIP_CODE:-0}"
    ;;
  *)
    { printf 'run'; printf ' <%s>' "$@"; echo; } >>"$LOG"
    env | grep -E '^(CLOUD_)?TPU_' | sort >>"$LOG"
    echo "hello from $PWD"
    if [ "$2" = "rethinking.${FAKE_WAIT-}" ]; then
      trap 'exit 75' TERM
      echo "$$" >"$LOG.waiting"
      while :; do sleep 0.05; done
    fi
    [ "$2" = "rethinking.${FAKE_MODULE:-main}" ] || exit 0
    [ "${FAKE_WORKER-0}" != "${FAKE_FAILS-}" ] || exit "${FAKE_CODE:-1}"
    exit "${FAKE_EXIT:-0}"
    ;;
esac
"""

# Carries files and commands to two folders that stand for two workers.
GCLOUD = r"""#!/usr/bin/env bash
{ printf 'gcloud'; printf ' <%s>' "$@"; echo; } >>"$GCLOUD_LOG"
for word in "$@"; do
  case $word in
    --command=*) command=${word#*=} ;;
    --worker=*) asked=${word#*=} ;;
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
  [[ $asked = all || ,$asked, = *,$worker,* ]] || continue
  (
    export FAKE_WORKER=$worker HOME=$WORKERS/$worker LOG=$WORKERS/$worker.log
    if [ "$verb:$worker" = "${FAKE_UNREACHED-}" ]; then
      echo "##### Command execution on worker $worker failed with exit status \
255. Continuing." >&2
      exit 255
    fi
    if [[ " ${FAKE_SLOW-} " == *" $worker "* &&
      ${command-} == *"worker $FAKE_PHASE"* ]]; then
      echo yes >"$LOG.connecting"
      while [ ! -e "$LOG.connect" ]; do sleep 0.05; done
    fi
    work
  ) &
  jobs+=($!)
done
code=0
for job in "${jobs[@]}"; do wait "$job" || code=$?; done
exit $code
"""

# The metadata server of a worker.
CURL = r"""#!/usr/bin/env bash
case $* in
  *agent-worker-number) printf "$FAKE_WORKER" ;;
  *worker-network-endpoints) printf 'a:b:10.0.0.2,a:b:10.0.0.3' ;;
esac
"""


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
    for name in FILES:
      (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
      shutil.copy(ROOT / name, self.tree / name)
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
    # A shell's background jobs, these tests perhaps among them, ignore Ctrl-C,
    # and so would all that they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
      process = subprocess.Popen(
        ["bash", str(self.tree / "launch.sh"), *args],
        cwd=self.folder,
        env=self.env | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
      )
    finally:
      signal.signal(signal.SIGINT, before)
    self.started.append(process)
    return process

  def launch(self, *args: str, **env: str) -> subprocess.CompletedProcess:
    process = self.start(*args, **env)
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(args, process.returncode, out, err)

  def lines(self, start: str = "") -> list[str]:
    if not self.log.exists():
      return []
    return [s for s in self.log.read_text().splitlines() if s.startswith(start)]

  def wait_for(self, path: pathlib.Path) -> str:
    deadline = time.monotonic() + 300
    while not (path.exists() and path.read_text()):
      if time.monotonic() > deadline:
        raise TimeoutError(f"{path} did not appear")
      time.sleep(0.01)
    return path.read_text().strip()

  def wait_for_no(self, path: pathlib.Path) -> None:
    deadline = time.monotonic() + 300
    while path.exists():
      if time.monotonic() > deadline:
        raise TimeoutError(f"{path} did not go")
      time.sleep(0.01)

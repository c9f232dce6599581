"""Shares of a sweep on all workers of a TPU VM, through the fake gcloud."""

import fakes
import pytest
from tpu_test import JOB, TPU

SHARE = (*TPU, "--shard", "--", *JOB)


def _share(worker):
  """What a worker runs for its share: its own chips are all that it opens."""
  flags = "".join(f" <{word}>" for word in (f"--shard={worker}/2", *JOB))
  return (
    f"run <-m> <rethinking.main>{flags}\n"
    "CLOUD_TPU_TASK_ID=0\n"
    "TPU_CHIPS_PER_PROCESS_BOUNDS=2,2,1\n"
    "TPU_PROCESS_BOUNDS=1,1,1\n"
    "TPU_VISIBLE_CHIPS=0,1,2,3\n"
  )


def test_each_worker_makes_its_own_share(cloud):
  dry = cloud.launch(*SHARE[:-4], "--dry-run", *SHARE[-4:])
  result = cloud.launch(*SHARE)
  assert result.returncode == 0, result.stderr
  data = "".join(f" <{word}>" for word in JOB)
  for worker in "01":
    log = (cloud.folder / "workers" / f"{worker}.log").read_text()
    assert log.endswith(f"run <-m> <rethinking.data>{data}\n{_share(worker)}")
  ran = result.stdout.splitlines()
  assert [s for s in ran if s in dry.stdout.splitlines()] == (
    dry.stdout.splitlines()
  )


def test_of_one_worker_the_chips_are_as_they_are(cloud):
  cloud.add("gcloud", fakes.GCLOUD.replace("echo 2", "echo 1"))
  cloud.add("curl", fakes.CURL.replace(",a:b:10.0.0.3", ""))
  result = cloud.launch(*SHARE)
  assert result.returncode == 0, result.stderr
  log = (cloud.folder / "workers" / "0.log").read_text()
  assert "<--shard=0/1>" in log
  assert "TPU_" not in log


@pytest.mark.parametrize(
  ("env", "says"),
  [
    ({"FAKE_UNREACHED": "scp:1"}, "ship failed"),
    ({"FAKE_UNREACHED": "ssh:1"}, "setup failed, no report"),
    (
      {"FAKE_FAILS": "1", "FAKE_CODE": "3", "FAKE_MODULE": "data"},
      "data failed, exit code 3",
    ),
    ({"FAKE_FAILS": "1", "FAKE_CODE": "1"}, "share failed, exit code 1"),
  ],
)
def test_a_dead_worker_costs_its_share_only(cloud, env, says):
  result = cloud.launch(*SHARE, **env)
  assert result.returncode == 1
  assert result.stderr.splitlines() == [
    f"launch: worker 1: {says}",
    "launch: what failed is left; the same command makes it, on this TPU or "
    "another",
  ]
  assert "[0] launch: share ended with exit code 0" in result.stdout
  log = (cloud.folder / "workers" / "0.log").read_text()
  assert log.endswith(_share("0"))
  # It is asked for nothing more.
  asked = (cloud.folder / "gcloud.log").read_text().splitlines()
  last = "<--worker=all>" if "share" in says else "<--worker=0>"
  assert last in asked[-1]
  assert cloud.launch(*SHARE).returncode == 0


@pytest.mark.parametrize("verb", ["scp", "ssh"])
@pytest.mark.parametrize("named", ["worker $worker failed with", "all failed,"])
def test_without_any_worker_there_is_no_share(cloud, verb, named):
  gcloud = fakes.GCLOUD.replace("$verb:$worker", "$verb:1")
  cloud.add("gcloud", gcloud.replace("worker $worker failed with", named))
  result = cloud.launch(*SHARE, FAKE_UNREACHED=f"{verb}:1")
  assert result.returncode == 1
  assert "stopped before the job began" in result.stderr
  assert ("worker setup" in result.stdout) == (verb == "ssh")
  assert "worker data" not in result.stdout


def test_stopping_the_launcher_stops_the_shares(cloud):
  process = cloud.start(*SHARE, FAKE_WAIT="main")
  for worker in "01":
    cloud.wait_for(cloud.folder / "workers" / f"{worker}.log.waiting")
  process.terminate()
  _, err = process.communicate(timeout=300)
  assert process.returncode == 75, err
  assert "the same command continues the job" in err.splitlines()[-1]

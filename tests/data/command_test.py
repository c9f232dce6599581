"""`python -m rethinking.data` with the flags of a job."""

import pathlib
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_CODE = """
from rethinking.data import __main__ as command
command.preparation.prepare = lambda name, root: root / name
command.main()
"""
_OTHERS = ("--multihost", "--workdir=gs://b/r", "--a=two  words", "*", "")


def _run(*flags):
  return subprocess.run(
    [sys.executable, "-c", _CODE, *flags, *_OTHERS],
    cwd=_ROOT,
    capture_output=True,
    text=True,
  )


@pytest.mark.parametrize(
  ("flags", "prepared"),
  [
    (
      ["--config=configs/digits.py:random_labels"],
      "digits: nothing to prepare",
    ),
    (
      ["--config=configs/cifar.py:random_labels,dataset=cifar100,p=1"],
      "cifar100: /data/cifar100",
    ),
    (
      ["--config=configs/mnist.py", "--config.data_dir=/mnt/my data"],
      "mnist: /mnt/my data/mnist",
    ),
    (
      ["--config=configs/mnist.py", "--config.dataset", "fashion_mnist"],
      "fashion_mnist: /data/fashion_mnist",
    ),
  ],
)
def test_the_data_prepared_is_what_the_job_reads(flags, prepared, monkeypatch):
  monkeypatch.setenv("TFDS_DATA_DIR", "/data")
  result = _run(*flags)
  assert result.returncode == 0, result.stderr
  assert result.stdout.splitlines()[0] == prepared


def test_a_mistake_in_the_config_is_a_line():
  result = _run("--config=configs/mnist.py", "--config.datset=cifar10")
  assert result.returncode == 2
  assert result.stderr.startswith("error: field must be one of ")
  assert result.stderr.endswith("got 'datset'; did you mean 'dataset'?\n")
  assert len(result.stderr.splitlines()) == 1

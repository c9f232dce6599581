"""The benchmark counts right and runs; it asserts no time."""

import json

import pytest

from rethinking.benchmark import __main__ as command
from rethinking.benchmark import operations, steps, timing


@pytest.mark.parametrize(
  ("arch", "millions"),
  [
    ("inception", 1225.3),
    ("inception_no_bn", 1225.3),
    ("alexnet", 150.7),
    ("seed_cifar_cnn", 237.0),
    ("mlp_1x512", 4.85),
  ],
)
def test_operations_of_a_training_step(arch, millions):
  found = operations.per_image(arch, steps.SHAPES[arch])
  assert found["training"] / 1e6 == pytest.approx(millions, rel=1e-3)


def test_operations_by_hand():
  """28x28x3 to 512 to 10: one product each, the first without its input's."""
  found = operations.per_image("mlp_1x512", (28, 28, 3))
  first, last = 2 * 2352 * 512, 2 * 512 * 10
  assert found == {
    "forward": first + last,
    "training": 2 * first + 3 * last,
  }


def test_contenders_take_turns():
  calls = []
  taken = timing.interleaved(
    {name: lambda n, name=name: calls.append((name, n)) for name in "ab"},
    rounds=3,
    seconds=0,
  )
  assert [name for name, _ in calls] == list("aabb") + list("ab") * 3
  assert {len(found["all"]) for found in taken.values()} == {3}


def test_summary():
  assert timing.summary([3, 1, 10]) == {
    "median": 3,
    "low": 1,
    "high": 10,
    "all": [3, 1, 10],
  }


def test_command(tmp_path, capsys):
  code = command.main(
    ["digits_cnn", "--rounds=1", "--seconds=0", f"--out={tmp_path}"]
  )
  assert code == 0
  assert "digits_cnn" in capsys.readouterr().out
  found = json.loads((tmp_path / "benchmark.json").read_text())
  assert found["models"]["digits_cnn"]["training"]["jax"]["median"] > 0
  assert found["limits"]["copy_bytes_per_second"]["median"] > 0
  assert (tmp_path / "benchmark.svg").exists()


@pytest.mark.parametrize(
  ("arguments", "message"),
  [(["foo"], "Unknown part 'foo'"), (["data", "--rounds=0"], "1 or more")],
)
def test_bad_arguments(arguments, message, tmp_path, capsys):
  assert command.main([*arguments, f"--out={tmp_path}"]) == 2
  assert message in capsys.readouterr().err

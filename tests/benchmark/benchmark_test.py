"""The benchmark counts right and runs; it asserts no time."""

import contextlib
import json
import os
import time
from concurrent.futures.process import BrokenProcessPool

import pytest

from rethinking import corruptions, models
from rethinking.benchmark import __main__ as command
from rethinking.benchmark import (
  corruption,
  operations,
  parts,
  steps,
  subprocesses,
  timing,
)
from rethinking.corruptions import Corruption


@pytest.mark.parametrize(
  ("arch", "millions"),
  [
    ("inception", 1225.3),
    ("inception_no_bn", 1225.3),
    ("alexnet", 150.7),
    ("keras_cifar_cnn", 316.8),
  ],
)
def test_operations(arch, millions):
  """Published counts take every layer's backward pass as two forward ones."""
  found = operations.per_image(arch, models.ARCHITECTURES[arch].image)
  assert 3 * found["forward"] / 1e6 == pytest.approx(millions, rel=1e-3)
  assert found["training"] < 3 * found["forward"]


@pytest.mark.parametrize(
  ("arch", "parameters"),
  [
    ("mlp_1x512", 1_209_866),
    ("mlp_3x512", 1_735_178),
    ("keras_cifar_cnn", 1_184_426),
    ("alexnet", 1_387_786),
    ("inception", 1_649_402),
    ("inception_no_bn", 1_649_402),
    ("wide_resnet_28_1", 369_498),
  ],
)
def test_torch_models_are_the_same_size(arch, parameters):
  torch = pytest.importorskip("torch", reason="pip install rethinking[bench]")
  from rethinking.benchmark import torch_models

  shape = models.ARCHITECTURES[arch].image
  model = torch_models.create(arch, shape)
  assert sum(p.numel() for p in model.parameters()) == parameters
  images = torch.zeros(2, shape[2], *shape[:2])
  assert model(images).shape == (2, 10)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_torch_trains(dtype):
  torch = pytest.importorskip("torch", reason="pip install rethinking[bench]")
  from rethinking.benchmark import torch_steps

  seen = set()

  def watch(module, inputs, output):
    if isinstance(module, torch.nn.Linear):
      seen.add(str(output.dtype))

  hook = torch.nn.modules.module.register_module_forward_hook(watch)
  try:
    for kind in torch_steps.kinds():
      train, evaluate = torch_steps.contender(
        "mlp_1x512", (8, 8, 1), 4, dtype, kind
      )
      # A model is made by calling it, in float32.
      seen.clear()
      train(2)
      evaluate(1)
      assert seen == {f"torch.{dtype}"}
  finally:
    hook.remove()


def test_operations_by_hand():
  """28x28x3 to 512 to 10: one product each, the first without its input's."""
  found = operations.per_image("mlp_1x512", (28, 28, 3))
  first, last = 2 * 2352 * 512, 2 * 512 * 10
  assert found == {
    "forward": first + last,
    "training": 2 * first + 3 * last,
  }


def test_work_is_done_in_another_process():
  calls = [time.sleep, os._exit]
  with subprocesses.functions("builtins", "tuple", (calls,)) as (sleep, end):
    sleep(0)
    with pytest.raises(ValueError, match="non-negative"):
      sleep(-1)
    with pytest.raises(BrokenProcessPool):
      end(0)


def test_a_contender_that_fails_is_left_out_and_said(monkeypatch):
  @contextlib.contextmanager
  def functions(module, make, arguments):
    def fail(count):
      raise RuntimeError("no C compiler\nby torch")

    kind = arguments[-1]
    yield [fail if kind == "compiled" else lambda count: None] * 2

  monkeypatch.setattr(steps, "_torch_kinds", lambda arch: ("nchw", "compiled"))
  monkeypatch.setattr(steps.subprocesses, "functions", functions)
  found = steps.measure("mlp_1x512", 64, "float32", 1, 0)
  assert [*found["training"]] == ["jax", "torch_nchw"]
  assert found["failed"] == {"torch_compiled": "no C compiler"}


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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_command(tmp_path, capsys, dtype):
  code = command.main(
    [
      *("digits_cnn", "--rounds=1", "--seconds=0", f"--out={tmp_path}"),
      *("--batch_size=64", f"--dtype={dtype}"),
    ]
  )
  assert code == 0
  printed = capsys.readouterr().out
  # A row of the table.
  assert "\ndigits_cnn  " in printed
  assert f"batch 64, {dtype}" in printed and f"({dtype} product)" in printed
  found = json.loads((tmp_path / "benchmark.json").read_text())
  assert found["models"]["digits_cnn"]["training"]["jax"]["median"] > 0
  assert found["limits"]["copy_bytes_per_second"]["median"] > 0
  assert (tmp_path / "benchmark.svg").exists()


def test_predictions_are_timed_on_the_whole_test_set(monkeypatch):
  monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
  seen = {}

  def calls(functions, rounds, seconds):
    seen.update({name: function() for name, function in functions.items()})
    return {}

  monkeypatch.setattr(timing, "calls", calls)
  assert parts.predict(1) == {"dataset": "digits", "arch": "mlp_1x512"}
  assert seen["evaluation_seconds"].prediction.shape == (1, 360)
  assert seen["predict_seconds"].shape == (360, 10)


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["foo"], "got 'foo'; try one of these"),
    (["data", "--rounds=0"], "--rounds must be at least 1, got 0"),
    (["digits_cnn", "--batch_size=6"], "a multiple of 4"),
  ],
)
def test_bad_arguments(arguments, message, tmp_path, capsys):
  assert command.main([*arguments, f"--out={tmp_path}"]) == 2
  assert message in capsys.readouterr().err


def test_every_corruption_is_measured_of_a_set(monkeypatch):
  monkeypatch.setattr(corruption, "_EXAMPLES", 40)
  monkeypatch.setattr(corruption, "_in_step", lambda *_: {})
  monkeypatch.setattr(corruption.subprocesses, "call", lambda _: 0)
  found = corruption.measure(1)
  assert {f"{name} (s)" for name in corruptions.DEFINITIONS} < found.keys()


@pytest.mark.parametrize(
  ("name", "kinds"),
  [("uniform", ["training"]), ("occlusion", ["training", "evaluation"])],
)
def test_a_corruption_is_compared_with_none_in_the_step(
  monkeypatch, name, kinds
):
  monkeypatch.setattr(corruption, "_SECONDS", 0)
  one = Corruption.create(name, level=0.4)
  found = corruption._in_step(one, 2)
  want = [f"{name}, mlp_1x512's {k} over clean (ratio)" for k in kinds]
  assert [*found] == want
  for ratios in found.values():
    assert len(ratios["all"]) == 2 and min(ratios["all"]) > 0

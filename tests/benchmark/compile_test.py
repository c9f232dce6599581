"""Programs compiled for accelerators that are not here, and what is said."""

import importlib.util
import json

import jax
import jax.numpy as jnp
import pytest

from rethinking.benchmark import __main__ as command
from rethinking.benchmark import chips, compiled


def test_loops_and_sums_over_devices_are_counted():
  """Of a real program, whose loop over steps holds another."""

  def inner(i, x):
    return x + jax.lax.psum(jnp.sin(x), "batch")

  def step(i, x):
    return jax.lax.fori_loop(0, jnp.int32(x[0]), inner, x * 2)

  program = jax.pmap(
    lambda x: jax.lax.fori_loop(0, 9, step, x), axis_name="batch"
  )
  found = compiled.describe(program.lower(jnp.ones((4, 8))).compile())
  assert found["nested_loops"] == 1
  assert found["all_reduces"] == 0 and found["cycles"] == 0
  flat = jax.pmap(
    lambda x: jax.lax.fori_loop(0, 9, inner, x), axis_name="batch"
  )
  found = compiled.describe(flat.lower(jnp.ones((4, 8))).compile())
  assert found["nested_loops"] == 0 and found["all_reduces"] == 1
  assert found["arguments"] == 32


_TEXT = """HloModule jit_f, is_scheduled=true

%body (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  %f = f32[8]{0} fusion(%a), backend_config={"estimated_cycles":"30"}
  %g = f32[8]{0} gather(%f, %a), slice_sizes={1}
  %i = s32[]{:T(128)} add(%a, %a)
  %s = f32[8]{0} copy-done(%g)
  %k = f32[8]{0} custom-call(%g), custom_call_target="Sort"
  ROOT %r = f32[8]{0} fusion(%k), backend_config={"estimated_cycles":"12"}
}

ENTRY %main (b: f32[8]) -> f32[8] {
  %b = f32[8]{0} parameter(0)
  %c = f32[8]{0} copy(%b), backend_config={"estimated_cycles":"7"}
  ROOT %w = f32[8]{0} while(%c), condition=%test, body=%body
}
"""


class _Program:
  """What XLA shows of a TPU's program."""

  def as_text(self):
    return _TEXT

  def memory_analysis(self):
    return jax.jit(lambda x: x).lower(1.0).compile().memory_analysis()


def test_estimates_are_those_of_the_loop_and_of_what_is_beside_it():
  found = compiled.describe(_Program())
  assert found["cycles"] == 42 and found["outside"] == 7
  assert found["unknown"] == {"gather": 1, "custom-call Sort": 1}


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["mlp_1x51"], "got 'mlp_1x51'; did you mean 'mlp_1x512'?"),
    (["--topology=v5"], "got 'v5'; did you mean 'v5p'?"),
    (["--fast"], "unrecognized arguments: --fast; see --help"),
    ([], "got none of libtpu; try pip install 'rethinking[tpu]'"),
  ],
)
def test_a_mistake_is_one_line(
  monkeypatch, tmp_path, capsys, arguments, message
):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  out = tmp_path / "out"
  assert command.main(["compile", *arguments, f"--out={out}"]) == 2
  error = capsys.readouterr().err
  assert message in error and error.count("\n") == 1
  assert not out.exists()


@pytest.mark.tpu
def test_small_programs_compile_and_fit(tmp_path):
  pytest.importorskip("libtpu", reason="pip install rethinking[tpu]")
  archs = ("mlp_1x512", "digits_cnn")
  arguments = [*archs, "--topology=v5e:2x2", f"--out={tmp_path}"]
  assert command.main(["compile", *arguments]) == 0
  found = json.loads((tmp_path / "compile.json").read_text())
  rows = found["chips"]["v5e"]
  for name, row in rows.items():
    assert row["temporaries"] <= 50 * 2**20, name
    # A convolution of several runs is a loop over them.
    assert row["nested_loops"] == 0 or name.endswith("8 runs"), name
  step = rows["mlp_1x512, train"]["cycles"] / chips.CHIPS["v5e"].hertz
  assert 0 < step <= 55e-6
  reduces = [rows[f"{x}, train on 4"]["all_reduces"] for x in archs]
  assert min(reduces) > 0

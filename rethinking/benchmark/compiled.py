"""What XLA says of a compiled program: memory, estimates, loops."""

import collections
import re
from typing import Any, NamedTuple

import jax

# Of no cost, or of scalars alone.
_FREE = {
  "bitcast", "constant", "get-tuple-element", "parameter", "partition-id",
  "replica-id", "tuple",
}  # fmt: skip
_COMPUTATION = re.compile(r"(?:ENTRY )?%?([\w.\-]+) .*\{$")
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%[\w.\-]+ = (.+?) ([\w\-]+)\(")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_BODY = re.compile(r"\bbody=%([\w.\-]+)")
_TARGET = re.compile(r'custom_call_target="([^"]+)"')
_ALL_REDUCE = re.compile(r"all-reduce(-start)?$")


class _Computation(NamedTuple):
  cycles: int
  unknown: collections.Counter
  bodies: list[str]
  all_reduces: int


def describe(program: jax.stages.Compiled) -> dict[str, Any]:
  """Returns what is known of a program without running it.

  Args:
    program: for any platform.

  Returns:
    `arguments`, `temporaries` and `code` in bytes; of its outermost loop's
    body, or of all where there is none, the estimated `cycles` (0: none), the
    operations `unknown` to the estimate with their count, `all_reduces`, and
    `nested_loops` in it; `outside`, the cycles of a dispatch beside the loop.
  """
  memory = program.memory_analysis()
  computations = _parse(program.as_text())
  entry = computations.pop("ENTRY")
  step, outside = entry, 0
  if entry.bodies:
    # The loop over steps or batches does most of the work.
    step = max((computations[b] for b in entry.bodies), key=lambda c: c.cycles)
    outside = entry.cycles
  return {
    "arguments": memory.argument_size_in_bytes,
    "temporaries": memory.temp_size_in_bytes,
    "code": memory.generated_code_size_in_bytes,
    "cycles": step.cycles,
    "outside": outside,
    "unknown": dict(step.unknown.most_common()),
    "all_reduces": step.all_reduces,
    "nested_loops": len(step.bodies),
  }


def _parse(text: str) -> dict[str, _Computation]:
  """The computations of a program by name; the first one is `ENTRY`."""
  found: dict[str, _Computation] = {}
  for line in text.splitlines():
    start = _COMPUTATION.match(line)
    if start and not line.startswith(" "):
      name = "ENTRY" if line.startswith("ENTRY") else start[1]
      found[name] = _Computation(0, collections.Counter(), [], 0)
      continue
    instruction = _INSTRUCTION.match(line)
    if instruction is None:
      continue
    shape, operation = instruction.groups()
    current = found[name]
    cycles = _CYCLES.search(line)
    if body := _BODY.search(line):
      current.bodies.append(body[1])
    reduces = current.all_reduces + bool(_ALL_REDUCE.match(operation))
    found[name] = current._replace(
      cycles=current.cycles + int(cycles[1] if cycles else 0),
      all_reduces=reduces,
    )
    free = operation in _FREE or operation.endswith("-done") or "[]" in shape
    if cycles is None and not free:
      if target := _TARGET.search(line):
        operation = f"custom-call {target[1]}"
      current.unknown[operation] += 1
  return found

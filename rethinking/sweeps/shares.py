"""Which of N shares makes which runs of a sweep."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from rethinking.runtime.errors import UserError
from rethinking.sweeps import groups
from rethinking.training import programs
from rethinking.training import task as task_lib


class Share(NamedTuple):
  """The `index`-th of `count` shares, from 0."""

  index: int
  count: int

  def __str__(self) -> str:
    return f"{self.index}/{self.count}"


class Dealt(NamedTuple):
  """What a share makes.

  Attributes:
    groups: names of runs, those together that are never parted.
    cost: what they take, in parameters times examples.
  """

  groups: list[list[str]]
  cost: float


def parse(text: str, environment: Mapping[str, str]) -> tuple[Share, str]:
  """Reads which share is asked for.

  Args:
    text: I/N, or "auto".
    environment: variables, which "auto" reads: a Slurm array's, or those of a
      TPU's worker.

  Returns:
    The share, and where it was read.

  Raises:
    UserError: for another text, an I that is not below N, an array that does
      not count from 0, or no variables.
  """
  if text != "auto":
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if match is None or not int(match[1]) < int(match[2]):
      raise UserError(
        f"--shard must be I/N with I from 0 to N - 1, got {text!r}; try 0/8, "
        "or auto in a Slurm array."
      )
    return Share(int(match[1]), int(match[2])), "the flag"
  if "SLURM_ARRAY_TASK_ID" in environment:
    return _of_slurm(environment), "SLURM_ARRAY_TASK_ID"
  if "TPU_WORKER_ID" in environment:
    hosts = environment.get("TPU_WORKER_HOSTNAMES", "").split(",")
    index = environment["TPU_WORKER_ID"]
    return parse(f"{index}/{len(hosts)}", {})[0], "TPU_WORKER_ID"
  raise UserError(
    "--shard=auto must be in a Slurm array or on a TPU's worker, got neither "
    "SLURM_ARRAY_TASK_ID nor TPU_WORKER_ID; try --shard=0/8."
  )


def _of_slurm(environment: Mapping[str, str]) -> Share:
  names = ("TASK_ID", "TASK_COUNT", "TASK_MIN", "TASK_MAX", "TASK_STEP")
  found = [environment.get(f"SLURM_ARRAY_{name}", "") for name in names]
  # Not every version sets the step, which the others tell.
  if all(text.isdecimal() for text in found[:4]):
    index, count, least, most = map(int, found[:4])
    if least == 0 and most + 1 == count and found[4] in ("", "1"):
      return Share(index, count)
  raise UserError(
    "--shard=auto must be in an array from 0 in steps of 1, such as "
    f"--array=0-7, got {found[2]}-{found[3]} with {found[1]} tasks; try "
    "--shard=$SLURM_ARRAY_TASK_ID/8."
  )


def deal(
  cells: Mapping[str, ConfigDict], count: int, at_once: int | None
) -> list[Dealt]:
  """Deals runs to shares, those that take longest first.

  Runs that a CPU trains in one program, or that the user wants in one, stay
  together, whatever the platform here: all shares must come to the same, and
  to the bits of one process. The others are dealt one by one; those that an
  accelerator puts in one program nevertheless agree with one process up to
  rounding. Each goes to the share that has least to do, so that two shares
  differ by no more than what is dealt at once.

  Args:
    cells: resolved configs of all cells by name.
    count: of shares, at least 1.
    at_once: how many runs the user asks for in one program; None: no wish.

  Returns:
    What each share makes.
  """
  sizes: dict[Any, int] = {}
  units: list[tuple[float, list[str]]] = []
  for names in groups.groups(cells):
    first = cells[names[0]]
    # Of the same model it is counted once.
    key = (programs.key(first), first.dataset, first.data, first.resize)
    size = sizes[key] = sizes.get(key) or groups.parameters(first)
    each = size * first.epochs * _examples(first)
    if groups.on_cpu(first, size, at_once):
      units.append((each * len(names), names))
    else:
      units += [(each, [name]) for name in names]
  shares = [Dealt([], 0.0) for _ in range(count)]
  for cost, names in sorted(units, key=lambda unit: -unit[0]):
    index = min(range(count), key=lambda i: (shares[i].cost, i))
    mine = shares[index]
    shares[index] = Dealt([*mine.groups, names], mine.cost + cost)
  return shares


def _examples(config: ConfigDict) -> float:
  examples = config.subset or len(task_lib.dataset(config, "train").ids)
  return examples * (config.ratio or 1)


def plan(shares: Sequence[Dealt]) -> str:
  """Returns a table of what each share makes.

  Args:
    shares: from `deal`.
  """
  whole = sum(share.cost for share in shares) or 1
  lines = ["share   cells  groups  cost"]
  for index, (mine, cost) in enumerate(shares):
    name = str(Share(index, len(shares)))
    cells = sum(map(len, mine))
    lines.append(
      f"{name:<6} {cells:>6} {len(mine):>7} {100 * cost / whole:>4.0f} %"
    )
  lines.append(
    "Cost: parameters x examples x epochs, of all shares together. A group is "
    "never parted: runs of one program, or one run."
  )
  return "\n".join(lines)

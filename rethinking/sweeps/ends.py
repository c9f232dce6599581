"""What a sweep begins and ends with, in one command or in shares."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking.config.fields import flagged
from rethinking.memorization import agreement
from rethinking.report import drawing
from rethinking.runtime import backend, processes
from rethinking.sweeps import rows as sweep_rows
from rethinking.sweeps.console import SweepConsole
from rethinking.training import parallel, placement
from rethinking.training import task as task_lib
from rethinking.training import workdir as workdir_lib


@contextlib.contextmanager
def checked(
  todo: Iterable[ConfigDict], reference: str | None
) -> Iterator[None]:
  """Refuses what a run would, before anything is written.

  The data stay until the end, so that all cells have one copy of them.

  Args:
    todo: resolved configs of all cells.
    reference: the config's.

  Raises:
    UserError: in all processes, for what one of them refuses.
  """
  devices = len(placement.all_devices())
  seen, held = set(), []
  with processes.reraise_everywhere():
    for cell in todo:
      parallel.check_batch("batch_size", cell.batch_size, devices)
      size = (cell.arch, *(cell[name] for name in flagged("sized")))
      if size not in seen:
        seen.add(size)
        held += [task_lib.dataset(cell, split) for split in ("train", "test")]
        task_lib.check(cell, held[-2])
        if reference is not None:
          taken = slice(cell.subset)
          of = (held[-2].ids[taken], held[-2].labels[taken])
          agreement.read(reference, *of)
  yield


def conclude(
  rows: Iterable[Mapping[str, Any]],
  workdir: epath.Path,
  console: SweepConsole,
  began: float | None = None,
) -> dict[str, Any]:
  """Draws what all runs came to, and writes summary.json.

  Args:
    rows: of all cells.
    workdir: of the sweep.
    console: shows it.
    began: when the one process that made them did, by the monotonic clock;
      None: several did.

  Returns:
    What `summary.json` holds.
  """
  if processes.is_first():
    drawing.draw(workdir)
    for name in drawing.SAID:
      if (workdir / name).exists():
        console.say((workdir / name).read_text())
  summary = sweep_rows.summary(rows) | backend.numerics()
  took = ""
  if began is not None:
    summary["wall_seconds"] = time.monotonic() - began
    took = f" in {summary['wall_seconds']:.0f} s"
  workdir_lib.finish(workdir, summary)
  console.say(
    f"{summary['cells']} cells{took}: "
    f"{summary['finished']} finished, {summary['censored']} of them never "
    f"fitted their train set; {summary['diverged']} diverged."
  )
  if summary["retired"]:
    console.say(
      f"{summary['retired']} ended before their last epoch, which saved "
      f"{summary['steps_saved']:,} steps, about "
      f"{summary['seconds_saved']:.0f} s."
    )
  console.say(f"The figures and table.md are in {workdir}.")
  return summary

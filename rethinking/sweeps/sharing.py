"""One share of a sweep: makes its runs, and says when all shares have theirs.

Nothing here relies on a lock, which object stores do not have. A share trains
in a folder of its own. What has ended is moved to where one process would have
left it, and its row is written last, as a file of its own. Of two that make the
same run the first one counts. Who finds a row of every cell draws.
"""

import contextlib
import pathlib
import secrets
from collections.abc import Container, Mapping, Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rethinking.config.fields import flagged
from rethinking.config.figures import FIGURES
from rethinking.report import page, row_files
from rethinking.runtime import backend, signals
from rethinking.runtime.errors import Stopped, UserError
from rethinking.storage import checksums, files, jsonl
from rethinking.storage.lock import Lock
from rethinking.sweeps import cells, ends, grid, groups, merging, shares
from rethinking.sweeps import rows as sweep_rows
from rethinking.sweeps.console import SweepConsole
from rethinking.training import workdir as workdir_lib

_FOLDER = "shares"
# Another share is in the way once, or twice.
_TRIES = 10


def plan(config: ConfigDict, count: int) -> str:
  """Returns a table of what each share makes; nothing is run.

  Args:
    config: of a sweep, from a config file.
    count: of shares, at least 1.

  Raises:
    UserError: for a config that cannot be used.
  """
  todo = grid.expand(config)
  with ends.checked(todo.values(), config.reference):
    return shares.plan(shares.deal(todo, count, config.runs_at_once))


def run(
  config: ConfigDict,
  workdir: str | pathlib.Path,
  share: shares.Share,
  *,
  quiet: bool = False,
) -> dict[str, Any] | None:
  """Makes the runs of one share that have no row yet, and draws the last one.

  The same share again, on whatever machine, goes on from what was saved last.
  So does another number of shares, with the cells that are left.

  Args:
    config: of a sweep, from a config file.
    workdir: a folder that all shares use, made if it is not there; local or
      gs://.
    share: which.
    quiet: print nothing.

  Returns:
    What `summary.json` holds; None: other shares have runs to make.

  Raises:
    UserError: for a config or a workdir that cannot be used.
    Stopped: after SIGTERM or Ctrl-C; the cells' state is saved.
  """
  todo = grid.expand(config)
  backend.configure(
    compilation_cache=config.compilation_cache,
    deterministic=config.deterministic,
  )
  workdir = files.workdir(workdir)
  results = None if quiet else "table.md"
  done = workdir_lib.check(workdir, config, results, anew=flagged("anew"))
  if done is not None:
    return done
  with (
    ends.checked(todo.values(), config.reference),
    signals.deferred() as stop,
  ):
    mine = shares.deal(todo, share.count, config.runs_at_once)[share.index]
    names = {name for group in mine.groups for name in group}
    own = workdir / _FOLDER / f"{share.index}-{secrets.token_hex(8)}"
    # It tells those that tidy up that this folder is in use.
    with Lock(own):
      workdir_lib.begin(workdir, config)
      files.write_json(workdir / row_files.CELLS, {"cells": [*todo]})
      title = f"{config.variant}, share {share}"
      console = SweepConsole(len(names), title, quiet=quiet)
      place = Place(todo, names, own, config.variant, workdir)
      try:
        cells.run(place, config.runs_at_once, console, stop)
      except Stopped as error:
        # The command that continues is the share's.
        raise Stopped(error.what, workdir) from None
      own.rmtree(missing_ok=True)
    left = merging.missing(workdir, todo)
    if left:
      console.say(
        f"{len(todo) - len(left)} of {len(todo)} cells are finished; the "
        "others are other shares'."
      )
      return None
    merging.merge(workdir, todo, console.warn)
    figure = FIGURES.get(config.variant)
    if config.influence or (figure is not None and figure.after):
      console.say(
        f"All {len(todo)} cells are finished; the same command without --shard "
        "makes the runs that depend on them."
      )
      return None
    lines = jsonl.JsonLines(workdir / "results.jsonl")
    found = sweep_rows.checked(lines, todo, config.variant, workdir)
    summary = ends.conclude(found, workdir, console)
    page.write(workdir)
    _tidy(workdir)
    return summary


def _tidy(workdir: epath.Path) -> None:
  """Removes what killed shares left; all they had to make has been made."""
  for folder in (workdir / _FOLDER).iterdir():
    # Where there are no locks, one still at work ends with an error.
    with contextlib.suppress(UserError, OSError), Lock(folder):
      folder.rmtree()
  with contextlib.suppress(OSError):
    pathlib.Path(workdir / _FOLDER).rmdir()


class Place(cells.Place):
  """Where a share makes its runs: a folder that no other process writes to.

  Args:
    every: resolved configs of all cells by name.
    names: of those to make here.
    own: the folder.
    title: of the sweep, which the rows name.
    whole: the sweep's workdir.
  """

  def __init__(
    self,
    every: Mapping[str, ConfigDict],
    names: Container[str],
    own: epath.Path,
    title: str,
    whole: epath.Path,
  ):
    self.todo = {name: every[name] for name in every if name in names}
    self.workdir, self.title = own, title
    self.warnings = []
    self._every, self._whole = every, whole

  def kept(self) -> list[dict[str, Any]]:
    """Returns the rows of its cells; takes up what is left of the others."""
    found = []
    for path in merging.paths(self._whole, self.todo):
      lines = jsonl.JsonLines(path)
      self.warnings += lines.warnings
      found += sweep_rows.checked(lines, self._every, self.title, self._whole)
    done = {row["cell"]: row for row in found if row["cell"] in self.todo}
    if len(done) < len(self.todo):
      path = self._whole / merging.FOLDER
      sweep_rows.check_data(path, done.values(), self.todo, self._whole)
    for name, cell in self.todo.items():
      place = self._whole / "cells" / name
      # Killed before its row was written.
      if name not in done and _is_whole(place):
        seen = workdir_lib.check(place, cell)
        seen = {**seen, "status": "finished", "seconds": seen["wall_seconds"]}
        done[name] = self.finish(name, seen)
    left = {n: cell for n, cell in self.todo.items() if n not in done}
    for group in groups.groups(left):
      self._adopt(group)
    return [*done.values()]

  def _adopt(self, group: Sequence[str]) -> None:
    """Copies what the earlier share left that came furthest with some runs."""
    shared = groups.folder(self.todo[group[0]], epath.Path("."))

    def parts(folder: epath.Path) -> list[epath.Path]:
      found = [folder / shared, *(folder / "cells" / name for name in group)]
      return [part for part in found if part.exists()]

    def progress(folder: epath.Path) -> tuple[int, int]:
      ended = steps = 0
      for part in parts(folder):
        ended += _is_whole(part)
        # Of a share that was killed in here one may be half a copy.
        whole = [s for s in _saves(part) if checksums.damage(s) is None]
        steps += max((int(save.name) for save in whole), default=0)
      return ended, steps

    sources = [self._whole, *(self._whole / _FOLDER).glob("*")]
    best = max(sources, key=progress)
    if not any(progress(best)):
      return
    found = {part.relative_to(best): part for part in parts(best)}
    for part in parts(self._whole):
      # Of runs that diverged, what was moved already.
      found.setdefault(part.relative_to(self._whole), part)
    # At once where that can be: others may look here.
    local = files.is_local(self.workdir)
    target = self._aside() if local else self.workdir
    try:
      for name, part in found.items():
        _copy(part, target / name)
    except FileNotFoundError:
      # Its share is still at work, and has moved or removed what it had.
      for name in found:
        (target / name).rmtree(missing_ok=True)
      return
    for name in found if local else ():
      (self.workdir / name).parent.mkdir(parents=True, exist_ok=True)
      (target / name).rename(self.workdir / name)

  def _aside(self) -> epath.Path:
    """A place for what is not to be found; it goes with the folder."""
    (self.workdir / "aside").mkdir(parents=True, exist_ok=True)
    return self.workdir / "aside" / secrets.token_hex(4)

  def finish(self, name: str, seen: Mapping[str, Any]) -> dict[str, Any]:
    """Moves a run to where one process would have left it; then its row.

    Args:
      name: the cell's.
      seen: what `sweep_rows.make` makes the row of.
    """
    cell, place = self.todo[name], self._whole / "cells" / name
    place.parent.mkdir(exist_ok=True)
    self._publish(self.workdir / "cells" / name, place, seen["status"])
    # Another share may have been first.
    if seen["status"] == "finished":
      seen = {**seen, **workdir_lib.read_json(place / "summary.json")}
    row = sweep_rows.make(name, cell, self.title, self._whole, seen)
    path = merging.path(self._whole, name, cell)
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
      files.replace(path, (files.dumps(row) + "\n").encode())
    return row

  def _publish(self, own: epath.Path, place: epath.Path, status: str) -> None:
    """Moves a run's folder, unless another share's is there."""
    there = epath.Path.exists if status == "diverged" else _is_whole
    for _ in range(_TRIES):
      if there(place):
        return
      if not files.is_local(place):
        _copy(own, place)
        continue
      # Another share may do the same; one of them comes first.
      with contextlib.suppress(OSError):
        # What one process left when it was interrupted.
        if place.exists():
          pathlib.Path(place).rename(self._aside())
        pathlib.Path(own).rename(place)


def _is_whole(folder: epath.Path) -> bool:
  """Whether a folder holds a finished run, as it left it."""
  done = (folder / "summary.json").exists()
  return done and checksums.damage(folder) is None


def _saves(folder: epath.Path) -> list[epath.Path]:
  """The checkpoints in the folder of a run, or of runs of one program."""
  found = [*folder.glob("*"), *folder.glob("checkpoints/*")]
  return [path for path in found if path.name.isdecimal()]


def _copy(source: epath.Path, to: epath.Path) -> None:
  """Copies what another share may be writing, so that it can be continued.

  Checkpoints come before the evaluations that they count on, and of a finished
  run last what says that it is.
  """
  last = [source / checksums.NAME, source / "summary.json"]
  last = last if _is_whole(source) else []
  first, others = [], []
  for path in checksums.paths(source):
    if path.parent == source and path.name in (checksums.NAME, "summary.json"):
      continue
    name = path.relative_to(source).parts[0]
    (first if name == "checkpoints" else others).append(path)
  for path in (*first, *others, *last):
    target = to / path.relative_to(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    path.copy(target, overwrite=True)
  for save in _saves(to):
    # Half written, or half removed.
    if checksums.damage(save) is not None:
      save.rmtree()

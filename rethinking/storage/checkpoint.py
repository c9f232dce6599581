"""Checkpoints that can be trusted: Orbax's, each with SHA-256 checksums.

Orbax restores a file with flipped bits without a word, so process 0 writes
the checksums of a checkpoint's files into its folder once Orbax has committed
it, and they are checked before a restore. A checkpoint without checksums was
not finished. One that fails the check is skipped for the one before it.
"""

import contextlib
import functools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils

from rethinking.runtime import processes
from rethinking.runtime.errors import UserError
from rethinking.storage import checksums, files

PyTree = Any

# Intact checkpoints that stay: should the newest be damaged, there is another.
_KEPT = 2
# In the names of the folders that Orbax writes into and then renames.
_UNFINISHED = ".orbax-checkpoint-tmp"


class SaveError(OSError):
  """A checkpoint could not be written; those before it are intact."""


def _remove_failed(path: epath.Path) -> None:
  """Removes the folder of a save that failed, as far as it can be."""
  for _ in range(20):
    try:
      files.remove(path)
      return
    except OSError:
      # Orbax's threads are still writing into it.
      time.sleep(0.1)


def _hook(shown: Callable[[Any], None], unraisable: Any) -> None:
  """Shows no traceback of the writes that end after Orbax's loop has."""
  if str(unraisable.exc_value) != "Event loop is closed":
    shown(unraisable)


class Restored(NamedTuple):
  """What `Checkpointer.restore` found.

  Attributes:
    step: the step it was saved at.
    state: as `like`, with NumPy arrays for arrays.
    extra: the dict saved with it.
    warnings: a sentence for each newer checkpoint that was skipped.
  """

  step: int
  state: PyTree
  extra: dict[str, Any]
  warnings: tuple[str, ...]


_LOG = threading.RLock()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Keeps Orbax's log off the terminal: what matters is raised, in a line."""
  logger = logging.getLogger("absl")
  # The level is the whole process's: runs in threads take turns.
  with _LOG:
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
      yield
    finally:
      logger.setLevel(level)


def _whole(leaf: Any) -> Any:
  """The whole value of one leaf, whichever processes hold parts of it."""
  if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
    if leaf.is_fully_replicated:
      return leaf.addressable_data(0)
    return multihost_utils.process_allgather(leaf, tiled=True)
  return leaf


def _by_name(tree: PyTree) -> dict[str, Any]:
  """The tree's leaves by their path, such as `.params['Dense_0']['bias']`."""
  leaves = jax.tree.leaves_with_path(tree)
  return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _spec(leaf: Any) -> list[Any]:
  """Shape and dtype of a leaf, abstract ones included, as JSON has them."""
  leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
  return [list(leaf.shape), str(leaf.dtype)]


def _sized(leaves: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Those with elements: Orbax refuses others, which need no bytes."""
  return {name: leaf for name, leaf in leaves.items() if leaf.size}


class Checkpointer:
  """Saves and restores a run's state; every process calls every method.

  Args:
    folder: where the checkpoints are, one folder per step; made if missing.

  Raises:
    UserError: the folder cannot be made.
  """

  def __init__(self, folder: epath.PathLike):
    self._folder = epath.Path(folder)
    if files.is_local(folder):
      # Orbax takes no relative path; a URL's would be taken for one.
      self._folder = self._folder.expanduser().resolve()
    self._damaged: set[int] = set()
    # Not its CheckpointManager, which reads files of every checkpoint before
    # their sums could be checked.
    # Its folders are made at once: what waits for a thread to make them goes
    # by the clock, which may be wrong.
    at_once = ocp.options.AsyncOptions(create_directories_asynchronously=False)
    handler = ocp.CompositeCheckpointHandler(
      composite_options=ocp.CompositeOptions(async_options=at_once)
    )
    self._saver = ocp.Checkpointer(handler)
    processes.on_first(self._make)

  def _make(self) -> None:
    """Makes the folder; removes what killed saves left there."""
    try:
      self._folder.mkdir(parents=True, exist_ok=True)
      for path in self._folder.glob(f"*{_UNFINISHED}*"):
        files.remove(path)
    except OSError as error:
      raise UserError(
        f"'{self._folder}' must be a folder that you can write to, got "
        f"{error.strerror or error}; remove it or give another workdir."
      ) from error

  def _steps(self) -> list[int]:
    """Steps that have a folder, newest first."""
    try:
      names = [path.name for path in self._folder.iterdir()]
    except FileNotFoundError:
      # An object store has no empty folders.
      return []
    return sorted((int(x) for x in names if x.isdecimal()), reverse=True)

  def _delete(self, steps: list[int]) -> None:
    if jax.process_index() == 0:
      for step in steps:
        files.remove(self._folder / str(step))
    self._damaged.difference_update(steps)

  def save(self, step: int, state: PyTree, extra: dict[str, Any]) -> None:
    """Writes a checkpoint; it is on disk, with its checksums, on return.

    A checkpoint of this step or a later one is removed first: it was left by
    a run that continued from an earlier one. The oldest are removed last.

    Args:
      step: the training step, at least 0.
      state: a tree of arrays and Python numbers, whole or sharded.
      extra: a dict that JSON can hold, saved with the state.

    Raises:
      SaveError: it could not be written (a full disk); the checkpoints of
        earlier steps are intact.
    """
    # In one transfer, not one an array.
    leaves = jax.device_get(
      {name: _whole(leaf) for name, leaf in _by_name(state).items()}
    )
    leaves = {name: np.asarray(leaf) for name, leaf in leaves.items()}
    about = {
      "step": step,
      "extra": extra,
      "leaves": {name: _spec(leaf) for name, leaf in leaves.items()},
    }
    folder = self._folder / str(step)
    shown = sys.unraisablehook
    try:
      with _quiet():
        # It stays where the save fails: Orbax's threads end later.
        sys.unraisablehook = functools.partial(_hook, shown)
        self._delete([old for old in self._steps() if old >= step])
        multihost_utils.sync_global_devices("rethinking_checkpoint_deleted")
        self._saver.save(
          folder,
          args=ocp.args.Composite(
            state=ocp.args.StandardSave(_sized(leaves)),
            extra=ocp.args.JsonSave(about),
          ),
          force=True,
        )
        if jax.process_index() == 0:
          checksums.write(folder)
        sys.unraisablehook = shown
    except (OSError, ValueError) as error:
      # What was half written would keep filling a full disk.
      if jax.process_index() == 0:
        for path in self._folder.iterdir():
          if path.name.partition(".")[0] == str(step):
            _remove_failed(path)
      reason = str(error).splitlines()[0]
      raise SaveError(
        f"Cannot save the checkpoint of step {step} in '{self._folder}':"
        f" {reason}; the earlier ones are intact."
      ) from error
    multihost_utils.sync_global_devices("rethinking_checkpoint_checked")
    finished = [
      old
      for old in self._steps()
      if old not in self._damaged and checksums.exist(self._folder / str(old))
    ][:_KEPT]
    self._delete([old for old in self._steps() if old not in finished])
    multihost_utils.sync_global_devices("rethinking_checkpoint_pruned")

  def restore(
    self, like: PyTree | Callable[[dict[str, Any]], PyTree]
  ) -> Restored | None:
    """Reads the newest intact checkpoint.

    Args:
      like: a tree with the structure, shapes and dtypes of the state; arrays
        or `jax.ShapeDtypeStruct`s, Python numbers where the state has them.
        Or a function of `extra` that gives one.

    Returns:
      The checkpoint, or None where none was ever finished.

    Raises:
      UserError: finished checkpoints are there but none is intact, or it
        holds other arrays than `like`.
    """
    step, warnings = processes.on_first(self._newest_intact)
    if step is None:
      return None
    folder = self._folder / str(step)
    with _quiet():
      about = self._saver.restore(
        folder, args=ocp.args.Composite(extra=ocp.args.JsonRestore())
      ).extra
      if about.get("step", step) != step:
        raise UserError(
          f"The checkpoint of step {step} in '{self._folder}' is that of step "
          f"{about['step']}; remove it."
        )
      if callable(like):
        like = like(about["extra"])
      self._check(step, like, about["leaves"])
      target = {
        name: np.empty(shape, dtype)
        for name, (shape, dtype) in about["leaves"].items()
      }
      target |= self._saver.restore(
        folder,
        args=ocp.args.Composite(state=ocp.args.StandardRestore(_sized(target))),
      ).state

    def take(path, leaf):
      found = target[jax.tree_util.keystr(path)]
      return found if hasattr(leaf, "dtype") else found.item()

    state = jax.tree.map_with_path(take, like)
    return Restored(step, state, about["extra"], tuple(warnings))

  def _newest_intact(self) -> tuple[int | None, list[str]]:
    warnings = []
    finished = False
    for step in self._steps():
      damage = checksums.damage(self._folder / str(step))
      if damage is None:
        return step, warnings
      self._damaged.add(step)
      finished |= checksums.exist(self._folder / str(step))
      warnings.append(
        f"The checkpoint of step {step} in '{self._folder}' {damage};"
        " the one before it is used."
      )
    if finished:
      raise UserError(
        f"No checkpoint in '{self._folder}' is intact (steps"
        f" {sorted(self._damaged)}); restore the folder or remove it to begin"
        " anew."
      )
    return None, []

  def _check(self, step: int, like: PyTree, saved: dict[str, Any]) -> None:
    wanted = {name: _spec(leaf) for name, leaf in _by_name(like).items()}
    names = sorted(wanted.keys() | saved.keys())
    differ = [name for name in names if wanted.get(name) != saved.get(name)]
    if differ:
      name = differ[0]
      raise UserError(
        f"The checkpoint of step {step} in '{self._folder}' must hold the "
        f"arrays of this run, got {len(differ)} that differ, such as {name} "
        f"(saved {saved.get(name)}, here {wanted.get(name)}); try the config "
        "that made it, or another workdir."
      )

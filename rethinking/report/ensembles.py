"""The runs of an ensemble on subsets, as arrays."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from rethinking.corruptions import array_files
from rethinking.memorization.scores import pred_probs
from rethinking.report.rows import Group, Row
from rethinking.runtime.errors import UserError
from rethinking.storage import checksums, reading

# Probabilities of 60,000 examples and 100 classes are 24 MB.
_MOST_BYTES = 2**32

# What is the same in all runs of a level.
_SHARED = ("ids", "labels", "true", "test_ids")
# What kinds of arrays there are, by NumPy's letters.
_KINDS = {
  "ids": "uiU",
  "labels": "ui",
  "true": "ui",
  "predicted": "ui",
  "p": "f",
  "probabilities": "f",
  "test_ids": "uiU",
  "tested": "b",
}
WHO = ("label unchanged", "label changed")


class Ensemble(NamedTuple):
  """The runs of one level, in the order of their numbers.

  Attributes:
    name: of the level, from the cells' names.
    config: what all share.
    ids: uint32 [n], ascending.
    labels: int32 [n], the given ones.
    true: int32 [n].
    masks: bool [K, n], True: the run trained on the example.
    predicted: int32 [K, n].
    p: float32 [K, n], the probability of the given label.
    outside: float32 [n, C], mean probabilities of the runs outside.
    test_ids: uint32 [m].
    tested: bool [K, m], whether the test examples are right.
    seen: what was summed over presentations, [K, n] by name.
    epoch: `outside` is averaged over the evaluations up to this one, too; None:
      it is of the last evaluation.
  """

  name: str
  config: Mapping[str, Any]
  ids: np.ndarray
  labels: np.ndarray
  true: np.ndarray
  masks: np.ndarray
  predicted: np.ndarray
  p: np.ndarray
  outside: np.ndarray
  test_ids: np.ndarray
  tested: np.ndarray
  seen: dict[str, np.ndarray]
  epoch: int | None = None

  def parts(self) -> dict[str, np.ndarray]:
    """Returns which examples there are of each kind of `WHO`, bool [n]."""
    parts = dict(zip(WHO, (~self.changed, self.changed), strict=True))
    return {who: among for who, among in parts.items() if among.any()}

  @property
  def permutations(self) -> int:
    return len(self.masks) // self.config["members"]

  @property
  def changed(self) -> np.ndarray:
    return self.labels != self.true

  @property
  def correct(self) -> np.ndarray:
    return self.predicted == self.labels


def levels(
  groups: Sequence[Group], workdir: epath.Path, *, turn: bool = False
) -> list[Ensemble]:
  """Returns the ensembles whose files are there.

  Args:
    groups: of a sweep.
    workdir: of the sweep.
    turn: as in `read`.
  """
  found = []
  for group in groups:
    for seed in dict.fromkeys(row["config"]["seed"] for row in group.rows):
      mine = [row for row in group.rows if row["config"]["seed"] == seed]
      found.append(read(mine, workdir / "cells", turn=turn))
  return [one for one in found if one is not None]


def read(
  rows: Sequence[Row], cells: epath.Path, *, turn: bool = False
) -> Ensemble | None:
  """Returns the runs of one level whose files are there; None without any.

  Only whole permutations: where a run is missing, so are those it goes with.

  Args:
    rows: of the runs, in the order of their numbers.
    cells: the folder of their folders.
    turn: average `outside` over the evaluations as well, up to that at which
      the mean loss of the given labels outside was lowest.
  """
  at = _turn([cells / row["cell"] for row in rows]) if turn else None
  blocks: dict[int, list[dict[str, Any]]] = {}
  for row in rows:
    folder, config = cells / row["cell"], row["config"]
    with _named(folder):
      paths = _evaluations(folder)
      if not paths or not (folder / "presentations.npz").exists():
        continue
      run = _run(_arrays(paths[-1]), folder)
      _check(run, folder)
      if at is not None:
        run["probabilities"] = _mean(paths[1 : at + 1])
    blocks.setdefault(config["member"] // config["members"], []).append(run)
  whole = [b for b in blocks.values() if len(b) == rows[0]["config"]["members"]]
  runs = [run for block in whole for run in block]
  if not runs:
    return None
  kept = {name: [run.pop(name) for run in runs] for name in [*runs[0]]}
  shared = {name: kept.pop(name) for name in _SHARED}
  for name, each in shared.items():
    if not all(np.array_equal(one, each[0]) for one in each):
      raise UserError(
        f"{cells} must hold runs on the same examples, got other {name} among "
        f"those of {_name(rows)}; restore their per_example."
      )
  probabilities = kept.pop("probabilities")
  stacked = {name: np.stack(kept.pop(name)) for name in [*kept]}
  own = ("masks", "predicted", "p", "tested")
  config = rows[0]["config"]
  return Ensemble(
    name=_name(rows),
    config=config,
    **{name: each[0] for name, each in shared.items()},
    outside=pred_probs(stacked["masks"], probabilities),
    **{name: stacked.pop(name) for name in own},
    seen=stacked,
    epoch=at and min(at * config["eval_epochs"], config["epochs"]),
  )


def _name(rows: Sequence[Row]) -> str:
  return rows[0]["cell"].rpartition("-member")[0]


def _turn(folders: Sequence[epath.Path]) -> int | None:
  """Which evaluation has the lowest held-out loss; None where one is all."""
  losses = []
  for folder in folders:
    with _named(folder):
      # Nothing is learned before the first step.
      held = [_arrays(x)["validation_loss"] for x in _evaluations(folder)[1:]]
    losses += [held] if held else []
  counts = {len(held) for held in losses}
  if len(counts) > 1:
    raise UserError(
      f"{folders[0].parent} must hold as many evaluations of each run, got "
      f"{sorted(counts)} in their per_example; restore them."
    )
  if not losses or len(losses[0]) == 1:
    return None
  means = [np.mean(np.concatenate(x)) for x in zip(*losses, strict=True)]
  return 1 + int(np.argmin(means))


def _mean(paths: Sequence[epath.Path]) -> np.ndarray:
  """Mean probabilities over evaluations of a run, [n, C] by id."""
  return sum(_by_id(_arrays(x))("probabilities") for x in paths) / len(paths)


def last(folder: epath.Path) -> dict[str, np.ndarray] | None:
  """Returns what a run's last evaluation saw of each example; None without.

  Args:
    folder: the run's.
  """
  paths = _evaluations(folder)
  return _arrays(paths[-1]) if paths else None


def _evaluations(folder: epath.Path) -> list[epath.Path]:
  return sorted(folder.glob("per_example/*.npz"))


def _check(run: dict[str, np.ndarray], folder: epath.Path) -> None:
  """Refuses arrays that are not as the run left them, or not of their kind."""
  # Runs of earlier versions, and those elsewhere, have no sums.
  sums = folder / "per_example"
  if checksums.exist(sums) and (wrong := checksums.damage(sums)):
    raise ValueError(f"per_example {wrong}")
  for name, kinds in _KINDS.items():
    if run[name].dtype.kind not in kinds:
      raise ValueError(f"{name} of type {run[name].dtype}")
  sizes = [run[name].shape[:1] for name in ("test_ids", "tested")]
  if sizes[0] != sizes[1] or run["tested"].ndim != 1:
    raise ValueError(f"tested of shape {list(run['tested'].shape)}")
  if not ((run["p"] >= 0) & (run["p"] <= 1)).all():
    raise ValueError("losses that are no numbers from 0")


@contextlib.contextmanager
def _named(folder: epath.Path) -> Iterator[None]:
  """Names the run whose arrays are damaged."""
  try:
    yield
  # Bytes that were made to confuse a parser make it raise anything.
  except Exception as error:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    raise UserError(
      f"{folder} must hold the arrays that its run wrote, got {reason}; "
      "restore them, or remove its per_example to leave the run out."
    ) from error


def _arrays(path: epath.Path) -> dict[str, np.ndarray]:
  data = reading.read(path, _MOST_BYTES)
  return array_files.read_npz(data, most_bytes=_MOST_BYTES)


def _run(found: dict[str, np.ndarray], folder: epath.Path) -> dict[str, Any]:
  """One run's arrays over all examples, in the order of their ids."""
  every = _by_id(found)
  ids = every("id")
  seen = _arrays(folder / "presentations.npz")
  place = np.searchsorted(ids, seen.pop("id"))
  del seen["last"]
  summed = {}
  for name, value in seen.items():
    summed[name] = np.zeros(len(ids), value.dtype)
    summed[name][place] = value
  return {
    "ids": ids,
    "labels": every("label"),
    "true": every("true_label"),
    "masks": np.isin(ids, found["train_id"]),
    "predicted": every("prediction"),
    "p": np.exp(-every("loss")),
    "probabilities": every("probabilities"),
    "test_ids": found["test_id"],
    "tested": found["test_correct"],
    **summed,
  }


def _by_id(found: Mapping[str, np.ndarray]) -> Callable[[str], np.ndarray]:
  """What gives an array over all examples, inside or not, ordered by id."""

  def every(name: str) -> np.ndarray:
    parts = [found[f"{part}_{name}"] for part in ("train", "validation")]
    return np.concatenate(parts)[order]

  order = slice(None)
  order = np.argsort(every("id"))
  return every

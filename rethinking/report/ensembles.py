"""The runs of an ensemble on subsets, as arrays."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from rethinking.memorization.scores import pred_probs
from rethinking.report.rows import Row
from rethinking.runtime.errors import UserError
from rethinking.storage import reading

# Probabilities of 60,000 examples and 100 classes are 24 MB.
_MOST_BYTES = 2**32


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
    tested: bool [K, m], whether the test examples are right.
    seen: what was summed over presentations, [K, n] by name.
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
  tested: np.ndarray
  seen: dict[str, np.ndarray]

  @property
  def changed(self) -> np.ndarray:
    return self.labels != self.true

  @property
  def correct(self) -> np.ndarray:
    return self.predicted == self.labels


def read(rows: Sequence[Row], cells: epath.Path) -> Ensemble | None:
  """Returns the runs of one level whose files are there; None without any.

  Args:
    rows: of the runs, in the order of their numbers.
    cells: the folder of their folders.
  """
  kept: dict[str, list[Any]] = {}
  for row in rows:
    folder = cells / row["cell"]
    last = max(folder.glob("per_example/*.npz"), default=None)
    if last is None or not (folder / "presentations.npz").exists():
      continue
    try:
      found = _run(_arrays(last), folder)
    # Bytes that were made to confuse a parser make it raise anything.
    except Exception as error:
      reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
      raise UserError(
        f"{folder} must hold the arrays that its run wrote, got {reason}; "
        f"restore them, or remove {last.name} to leave the run out."
      ) from error
    for name, value in found.items():
      kept.setdefault(name, []).append(value)
  if not kept:
    return None
  shared = {name: kept.pop(name)[0] for name in ("ids", "labels", "true")}
  probabilities = kept.pop("probabilities")
  stacked = {name: np.stack(values) for name, values in kept.items()}
  own = ("masks", "predicted", "p", "tested")
  return Ensemble(
    name=rows[0]["cell"].rpartition("-member")[0],
    config=rows[0]["config"],
    **shared,
    outside=pred_probs(stacked["masks"], probabilities),
    **{name: stacked.pop(name) for name in own},
    seen=stacked,
  )


def _arrays(path: epath.Path) -> dict[str, np.ndarray]:
  data = io.BytesIO(reading.read(path, _MOST_BYTES))
  with np.load(data, allow_pickle=False) as found:
    return dict(found)


def _run(found: dict[str, np.ndarray], folder: epath.Path) -> dict[str, Any]:
  """One run's arrays over all examples, in the order of their ids."""

  def every(name: str) -> np.ndarray:
    parts = [found[f"{part}_{name}"] for part in ("train", "validation")]
    return np.concatenate(parts)[order]

  order = slice(None)
  ids = every("id")
  order = np.argsort(ids)
  seen = _arrays(folder / "presentations.npz")
  place = np.searchsorted(ids[order], seen.pop("id"))
  del seen["last"]
  summed = {}
  for name, value in seen.items():
    summed[name] = np.zeros(len(ids), value.dtype)
    summed[name][place] = value
  return {
    "ids": ids[order],
    "labels": every("label"),
    "true": every("true_label"),
    "masks": np.isin(ids[order], found["train_id"]),
    "predicted": every("prediction"),
    "p": np.exp(-every("loss")),
    "probabilities": every("probabilities"),
    "tested": found["test_correct"],
    **summed,
  }

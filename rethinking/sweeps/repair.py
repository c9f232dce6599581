"""Whether it helps to remove or to fix the labels that look wrong."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking import label_issues
from rethinking.config import fields
from rethinking.memorization.draws import words
from rethinking.report import ensembles, row_files
from rethinking.storage import files, tables
from rethinking.training import subsets

_SEEDS = 5
# Times the epochs of the runs that make the list: by then wrong labels are
# fitted, where the list is best before.
_LONGER = 6


def run(workdir: epath.Path, make: Callable[..., None]) -> None:
  """Trains on given, removed, fixed and true labels, five seeds each.

  `repair/LEVEL` gets the runs and their results.jsonl: on all given labels;
  without those that are listed; with these as predicted; without as many drawn
  at random; and on true labels, where they are known. Six times the epochs that
  made the list.

  Args:
    workdir: of a sweep whose runs are finished.
    make: makes runs, of resolved configs by name, the folder they go to, the
      figure that their rows name, and the console's title.

  Raises:
    Stopped: as the sweep.
  """
  groups = row_files.load(workdir / "results.jsonl").groups
  for one in ensembles.levels(groups, workdir, turn=True):
    folder = workdir / "repair" / one.name
    folder.mkdir(parents=True, exist_ok=True)
    make(dict(cells_of(one, folder)), folder, "repair", "repair")


def cells_of(
  one: ensembles.Ensemble, folder: epath.Path
) -> Iterator[tuple[str, ConfigDict]]:
  """Yields name and config of each arm's runs, whose labels it writes.

  Args:
    one: the runs that make the list.
    folder: gets the fixed labels.
  """
  found = label_issues.find(one.labels, one.outside)
  epochs = _LONGER * (one.epoch or one.config["epochs"])
  base = {
    **one.config,
    **dict.fromkeys((*fields.ENSEMBLE, *fields.flagged("own"))),
    "epochs": epochs,
    "eval_epochs": epochs,
    "checkpoint_epochs": epochs,
    "presentations": False,
    "per_example": False,
    "early_epochs": None,
    "el2n_epochs": (),
  }
  fixed = np.where(found.listed, found.predicted, one.labels)
  arms: dict[str, dict[str, Any]] = {"given": {}}
  if found.listed.any():
    arms |= {
      "removed": {"without": subsets.joined(sorted(one.ids[found.listed]))},
      "fixed": _labels(one, fixed, folder),
      "random": {},
    }
  if one.changed.any():
    arms["true"] = _NO_NOISE
  for seed in range(_SEEDS):
    drawn = np.argsort(words((len(one.ids),), seed, "repair"))
    some = one.ids[drawn[: found.listed.sum()]]
    if "random" in arms:
      arms["random"] = {"without": subsets.joined(sorted(some))}
    for name, own in arms.items():
      # The corruption's seed is the ensemble's.
      config = ConfigDict({**base, **own, "seed": seed})
      yield f"{name}-seed{seed}", config_lib.resolve(config)


_NO_NOISE = {"label_noise": None, "p": 0.0, "exact": False, "label_options": ""}


def _labels(
  one: ensembles.Ensemble, labels: np.ndarray, folder: epath.Path
) -> dict[str, Any]:
  """What a config says to train on other labels, which it leaves in a file."""
  if one.config["dataset"] == "own":
    lines = zip(one.ids.tolist(), labels.tolist(), strict=True)
    text = tables.csv_text([{"id": i, "fixed": label} for i, label in lines])
    files.replace(folder / "fixed.csv", text.encode())
    return {**_NO_NOISE, "labels": str(folder / "fixed.csv")}
  by_id = np.zeros(int(one.ids.max()) + 1, np.int32)
  by_id[one.ids] = labels
  buffer = io.BytesIO()
  np.savez(buffer, fixed=by_id)
  files.replace(folder / "fixed.npz", buffer.getvalue())
  path = str(folder / "fixed.npz")
  options = f'path="{path}" array=fixed'
  return {**_NO_NOISE, "label_noise": "human", "label_options": options}

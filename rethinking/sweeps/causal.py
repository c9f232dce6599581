"""Which test examples lean on which train examples, and whether they do."""

from collections.abc import Callable, Iterator

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking.config import fields
from rethinking.memorization import influence, pairs
from rethinking.memorization.draws import words
from rethinking.memorization.influence import too_few
from rethinking.report import ensembles, row_files
from rethinking.storage import files, tables
from rethinking.sweeps.console import SweepConsole
from rethinking.training import subsets

_TESTS = 3
_REMOVED = 8
_RUNS = 20


def run(workdir: epath.Path, make: Callable[..., None], *, quiet: bool) -> None:
  """Finds the pairs of each level of an ensemble, and removes the strongest.

  `memorization/LEVEL/` gets influence.csv, the pairs; influence.json, their
  threshold; and causal.csv: for the three test examples that lean most on their
  pairs, how often each is right in 20 runs on all of the train set but the
  eight examples of the greatest influence on it, and in 20 with the same seeds
  but without eight drawn at random for each.

  Args:
    workdir: of a sweep whose runs are finished.
    make: makes runs, of resolved configs by name, the folder they go to, the
      figure that their rows name, and the console's title.
    quiet: print nothing.

  Raises:
    Stopped: as the sweep.
  """
  console = SweepConsole(0, "influence", quiet=quiet)
  groups = row_files.load(workdir / "results.jsonl").groups
  for one in ensembles.levels(groups, workdir):
    runs, config = len(one.masks), one.config
    if (missing := too_few(runs, config["ratio"])) is not None:
      console.say(missing)
      continue
    found = pairs(one.masks, one.tested, one.permutations, config["seed"])
    console.say(
      f"{one.name}: {len(found.train)} pairs at an influence of "
      f"{found.threshold:.3f} or more, {found.expected_false:.1f} of them "
      "false by permutation."
    )
    folder = workdir / "memorization" / one.name
    folder.mkdir(parents=True, exist_ok=True)
    lines = zip(found.train, found.test, found.influence, strict=True)
    table = [
      {
        "train_id": one.ids[i],
        "test_id": one.test_ids[j],
        "influence": float(x),
      }
      for i, j, x in lines
    ]
    names = ("train_id", "test_id", "influence")
    text = tables.csv_text(table, names)
    files.replace(folder / "influence.csv", text.encode())
    about = {name: getattr(found, name) for name in found._fields[:2]}
    files.write_json(folder / "influence.json", about)
    if not table:
      continue
    leans = np.bincount(found.test, found.influence)
    tests = np.argsort(-leans, kind="stable")[:_TESTS]
    tests = tests[leans[tests] > 0]
    table = _check(one, tests, workdir / "causal" / one.name, make)
    text = tables.csv_text(table)
    files.replace(folder / "causal.csv", text.encode())


def _check(
  one: ensembles.Ensemble,
  tests: np.ndarray,
  folder: epath.Path,
  make: Callable[..., None],
) -> list[dict[str, float]]:
  """The rows of causal.csv for some test examples."""
  strength = np.concatenate(
    [tile for _, tile in influence(one.masks, one.tested[:, tests])]
  )
  top = np.argsort(-np.nan_to_num(strength), axis=0, kind="stable")[:_REMOVED]
  todo = dict(_cells(one, tests, top))
  folder.mkdir(parents=True, exist_ok=True)
  make(todo, folder, "causal", "without them")
  right = {
    name: ensembles.last(folder / "cells" / name)["test_correct"]
    for name in todo
  }
  table = []
  for test, removed in zip(tests, top.T, strict=True):
    named = one.test_ids[test]
    own, random = (
      [right[f"{kind}-seed{seed}"][test] for seed in range(_RUNS)]
      for kind in (f"test{named}", "random")
    )
    table.append(
      {
        "test_id": named,
        "without_top": np.mean(own),
        "without_random": np.mean(random),
        "runs": _RUNS,
        "removed": subsets.joined(one.ids[removed]),
      }
    )
  return table


def _cells(
  one: ensembles.Ensemble, tests: np.ndarray, top: np.ndarray
) -> Iterator[tuple[str, ConfigDict]]:
  """The runs without examples of each test example, and without any eight."""
  for seed in range(_RUNS):
    drawn = np.argsort(words((len(one.ids),), seed, "random"))[:_REMOVED]
    removed = {"random": drawn}
    removed |= {
      f"test{one.test_ids[test]}": top[:, place]
      for place, test in enumerate(tests)
    }
    for name, places in removed.items():
      own = dict.fromkeys((*fields.ENSEMBLE, *fields.flagged("own")))
      own |= {"seed": seed, "presentations": False}
      own["without"] = subsets.joined(sorted(one.ids[places]))
      config = ConfigDict({**one.config, **own})
      yield f"{name}-seed{seed}", config_lib.resolve(config)

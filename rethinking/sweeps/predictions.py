"""Labels that look wrong by anyone's predictions."""

import os
import pathlib

import numpy as np
from ml_collections import ConfigDict

from rethinking import config as config_lib
from rethinking.config import fields
from rethinking.corruptions import array_files
from rethinking.report import label_issues
from rethinking.report.label_issues_page import Records
from rethinking.runtime.errors import UserError
from rethinking.storage import files
from rethinking.sweeps import grid
from rethinking.training import task as task_lib
from rethinking.training import workdir as workdir_lib

# 1,000,000 examples of 1,000 classes as float32.
_MOST_BYTES = 2**32


def rank(
  config: ConfigDict,
  workdir: str | pathlib.Path,
  path: str | os.PathLike[str],
  *,
  quiet: bool = False,
) -> None:
  """Says which labels look wrong by predictions of a file; trains nothing.

  Args:
    config: of the variant label_issues, or a run: which data, and which labels.
    workdir: a folder, made if it is not there; no run's. Gets what
      `label_issues.save` writes, and config.json.
    path: .npy of `pred_probs`, float [N, K] in ascending order of id, as
      pred_probs.npy is; or .npz of it, and perhaps `ids` of its rows, in any
      order.
    quiet: print nothing.

  Raises:
    UserError: for a config, workdir or file that cannot be used.
  """
  if config.experiment == "sweep":
    cell = next(iter(grid.expand(config).values()))
    cell = ConfigDict(cell.to_dict())
    cell.update(dict.fromkeys(fields.ENSEMBLE))
    config = config_lib.resolve(cell)
  else:
    config = config_lib.resolve(config)
  train = task_lib.load(config).train
  # Those of names lie by their hashes.
  order = np.argsort(train.given_ids, kind="stable")
  ids, labels = train.given_ids[order], train.labels[order]
  true = labels if train.true_labels is None else train.true_labels[order]
  probs = read(path, ids)
  names = train.dataset.class_names
  if probs.ndim != 2 or probs.shape[1] != len(names):
    raise UserError(
      f"pred_probs must have a column for each of {len(names)} classes, got "
      f"shape {list(probs.shape)}; try columns in the order of {names[0]}, "
      f"{names[1]}, ..."
    )
  plain = config_lib.plain(config)
  file = pathlib.Path(path).name
  about = f"Predictions of {file} for {len(probs):,} examples."
  records = Records(about, ids, labels, true, probs, plain)
  folder = files.workdir(workdir)
  if (folder / "results.jsonl").exists() or (folder / "summary.json").exists():
    raise UserError(
      f"{folder} must hold no run, got one; try another --workdir, or "
      "python -m rethinking.report --label_issues for what it left."
    )
  workdir_lib.check(folder, config)
  folder.mkdir(parents=True, exist_ok=True)
  label_issues.save(records, folder)
  workdir_lib.begin(folder, config)
  if not quiet:
    print((folder / "label_issues.md").read_text())
    print(f"issues.csv and label_issues.md are in {folder}.")


def read(path: str | os.PathLike[str], ids: np.ndarray) -> np.ndarray:
  """Reads predictions.

  Args:
    path: .npy or .npz, as for `rank`.
    ids: [N], of the examples that are wanted.

  Returns:
    float [N, K], in the order of the ids.

  Raises:
    UserError: for a file that cannot be read or lacks examples.
  """
  path = files.local(path, "pred_probs")
  try:
    if path.endswith(".npy"):
      return np.array(array_files.map_npy(path, most_bytes=_MOST_BYTES))
    names = ("pred_probs", "ids")
    found = array_files.read_npz(path, names, most_bytes=_MOST_BYTES)
  except ValueError as error:
    said = f"pred_probs must be a readable .npz or .npy: {error}"
    raise UserError(said) from error
  if "pred_probs" not in found:
    raise UserError(
      "pred_probs must be an array of the file, got "
      f"{array_files.npz_names(path)}; try np.savez(FILE, pred_probs=..., "
      "ids=...)."
    )
  probs = found["pred_probs"]
  if "ids" not in found:
    return probs
  given = found["ids"]
  rows = {str(one): row for row, one in enumerate(given.ravel().tolist())}
  lost = [one for one in ids.tolist() if str(one) not in rows]
  if lost or given.ndim != 1 or given.shape != probs.shape[:1]:
    raise UserError(
      f"ids of pred_probs must name its {len(probs) if probs.ndim else 0} rows "
      f"and have all {len(ids)} examples, got {list(given.shape)} and none for "
      f"{len(lost)}{f', such as {lost[0]}' if lost else ''}; try the ids of "
      "this data set."
    )
  if len(rows) < len(given):
    raise UserError(
      f"ids of pred_probs must be there once each, got {len(rows)} in "
      f"{len(given)} rows; try one row an example."
    )
  return probs[[rows[str(one)] for one in ids.tolist()]]

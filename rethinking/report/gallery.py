"""The images of a page: which labels look wrong, what was memorised."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rethinking import data
from rethinking.runtime.errors import UserError
from rethinking.storage import reading

_MOST_BYTES = 2**30
# Of all views together, and of one folder's view.
_MOST_IMAGES, _MOST_SHOWN = 500, 120
# A sprite grows by a third in base64; a page has room for 3 MB in all.
_MOST_SPRITE = 1_500_000
_COLUMNS = 25
WRONG, MOST, LEAST, THROUGH = (
  "Labels that look wrong",
  "Most memorised",
  "Least memorised",
  "Changed, but seen through",
)

Row = Mapping[str, str]


def of(folder: epath.Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
  """Returns a workdir's gallery: what the page's script shows.

  Args:
    folder: of a run or a sweep.
    config: its config.json.

  Returns:
    `views`, `names` of classes, `items`, `sprite` (PNG bytes), `size` of an
    image in it [width, height], `columns`, and `problem`, why images are not
    shown, or None; None where there are no records of examples.
  """
  items = [*_items(folder)]
  if not items:
    return None
  views = [*dict.fromkeys(item["view"] for item in items)]
  share = _MOST_IMAGES // len(views)
  items = [
    item
    for view in views
    for item in [one for one in items if one["view"] == view][:share]
  ]
  found = {"views": views, "items": items, "columns": _COLUMNS}
  try:
    whole = data.load(
      config["dataset"],
      "train",
      # Workdirs from before one's own sets have no field for their place.
      **data.source(ConfigDict({"data": None, **config})),
    )
    row = {str(one): i for i, one in enumerate(whole.given_ids.tolist())}
    rows = [row[item["id"]] for item in items]
    sprite, size = _sprite(whole.images[rows])
  # Data that have moved, or another set of the same name: the page says so.
  except (UserError, OSError, KeyError, ValueError) as error:
    reason = " ".join(str(error).split()) or type(error).__name__
    return found | {
      "names": [],
      "sprite": None,
      "size": [32, 32],
      "problem": f"Images cannot be shown ({reason}).",
    }
  true = whole.labels[rows].tolist()
  # Known where some differ from the given ones: else both are the same.
  if whole.truth and true != [item["given"] for item in items]:
    for item, label in zip(items, true, strict=True):
      item["true"] = label
  return found | {
    "names": [str(name) for name in whole.class_names],
    "sprite": sprite,
    "size": size,
    "problem": None,
  }


def _items(folder: epath.Path) -> Iterator[dict[str, Any]]:
  yield from _wrong(_rows(folder / "issues.csv"))
  levels = sorted((folder / "memorization").glob("*/examples.csv"))
  for path in levels:
    level = f", {path.parent.name}" if len(levels) > 1 else ""
    rows = _rows(path)
    scored = [row for row in rows if row["mem"] not in ("", "nan")]
    # Ties by place, so that the page is always the same.
    scored.sort(key=lambda row: -float(row["mem"]))
    yield from _of(scored[:_MOST_SHOWN], MOST + level, "mem", None)
    yield from _of(scored[::-1][:_MOST_SHOWN], LEAST + level, "mem", None)
    through = [
      row
      for row in rows
      if row["changed"] == "1"
      and row["heldout_true"] not in ("", "nan")
      and float(row["heldout_true"]) > 0.5
    ]
    through.sort(key=lambda row: -float(row["heldout_true"]))
    suggested = "true_label"
    yield from _of(
      through[:_MOST_SHOWN], THROUGH + level, "heldout_true", suggested
    )


def _wrong(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
  listed = [row for row in rows if row["is_label_issue"] in ("True", "1")]
  for row in sorted(listed, key=lambda row: int(row["rank"])):
    yield {
      "id": row["id"],
      "view": WRONG,
      "given": int(row["given_label"]),
      "suggested": int(row["predicted_label"]),
      "true": int(row["true_label"]) if row.get("true_label") else None,
      "score": round(float(row["p_wrong"]), 4),
      "what": "P(wrong)",
    }


def _of(
  rows: Sequence[Row], view: str, score: str, suggested: str | None
) -> Iterator[dict[str, Any]]:
  what = {"mem": "mem", "heldout_true": "true class outside"}[score]
  # Where none was changed, nobody may know a true one.
  known = any(row["changed"] == "1" for row in rows)
  for row in rows:
    true = row["true_label"]
    yield {
      "id": row["id"],
      "view": view,
      "given": int(row["label"]),
      "suggested": int(row[suggested]) if suggested else None,
      "true": None if true in ("", "-1") or not known else int(true),
      "score": round(float(row[score]), 4),
      "what": what,
    }


def _rows(path: epath.Path) -> list[Row]:
  if not path.exists():
    return []
  text = reading.read(path, _MOST_BYTES).decode()
  return [*csv.DictReader(text.splitlines())]


def _sprite(images: np.ndarray) -> tuple[bytes, list[int]]:
  """All images in one PNG, `_COLUMNS` in a row, smaller if it must be.

  Args:
    images: uint8 [n, H, W, C]; of two channels, or four, the first is shown.

  Returns:
    The PNG, and the width and height of one image in it.
  """
  from PIL import Image

  count, height, width, channels = images.shape
  images = images if channels == 3 else images[..., :1]
  rows = -(-count // _COLUMNS)
  padded = np.zeros((rows * _COLUMNS, *images.shape[1:]), np.uint8)
  padded[:count] = images
  grid = padded.reshape(rows, _COLUMNS, *images.shape[1:]).swapaxes(1, 2)
  whole = grid.reshape(rows * height, _COLUMNS * width, -1)
  whole = whole[..., 0] if whole.shape[-1] == 1 else whole
  sprite = Image.fromarray(whole)
  while True:
    buffer = io.BytesIO()
    sprite.save(buffer, "PNG", optimize=True)
    if buffer.tell() <= _MOST_SPRITE or min(height, width) <= 8:
      return buffer.getvalue(), [width, height]
    height, width = height // 2, width // 2
    sprite = sprite.resize(
      (_COLUMNS * width, rows * height), Image.Resampling.BOX
    )

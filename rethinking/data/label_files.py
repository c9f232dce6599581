"""Labels of a CSV file, in the place of a data set's own."""

import csv
import functools
import io
import itertools
import re
import unicodedata
from typing import Any

import numpy as np

from rethinking.data import checked
from rethinking.runtime.errors import UserError
from rethinking.storage import files, reading

_MOST_BYTES = 2**28
# What each column holds; the latter two are those of the export's labels.csv.
_COLUMNS = {
  "label": "labels",
  "true_label": "labels",
  "fixed": "labels",  # That of labels_fixed.csv.
  "given_label": "given_labels",
}


def replace(raw: dict[str, Any], path: str) -> int:
  """Puts a file's labels in the place of those that were read, by id.

  Examples that it does not name keep theirs.

  Args:
    raw: `images`, `labels`, perhaps `ids` and `class_names`; changed in place.
    path: of the CSV file: `id` and `label`, `fixed` or `given_label`; a label
      is a class's number or name.

  Returns:
    How many labels are others now.

  Raises:
    UserError: naming the line of an id or a label that is none.
  """
  ids = raw.get("ids")
  count = len(raw["images"])
  if ids is None:
    ids = range(count)
  else:
    checked.example_ids(ids, count)
  there, rows = _rows(path, count + 1)
  columns = [column for column in _COLUMNS if column in there]
  if "id" not in there or not columns:
    raise UserError(
      f"labels={path} must have a first line such as id,label or "
      f"id,given_label, got {','.join(there)[:100] or 'no line'}; try "
      "to name its columns so."
    )
  twice = [c for c in columns if c not in ("given_label", columns[0])]
  if twice:
    raise UserError(
      f"labels={path} must have one column of labels, got {columns[0]} and "
      f"{twice[0]}; try it without one of them."
    )
  # A name's accents may be letters of their own in the one and not the other.
  plain = functools.partial(unicodedata.normalize, "NFC")
  places = {plain(str(one)): place for place, one in enumerate(ids)}
  classes = raw.get("class_names")
  classes = () if classes is None else checked.names_of_classes(classes)
  classes = {plain(name): label for label, name in enumerate(classes)}
  # Where names are numbers that count otherwise, "2" can be but one of them.
  numbers = all(
    not c.isdecimal() or len(c) < 10 and int(c) == i for c, i in classes.items()
  )
  changed = 0
  for column in columns:
    name = _COLUMNS[column]
    own = name
    if raw.get(name) is None:
      own = "labels" if name == "given_labels" else "given_labels"
    before = checked.integers(own, raw[own], count).astype(np.int64)
    found, seen = before.copy(), set()
    for line, row in rows:
      one, label = plain(row["id"] or ""), row[column]
      label = label and plain(label)
      if one not in places or one in seen:
        what = "a second time" if one in seen else "which is none of it"
        raise UserError(
          f"labels={path} must have ids of the train set, each once, got "
          f"{one!r} in line {line}, {what}; try without that line."
        )
      seen.add(one)
      number = str(label).strip()
      if label in classes:
        found[places[one]] = classes[label]
      elif (
        numbers
        and re.fullmatch("[+-]?[0-9]{1,9}", number)
        and (not classes or 0 <= int(number) < len(classes))
      ):
        found[places[one]] = int(number)
      else:
        raise UserError(
          f"labels={path} must have {'numbers or ' * numbers}names of classes, "
          f"got {label and label[:100]!r} in line {line}; try such as "
          f"{next(iter(classes), 0)}."
        )
    raw[name] = found
    changed += int((found != before).sum())
  return changed


def _rows(
  path: str, most: int
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
  """The columns; the first rows, and the line that each ends in."""
  try:
    text = reading.read(files.local(path, "labels"), _MOST_BYTES)
    lines = io.StringIO(text.decode("utf-8-sig"), newline="")
    found = csv.DictReader(lines, strict=True)
    names = found.fieldnames or []
    if len({*names}) < len(names):
      raise ValueError(f"{','.join(names)} has a column twice")
    # Of more, one is wrong, which is found among these.
    rows = [(found.line_num, row) for row in itertools.islice(found, most)]
    for line, row in rows:
      if "id" in names and None in row:
        raise ValueError(f"more values than columns in line {line}")
    return names, rows
  except FileNotFoundError:
    raise UserError(
      f"labels must be a CSV file, got {path!r}, which is not there; try "
      "another path."
    ) from None
  except (OSError, ValueError, csv.Error) as error:
    line = " ".join(str(getattr(error, "strerror", None) or error).split())
    raise UserError(
      f"labels must be a readable CSV file, got {path!r} ({line[:200]}); try "
      "lines such as id,label, in UTF-8."
    ) from error

"""Tables as text: Markdown to read, CSV with every digit."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from rethinking.storage import files

# A column's title and the format of its values, such as "{:.2f}", by key.
Columns = Mapping[str, tuple[str, str]]


def markdown(rows: Sequence[Mapping[str, str]], rule: str = "---") -> str:
  """Returns a Markdown table; empty without rows.

  Args:
    rows: texts by column title, the same titles in each.
    rule: what aligns a column: "---" left, "---:" right.

  >>> print(markdown([{"p": "0.4", "n": "3"}]), end="")
  | p | n |
  | --- | --- |
  | 0.4 | 3 |
  """
  if not rows:
    return ""
  lines = [rows[0], [rule] * len(rows[0]), *(row.values() for row in rows)]
  return "".join(
    f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n"
    for line in lines
  )


def formatted(rows: Sequence[Mapping[str, Any]], columns: Columns) -> str:
  """Returns a Markdown table of values, right-aligned.

  Args:
    rows: what the columns name, and more.
    columns: title and format by key; None is shown as a dash.

  >>> print(formatted([{"n": 3}], {"n": ("examples", "{:d}")}), end="")
  | examples |
  | ---: |
  | 3 |
  """
  return markdown(
    [
      {
        title: "-" if row[key] is None else form.format(row[key])
        for key, (title, form) in columns.items()
      }
      for row in rows
    ],
    "---:",
  )


def csv_text(
  rows: Sequence[Mapping[str, Any]], names: Sequence[str] | None = None
) -> str:
  """Returns a CSV; empty without rows.

  Args:
    rows: values by column name.
    names: of the columns to take; None: those of the first row.

  >>> csv_text([{"n": 3, "loss": None}])
  'n,loss\\n3,\\n'
  """
  if not rows:
    return ""
  text = io.StringIO()
  writer = csv.DictWriter(
    text, names or list(rows[0]), extrasaction="ignore", lineterminator="\n"
  )
  writer.writeheader()
  writer.writerows(rows)
  return text.getvalue()


def write(
  folder: epath.Path,
  rows: Sequence[Mapping[str, Any]],
  columns: Columns,
  alone: Sequence[str] = (),
) -> list[str]:
  """Writes table.csv and table.md.

  Args:
    folder: exists.
    rows: what the columns name, and more.
    columns: title and format by key.
    alone: columns of table.csv alone.

  Returns:
    The names of the files.
  """
  files.replace(folder / "table.md", formatted(rows, columns).encode())
  text = csv_text(rows, [*columns, *alone])
  files.replace(folder / "table.csv", text.encode())
  return ["table.csv", "table.md"]

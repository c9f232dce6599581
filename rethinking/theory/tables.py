"""Tables of an experiment: CSV with every digit, Markdown to read."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from rethinking import files

# A column's title and the format of its values, such as "{:.2f}".
Columns = Mapping[str, tuple[str, str]]


def markdown(rows: Sequence[Mapping[str, Any]], columns: Columns) -> str:
  """A Markdown table, numbers right-aligned.

  Args:
    rows: what the columns name, and more.
    columns: title and format by key; None is shown as a dash.

  Returns:
    The table, ending in a newline.

  >>> print(markdown([{"n": 3}], {"n": ("examples", "{:d}")}), end="")
  | examples |
  | ---: |
  | 3 |
  """
  lines = [
    [title for title, _ in columns.values()],
    ["---:"] * len(columns),
  ]
  for row in rows:
    lines.append(
      [
        "-" if row[key] is None else form.format(row[key])
        for key, (_, form) in columns.items()
      ]
    )
  return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(
  folder: epath.Path, rows: Sequence[Mapping[str, Any]], columns: Columns
) -> None:
  """Writes table.csv and table.md.

  Args:
    folder: exists.
    rows: what the columns name, and more.
    columns: title and format by key.
  """
  files.replace(folder / "table.md", markdown(rows, columns).encode())
  text = io.StringIO()
  writer = csv.DictWriter(
    text, list(columns), extrasaction="ignore", lineterminator="\n"
  )
  writer.writeheader()
  writer.writerows(rows)
  files.replace(folder / "table.csv", text.getvalue().encode())

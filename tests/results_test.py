"""The numbers of README.md and of published.md are those of the pages."""

import collections
import pathlib
import re

import pytest

from rethinking.report import published

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_RESULTS = _ROOT / "configs" / "results"
_VERDICTS = ("agrees", "differs", "not comparable", "not run")
# As in 1,437, 5e-4, 99.95 and 1x512.
_NUMBER = re.compile(r"\d[\d.,x]*(?:e-?\d+)?(?<![.,])")


def _rows(text):
  """The cells of the tables of a page, without the titles' lines."""
  for line in text.splitlines():
    if line.startswith("| ") and not line.startswith("| ---"):
      yield [cell.strip() for cell in line.strip("|").split("|")]


def _published():
  text = (_RESULTS / "published.md").read_text()
  rows = [cells for cells in _rows(text) if cells[6].startswith(_VERDICTS)]
  return text, rows


def test_as_many_are_measured_as_is_said():
  text, rows = _published()
  measured = [row for row in rows if row[4]]
  for row in rows:
    assert bool(row[4]) == (row[6] != "not run"), row
  counts = (len(measured), len(rows))
  assert text.split("\n")[2].startswith(f"{counts[1]} numbers")
  assert f"; {counts[0]} have a measured one" in text
  assert f"{counts[0]} of {counts[1]}" in (_ROOT / "README.md").read_text()


def test_all_that_a_report_compares_is_there():
  shown = collections.Counter(row[3] for row in _published()[1])
  wanted = collections.Counter()
  for entry in published.load()["rows"]:
    for value in entry["values"].values():
      if isinstance(value, list):
        value = " to ".join(f"{x:g}" for x in value)
      wanted[value if isinstance(value, str) else f"{value:.2f}"] += 1
  assert not wanted - shown


@pytest.mark.parametrize("row", _published()[1], ids=lambda row: str(row[:3]))
def test_a_measured_number_is_on_its_page_and_judged_as_reports_do(row):
  _, _, quantity, wanted, measured, count, verdict, link = row
  if not measured:
    return
  page = (_RESULTS / re.search(r"\((.*)\)", link)[1]).read_text()
  for number in _NUMBER.findall(measured):
    assert re.search(rf"(?<![\d.,]){re.escape(number)}(?![\d])", page), row
  if quantity in ("train", "test") and verdict != "not comparable":
    mean, _, deviation = measured.partition(" ± ")
    allowed = max(2.0, 2 * float(deviation or 0))
    near = abs(float(mean) - float(wanted)) <= allowed + 1e-9
    assert near == (verdict == "agrees"), row
  assert int(count) >= 1


def test_the_readmes_accuracies_are_those_of_the_pages():
  pages = "\n".join(
    (_RESULTS / name).read_text()
    for name in ("tables_1_and_4.md", "label_issues_digits.md")
  )
  known = {*_NUMBER.findall(pages)}
  rows = [
    row
    for row in _rows((_ROOT / "README.md").read_text())
    if re.search("true labels|random labels|shuffled pixels|0.2$", row[0])
    and len(row) in (3, 5)
    and not row[0].startswith("`")
  ]
  assert len(rows) == 10
  for row in rows:
    # Beside the paper's, every second column is ours.
    for cell in row[1::2] if len(row) == 5 else row[1:]:
      missing = {*_NUMBER.findall(cell)} - known
      assert not missing, (row, missing)

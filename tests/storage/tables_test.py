"""Texts that must survive what is put into them."""

from rethinking.storage import tables


def test_a_bar_does_not_open_another_cell():
  table = tables.markdown([{"a": "1|2", "b": "3"}])
  assert table.splitlines()[-1] == "| 1/2 | 3 |"


def test_csv_quotes_and_leaves_nothing_empty():
  text = tables.csv_text([{"a": "x, y", "b": None}, {"a": 1.5, "b": 2}])
  assert text == 'a,b\n"x, y",\n1.5,2\n'
  assert tables.csv_text([]) == ""

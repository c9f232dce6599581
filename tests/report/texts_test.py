"""Texts that must survive what is put into them."""

from rethinking.report import texts


def test_a_bar_does_not_open_another_cell():
  table = texts.markdown(["a", "b"], [["1|2", "3"]])
  assert table.splitlines()[-1] == "| 1/2 | 3 |"


def test_csv_quotes_and_leaves_nothing_empty():
  text = texts.csv_text([{"a": "x, y", "b": None}, {"a": 1.5, "b": 2}])
  assert text == 'a,b\n"x, y",\n1.5,2\n'
  assert texts.csv_text([]) == ""

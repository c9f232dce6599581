"""The README's table of promises: every test that it names is there."""

import pathlib
import re

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_TEXT = (_ROOT / "README.md").read_text()


def _promises():
  """Rows of the table: the promise, and the tests that it names."""
  _, _, part = _TEXT.partition("\n## Promises, and the tests that hold them\n")
  part, _, _ = part.partition("\n## ")
  rows = [line for line in part.splitlines() if line.startswith("| ")][2:]
  for row in rows:
    promise, tests = row.strip("| ").split(" | ")
    yield promise, re.findall(r"`([^`]+)`", tests)


def test_there_are_promises():
  assert len(list(_promises())) > 15


@pytest.mark.parametrize(("promise", "tests"), list(_promises()))
def test_a_promise_names_tests_that_are_there(promise, tests):
  assert tests, promise
  for name in tests:
    path, _, function = name.partition("::")
    text = (_ROOT / path).read_text()
    assert path.endswith("_test.py")
    assert re.search(rf"^def {function or 'test_.*'}\(", text, re.MULTILINE), (
      f"{promise}: there is no {name}"
    )

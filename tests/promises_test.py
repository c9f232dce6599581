"""The promises in PROMISES.md: every test that they name is there."""

import pathlib
import re

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_TEXT = (_ROOT / "tests" / "PROMISES.md").read_text()

# The table may only grow: raise this with each promise that is added.
_PROMISES = 54


def _promises():
  """Rows of the table: the promise, and the tests that it names."""
  rows = [line for line in _TEXT.splitlines() if line.startswith("| ")][2:]
  for row in rows:
    promise, tests = row.strip("| ").split(" | ")
    yield promise, re.findall(r"`([^`]+)`", tests)


def test_no_promise_is_dropped():
  assert len({promise for promise, _ in _promises()}) >= _PROMISES


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

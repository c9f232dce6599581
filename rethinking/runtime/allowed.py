"""Values that a setting may have, and the refusal of others."""

import difflib
import math
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from rethinking.runtime.errors import UserError

# So many are shown even where one of them is near.
_FEW = 4


def choose(name: str, given: Any, allowed: Collection) -> None:
  """Refuses what is not among the allowed.

  Args:
    name: of what is chosen.
    given: the choice.
    allowed: all that there is.

  Raises:
    UserError: naming the most similar one, or all where none is near.
  """
  names = sorted(allowed)
  if not names:
    raise UserError(f"{name} must be none, got {given!r}; try without it.")
  if given not in names:
    close = difflib.get_close_matches(str(given), names, 1)
    shown = f"{len(names)} names" if close and len(names) > _FEW else names
    hint = f"did you mean {close[0]!r}?" if close else "try one of these."
    raise UserError(f"{name} must be one of {shown}, got {given!r}; {hint}")


class Range(NamedTuple):
  """Values that are allowed, in words and as a test, and one of them."""

  words: str
  holds: Callable[[Any], bool]
  example: str

  def check(self, name: str, value: Any, more: str = "") -> None:
    """Refuses what is outside, and what is infinite.

    Args:
      name: whose value it is.
      value: as given.
      more: what else is allowed, after the words.

    Raises:
      UserError: naming what was given and what is allowed.
    """
    if not self.holds(value) or value == math.inf:
      raise UserError(
        f"{name} must be {self.words}{more}, got {value!r}; try {self.example}."
      )


AT_LEAST_1 = Range("at least 1", lambda x: x >= 1, "1")
RATE = Range("a rate in [0, 1]", lambda x: 0 <= x <= 1, "0.5")
BELOW_1 = Range("a rate in [0, 1)", lambda x: 0 <= x < 1, "0.5")

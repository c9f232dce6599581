"""Figures from the system."""

from rethinking.runtime.memory import available_bytes, peak_bytes


def test_is_plausible():
  assert 1e6 < peak_bytes() < 1e12
  assert available_bytes() > 1e6

"""Figures from the system."""

from rethinking.theory import memory


def test_is_plausible():
  assert 1e6 < memory.peak_bytes() < 1e12
  assert memory.available_bytes() > 1e6

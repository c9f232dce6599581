"""The flags of a job in several processes; the rest is in tests/multihost."""

import signal

import jax
import pytest

from rethinking.runtime import processes
from rethinking.runtime.errors import UserError


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (
      (False, "a:1", None, None),
      "--coordinator must be with --multihost, got it alone",
    ),
    ((False, None, None, 0), "--process_id must be with --multihost, got it"),
    (
      (True, "a:1", None, 1),
      "must be given together, got none of --process_count; try",
    ),
    ((True, None, 2, None), "none of --coordinator and --process_id"),
    ((True, "a", 2, 0), "--coordinator must be HOST:PORT .*, got 'a';"),
    ((True, "a:b", 2, 0), "--coordinator must be HOST:PORT .*, got 'a:b';"),
    (
      (True, "a:1", 2, 2),
      "--process_id must be in 0..process_count - 1, got 2 of 2",
    ),
    ((True, "a:1", 2, -1), "--process_id must be .*, got -1 of 2"),
    ((True, "a:1", 0, 0), "--process_id must be in .* got 0 of 0"),
  ],
)
def test_flags_that_do_not_go_together_are_refused(flags, message):
  with pytest.raises(UserError, match=message) as caught:
    processes.check(*flags)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  "flags",
  [
    (False, None, None, None),
    (True, None, None, None),
    (True, "a.b-c:1234", 2, 1),
    (True, "[::1]:1234", 1, 0),
  ],
)
def test_flags_that_go_together_are_taken(flags):
  processes.check(*flags)


def test_others_that_are_not_reached_are_named(monkeypatch):
  def fail(*args, **kwargs):
    raise RuntimeError("DEADLINE_EXCEEDED: no answer\nmore")

  monkeypatch.setattr(jax.distributed, "initialize", fail)
  # What a real start changes for good.
  monkeypatch.setattr(jax.config, "update", lambda *args: None)
  before = signal.getsignal(signal.SIGTERM)
  try:
    with pytest.raises(ConnectionError, match="DEADLINE_EXCEEDED: no answer;"):
      processes.start("a:1", 2, 1)
  finally:
    signal.signal(signal.SIGTERM, before)


def test_a_single_process_is_the_first():
  assert processes.is_first() and not processes.several()
  assert processes.on_first(lambda: (1, "a")) == (1, "a")
  with pytest.raises(UserError, match="^no$"), processes.reraise_everywhere():
    raise UserError("no")

"""What an experiment finds set when it begins."""

import pytest

from rethinking.runtime import backend
from rethinking.theory import config, folder


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("name", ["kernel", "expressivity", "rademacher"])
def test_the_runtime_is_configured_before_anything_is_prepared(
  name, cache, tmp_path, monkeypatch
):
  done = []
  monkeypatch.setattr(backend, "configure", lambda **k: done.append(k))
  c = getattr(config, name)("digits")
  c.compilation_cache = cache
  folder.run_once(
    c,
    tmp_path,
    lambda resolved: done.append("prepared"),
    lambda *_: {},
    quiet=True,
  )
  assert done == [{"compilation_cache": cache}, "prepared"]

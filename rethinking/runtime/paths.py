"""Where on this machine what is kept between runs lies."""

import os
import pathlib


def cache_folder() -> pathlib.Path:
  """Returns `$XDG_CACHE_HOME/rethinking`, else `~/.cache/rethinking`."""
  base = os.environ.get("XDG_CACHE_HOME", "")
  if not os.path.isabs(base):  # The XDG specification: ignore relative paths.
    base = os.path.expanduser("~/.cache")
  return pathlib.Path(base, "rethinking")

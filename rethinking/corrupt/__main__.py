"""The old name of `python -m rethinking.export`, which says so."""

import runpy
import sys

from rethinking.runtime import output

if __name__ == "__main__":
  output.protect()
  print(
    "notice: python -m rethinking.corrupt is now python -m rethinking.export.",
    file=sys.stderr,
  )
  runpy.run_module("rethinking.export", run_name="__main__", alter_sys=True)

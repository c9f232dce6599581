"""The package, where Python looks for it in the folder above a clone."""

import importlib.util
import pathlib
import sys

_init = pathlib.Path(__file__).parent / "rethinking" / "__init__.py"
_spec = importlib.util.spec_from_file_location(__name__, _init)
sys.modules[__name__] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules[__name__])

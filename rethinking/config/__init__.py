"""What a run is: its fields, the variant grammar, resolution and checks.

A config file's `get_config("variant,key=value,...")` is `create` with what its
dataset and its sweeps set. Fields that are None mean "the recipe's own";
`resolve` fills them after command-line overrides, so that
`--config.arch=alexnet` or `--config.recipe=paper` change what they imply.

`fields` is the one table of fields, `grammar` reads "variant,key=value,...",
`resolve` fills in and `checks` refuses; `records` reads configs of any version,
`recipes` is what a field stands for, `figures` has a row a figure and what its
sweep sets, `experiments` a row an experiment, `listing` is what `--help` lists.
Importing this imports neither JAX nor Flax.

May import: data, models, ops, storage, runtime, corruptions.
"""

from rethinking.config.fields import default
from rethinking.config.grammar import VARIANTS, create, parse
from rethinking.config.records import (
  differences,
  plain,
  recorded,
  recorded_row,
  rename,
)
from rethinking.config.resolve import corruptions, resolve

__all__ = [
  "VARIANTS",
  "corruptions",
  "create",
  "default",
  "differences",
  "parse",
  "plain",
  "recorded",
  "recorded_row",
  "rename",
  "resolve",
]

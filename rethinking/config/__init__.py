"""What a run is: its fields, the variant grammar, resolution and checks.

A config file's `get_config("variant,key=value,...")` starts from `default()`,
sets what its dataset needs and ends in `parse`. Fields that are None mean
"the recipe's own"; `resolve` fills them after command-line overrides, so that
`--config.arch=alexnet` or `--config.recipe=paper` change what they imply.

May import corruptions, data and models, each where it is called: importing
this costs neither JAX nor Flax.
"""

from rethinking.config.fields import default
from rethinking.config.grammar import VARIANTS, parse
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
  "default",
  "differences",
  "parse",
  "plain",
  "recorded",
  "recorded_row",
  "rename",
  "resolve",
]

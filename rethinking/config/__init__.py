"""What a run is: its fields, the variant grammar, resolution and checks.

A config file's `get_config("variant,key=value,...")` is `create` with what its
dataset and its sweeps set. Fields that are None mean "the recipe's own";
`resolve` fills them after command-line overrides, so that
`--config.arch=alexnet` or `--config.recipe=paper` change what they imply.

`fields` is the one table of fields, `variants` has a row a condition, `grammar`
reads "variant,key=value,...", `overrides` says which of them grids hide,
`resolve` fills in and `checks` refuses; `records` reads configs of any version,
`recipes` is what a field stands for, `figures` has a row a figure and what its
sweep sets, `experiments` a row an experiment, `listing` is what `--help` lists.
Importing this imports neither JAX nor Flax.

May import: data, models, ops, storage, runtime, corruptions.
"""

from rethinking.config.fields import default as default
from rethinking.config.grammar import create as create
from rethinking.config.grammar import parse as parse
from rethinking.config.records import differences as differences
from rethinking.config.records import plain as plain
from rethinking.config.records import recorded as recorded
from rethinking.config.records import recorded_row as recorded_row
from rethinking.config.records import rename as rename
from rethinking.config.resolve import corruptions as corruptions
from rethinking.config.resolve import resolve as resolve
from rethinking.config.variants import VARIANTS as VARIANTS
